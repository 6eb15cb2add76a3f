"""The API is what its schema says: the schema is clean, and random requests find nothing else."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from rest_framework.test import APIClient
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from accounts.models import Circle, User
from bindings.models import Binding
from cards.models import Card
from tests.conftest import api_of, make_device
from tests.rest import API, fresh_throttles, refused

__all__ = ["fresh_throttles"]

schema = schemathesis.openapi.from_wsgi(f"{API}/schema", get_wsgi_application())


@pytest.fixture(autouse=True)
def open_connection() -> Iterator[None]:
    """A request ends by closing the connection, and with it the test's own database."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_finds_what_the_schema_does_not_say(case: Any, alice: User) -> None:
    cache.clear()
    client = make_device(alice)
    case.call_and_validate(
        headers={"Authorization": f"Bearer {client.token}"},
        checks=[not_a_server_error, status_code_conformance, content_type_conformance,
            response_headers_conformance, response_schema_conformance, unsupported_method],
    )
