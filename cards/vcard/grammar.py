"""What RFC 6350 says of each property and parameter, as tables. No code that reads or writes.

https://www.rfc-editor.org/rfc/rfc6350 sections 4 to 6; extensions: RFC 6474, 6715, 9554.
"""

import re

TOKEN = re.compile(r"[a-z0-9-]+")
GROUP = re.compile(r"[A-Za-z0-9-]+")
NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S")

FRAME = frozenset({"begin", "version", "end"})
RESERVED_IN_XML = frozenset({"group", "parameters"})

# Structured properties and their components, by the names that RFC 6351 gives them in XML.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "n": ("surname", "given", "additional", "prefix", "suffix"),
    "adr": ("pobox", "ext", "street", "locality", "region", "code", "country"),
    "gender": ("sex", "identity"),
    "clientpidmap": ("sourceid", "uri"),
    "org": (),  # any number, all alike
}
LIST_COMPONENTS = frozenset({"n", "adr"})
LISTS = frozenset({"categories", "nickname"})
SEXES = frozenset({"", "M", "F", "O", "N", "U"})

VALUE_TYPES = frozenset(
    {
        "text", "uri", "date", "time", "date-time", "date-and-or-time", "timestamp",
        "boolean", "integer", "float", "utc-offset", "language-tag",
    }
)  # fmt: skip
UNKNOWN = "unknown"  # RFC 7095 section 5 and RFC 6351 section 6: kept as it stands, unescaped

DEFAULT_TYPES: dict[str, str] = {
    **dict.fromkeys(
        # RFC 6350
        ("fn", "n", "nickname", "gender", "adr", "tel", "email", "tz", "title", "role", "org",
         "categories", "note", "prodid", "kind", "xml", "clientpidmap",
         # RFC 6474, 6715, 9554
         "birthplace", "deathplace", "expertise", "hobby", "interest", "grammgender", "pronouns",
         # vCard 2.1 and RFC 2426, kept under their own names
         "label", "agent", "mailer", "class", "name", "profile", "sort-string",
         # Apple's and Android's own, known to be text
         "x-ablabel", "x-phonetic-first-name", "x-phonetic-middle-name", "x-phonetic-last-name",
         "x-maidenname", "x-abrelatednames"),
        "text",
    ),
    **dict.fromkeys(
        ("source", "photo", "logo", "sound", "url", "impp", "geo", "member", "related", "uid",
         "key", "fburl", "caladruri", "caluri", "org-directory", "contact-uri", "socialprofile"),
        "uri",
    ),
    **dict.fromkeys(("bday", "anniversary", "deathdate"), "date-and-or-time"),
    **dict.fromkeys(("rev", "created"), "timestamp"),
    **dict.fromkeys(("lang", "language"), "language-tag"),
}  # fmt: skip

# A value that is no URI is text here, said or not: RFC 6350 sections 6.6.6, 6.7.6, 6.8.1.
URI_OR_TEXT = frozenset({"related", "uid", "key", "socialprofile"})

# What may be carried inside the card, and the family of its media type.
MEDIA = {"photo": "image", "logo": "image", "sound": "audio", "key": "application"}

# Parameters with one value, in which a comma is only a comma.
SINGLE_PARAMS = frozenset({"altid", "calscale", "geo", "label", "language", "mediatype", "tz"})
# Gone once a value is decoded.
ENCODING_PARAMS = frozenset({"encoding", "charset"})
