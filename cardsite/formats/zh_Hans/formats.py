"""How numbers are written in Chinese, as CLDR has it; Django writes them without a separator.

https://cldr.unicode.org/
"""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
