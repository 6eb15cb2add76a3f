"""What the tests of the REST API share: reading a refusal, and seeing that nothing changed."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from allauth.usersessions.models import UserSession
from django.apps import apps
from django.db import connection
from PIL import Image
from rest_framework.test import APIClient

API = "/api/v1"


def send(client: APIClient, method: str, path: str, body: Any, form: str, **headers: Any) -> Any:
    """A request whose body is these octets, whatever its content type says."""
    return client.generic(method, path, body, content_type=form, **headers)


def refused(response: Any, status: int) -> dict[str, Any]:
    """The problem that the response is (RFC 9457), of this status and said in words."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert len(problem["detail"]) > 5
    assert not problem["detail"].startswith("detail:")
    return problem


def all_rows() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: what must be equal before and after a refusal; but for when a
    browser was here, which is noted whatever is said to it."""
    return {
        model._meta.label: sorted(model._base_manager.values_list(), key=repr)
        for model in apps.get_models()
        if model is not UserSession
    }


def tables_with(text: str) -> set[str]:
    """The columns of all tables in which this text occurs, whatever their type."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for column in connection.introspection.get_table_description(cursor, table):
                cursor.execute(
                    f'SELECT 1 FROM "{table}" WHERE '
                    f'lower(CAST("{column.name}" AS text)) LIKE %s LIMIT 1',
                    [f"%{text.lower()}%"],
                )
                if cursor.fetchone():
                    found.add(f"{table}.{column.name}")
    return found


@contextmanager
def after_reading(table: str, meanwhile: Callable[[], None]) -> Iterator[None]:
    """Let something happen between the first reading of this table and what is made of it: a race
    that is lost each time."""
    waiting = [meanwhile]

    def run(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if waiting and sql.startswith("SELECT") and f'FROM "{table}"' in sql:
            waiting.pop()()
        return result

    with connection.execute_wrapper(run):
        yield
    assert not waiting, f"Nobody read {table}."


def picture(form: str = "PNG", size: tuple[int, int] = (4, 2), **options: Any) -> bytes:
    """A picture that is red on its left half and blue on its right one."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
