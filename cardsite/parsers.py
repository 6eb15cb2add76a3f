"""How much JSON the API reads, and what it refuses to read (RFC 8259, RFC 7493 section 2.1).

Apart from cardsite/api.py, which needs the views that are made with this.
"""

import io
import json
from typing import Any

from django.conf import settings
from rest_framework import exceptions, parsers


class TooLarge(exceptions.APIException):
    status_code = 413
    default_detail = "This is larger than what is read here."


class JSONParser(parsers.JSONParser):
    """JSON of at most DATA_UPLOAD_MAX_MEMORY_SIZE octets, which Django sees to for forms alone,
    and of nothing but characters: half a surrogate pair can be neither kept nor answered."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        said = stream.read(most + 1)
        if len(said) > most:
            raise TooLarge
        try:
            read = super().parse(io.BytesIO(said), media_type, parser_context)
            if b"\\ud" in said.lower():
                json.dumps(read, ensure_ascii=False).encode()
        except RecursionError as error:
            raise exceptions.ParseError("This is nested too deeply.") from error
        except UnicodeEncodeError as error:
            raise exceptions.ParseError("Half a surrogate pair is no character.") from error
        return read
