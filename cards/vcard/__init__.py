"""vCards as they occur and as they should be: reads 2.1, 3.0, 4.0 tolerantly, writes 3.0, 4.0,
xCard and jCard strictly. Pure: no Django, no database, no network.

RFC 6350 (4.0), RFC 2426 (3.0), RFC 6351 (xCard), RFC 7095 (jCard), RFC 6868 (parameters).
"""

from cards.vcard import jcard, xcard
from cards.vcard.canonical import canonical, made_name
from cards.vcard.model import Limits, ParsedCard, Property, VCardError
from cards.vcard.names import HAN, apart, together
from cards.vcard.propertyjson import from_json, of_canonical, to_json
from cards.vcard.reading import read
from cards.vcard.writing import write

__all__ = [
    "HAN",
    "Limits",
    "ParsedCard",
    "Property",
    "VCardError",
    "apart",
    "canonical",
    "from_json",
    "jcard",
    "made_name",
    "of_canonical",
    "read",
    "to_json",
    "together",
    "write",
    "xcard",
]
