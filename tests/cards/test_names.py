"""Names and numbers as people of their language write them."""

import pytest
from django.utils.translation import override

from cards import vcard
from cards.face import number


@pytest.mark.parametrize(
    ("whole", "family", "given"),
    [
        ("Alice Example", "Example", "Alice"),
        ("Example, Alice", "Example", "Alice"),
        ("Ludwig van Beethoven", "van Beethoven", "Ludwig"),
        ("Ana Maria de la Cruz", "de la Cruz", "Ana Maria"),
        ("bell hooks", "hooks", "bell"),
        ("Madonna", "", "Madonna"),
        ("张伟", "张", "伟"),
        ("欧阳娜娜", "欧阳", "娜娜"),
        ("王", "", "王"),
        ("示例科技公司", "", "示例科技公司"),
        ("", "", ""),
    ],
)
def test_a_name_is_taken_apart(whole: str, family: str, given: str) -> None:
    assert vcard.apart(whole) == (family, given)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["Example", "Alice", "Maria", "Dr", "PhD"], "Dr Alice Maria Example PhD"),
        (["张", "伟", "", "", ""], "张伟"),
        (["张", "伟", "", "", "博士"], "张伟博士"),
        (["张", "伟", "", "Dr", ""], "Dr 张伟"),
        (["Zhang", "伟", "", "", ""], "伟 Zhang"),
    ],
)
def test_a_name_is_put_together(parts: list[str], whole: str) -> None:
    assert vcard.together([[part] if part else [] for part in parts]) == whole


@pytest.mark.parametrize(
    ("written", "english", "chinese"),
    [
        ("+8613800138000", "+86 138 0013 8000", "138 0013 8000"),
        ("+12025550143", "+1 202-555-0143", "+1 202-555-0143"),
        ("tel:+4315550100", "+43 1 5550100", "+43 1 5550100"),
        ("+86 10 5550 0103", "+86 10 5550 0103", "+86 10 5550 0103"),
        ("+9", "+9", "+9"),
        ("0664 555", "0664 555", "0664 555"),
    ],
)
def test_a_number_is_parted_if_its_owner_has_not(written: str, english: str, chinese: str) -> None:
    with override("en"):
        assert number(written) == english
    with override("zh-hans"):
        assert number(written) == chinese
