"""A complete event in structured mode, for tests to damage."""

import json

from tests.unit.strategies import ISSUER

LOGOUT = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "/idp",
    "type": "revocation.user.logged_out",
    "data": {"issuer": ISSUER, "user": "alice"},
}


def to_json(**change):
    return json.dumps({**LOGOUT, **change}).encode()


def with_data(**change):
    return to_json(data={**LOGOUT["data"], **change})
