"""What the example makes of Keycloak's events; each is understood, or it is reported.

`tests/connected/test_readme.py` publishes some.
"""

import json
import re
from datetime import UTC, datetime

import pytest

from examples.keycloak_events import (
    HARMLESS,
    USER_EVENTS,
    NotUnderstoodError,
    Realm,
    read,
    translate,
)
from revocation.events import decode, encode
from tests.structure.sources import ROOT

ISSUER = "https://keycloak.example/realms/shop"
REALM = Realm(ISSUER, "shop")
USER = "8f14e45f-ceea-467f-ab1d-0c2b7a9e5d01"
UUID = "3c59dc04-8e88-4024-9bbe-7079e6a1a001"
TIME_MS = 1_796_000_000_123


def user_event(kind, **more):
    """Return a user event as Keycloak 26 sends it."""
    return {
        "id": "5b6b4a50-1d0e-4ac2-a3f0-1d7e0b1ac0f5",
        "time": TIME_MS,
        "type": kind,
        "realmId": UUID,
        "realmName": "shop",
        "clientId": "web",
        "userId": USER,
        "sessionId": "0f1e2d3c",
        "ipAddress": "192.0.2.1",
        "error": None,
        "details": {"username": "alice"},
        **more,
    }


def admin_event(operation, path, representation=None, **more):
    """Return an admin event as Keycloak 26 sends it."""
    if representation is not None:
        representation = json.dumps(representation)
    return {
        "id": "9e107d9d-372b-4b68-8f5b-a1c8b1d7a0b2",
        "time": TIME_MS,
        "realmId": UUID,
        "realmName": "shop",
        "authDetails": {"realmId": UUID, "clientId": UUID, "userId": UUID},
        "operationType": operation,
        "resourceType": "USER",
        "resourcePath": path,
        "representation": representation,
        "error": None,
        **more,
    }


ONE = {"user": USER}
MEANT = [
    (user_event("LOGOUT"), "session.ended", {"sid": "0f1e2d3c"}),
    (user_event("UPDATE_PASSWORD"), "user.credentials_changed", ONE),
    (user_event("REMOVE_CREDENTIAL"), "user.credentials_changed", ONE),
    (user_event("DELETE_ACCOUNT"), "data.deleted", ONE),
    (user_event("USER_DISABLED_BY_PERMANENT_LOCKOUT"), "user.disabled", ONE),
    (user_event("REVOKE_GRANT"), "grant.revoked", ONE | {"client": "web"}),
    (user_event("CLIENT_DELETE"), "client.revoked", {"client": "web"}),
    (admin_event("ACTION", f"users/{USER}/logout"), "user.logged_out", ONE),
    (admin_event("DELETE", f"users/{USER}"), "data.deleted", ONE),
    (
        admin_event("UPDATE", f"users/{USER}", {"username": "a", "enabled": False}),
        "user.disabled",
        ONE,
    ),
    (
        admin_event("UPDATE", f"users/{USER}", {"enabled": True}),
        "user.enabled",
        ONE,
    ),
    (
        admin_event("ACTION", f"users/{USER}/reset-password"),
        "user.credentials_changed",
        ONE,
    ),
    (
        admin_event("ACTION", f"users/{USER}/credentials/{UUID}"),
        "user.credentials_changed",
        ONE,
    ),
    (
        admin_event("DELETE", f"users/{USER}/role-mappings/realm", [{"name": "a"}]),
        "user.credentials_changed",
        ONE,
    ),
    (
        admin_event("DELETE", f"users/{USER}/groups/{UUID}"),
        "user.credentials_changed",
        ONE,
    ),
    (
        admin_event("ACTION", f"users/{USER}/consents/web"),
        "grant.revoked",
        ONE | {"client": "web"},
    ),
    (admin_event("DELETE", "sessions/0f1e2d3c"), "session.ended", {"sid": "0f1e2d3c"}),
    (admin_event("ACTION", "logout-all"), "issuer.revoked", {}),
    (admin_event("ACTION", "push-revocation"), "issuer.revoked", {}),
    (
        admin_event("UPDATE", f"clients/{UUID}", {"clientId": "web", "enabled": False}),
        "client.revoked",
        {"client": "web", "disable": True},
    ),
]


@pytest.mark.parametrize(
    ("given", "kind", "data"),
    MEANT,
    ids=[f"{n} {row[1]}" for n, row in enumerate(MEANT)],
)
def test_what_is_revoked(given, kind, data):
    """The event names what tokens have, and has Keycloak's id and time."""
    event = translate(given, REALM)
    said = json.loads(encode(event))
    assert event.type == f"revocation.{kind}"
    assert said["data"] == {"issuer": ISSUER, **data}
    assert event.id == given["id"]
    assert event.time == datetime.fromtimestamp(TIME_MS / 1_000, UTC)
    assert decode(encode(event)) == event


HARMLESS_EVENTS = [
    user_event("LOGIN"),
    user_event("REFRESH_TOKEN"),
    user_event("USER_DISABLED_BY_TEMPORARY_LOCKOUT"),
    user_event("LOGOUT_ERROR", error="invalid_token"),
    user_event("UPDATE_PASSWORD_ERROR"),
    admin_event("CREATE", "users"),
    admin_event("UPDATE", f"users/{USER}", {"firstName": "A"}),
    admin_event("UPDATE", f"clients/{UUID}", {"clientId": "web", "enabled": True}),
    admin_event("DELETE", f"users/{USER}", error="not_allowed"),
    admin_event("ACTION", f"users/{USER}/send-verify-email"),
]


@pytest.mark.parametrize("given", HARMLESS_EVENTS)
def test_what_revokes_nothing(given):
    assert translate(given, REALM) is None


NOT_UNDERSTOOD = [
    (user_event("INVENTED"), "its type is 'INVENTED'"),
    (user_event(["LOGOUT"]), "its type is"),
    (user_event("LOGOUT", realmName="other"), "its realm is not 'shop'"),
    (user_event("LOGOUT", sessionId=None), "no SessionEnded without sid"),
    (user_event("UPDATE_PASSWORD", userId=""), "no UserCredentialsChanged without"),
    (user_event("LOGOUT", time="yesterday"), "not a number of milliseconds"),
    (user_event("LOGOUT", time=10**40), "not a number of milliseconds"),
    (admin_event("UPDATE", f"users/{USER}"), "switch on `Include representation`"),
    (admin_event("UPDATE", f"users/{USER}", [1]), "switch on `Include representation`"),
    (admin_event("DELETE", f"clients/{UUID}"), "DELETE of 'clients/{id}'"),
    (admin_event("ACTION", "users/f:x:alice/sing"), "ACTION of 'users/{id}/sing'"),
    (admin_event("ACTION", None), "without resourcePath"),
    (admin_event(None, "logout-all"), "without resourcePath"),
    (
        admin_event("UPDATE", f"clients/{UUID}", {"enabled": False}),
        "no ClientRevoked without client",
    ),
    (None, "not a JSON object"),
    ("LOGOUT", "not a JSON object"),
    ({}, "its realm is not 'shop'"),
]


@pytest.mark.parametrize(("given", "why"), NOT_UNDERSTOOD)
def test_what_is_not_understood_is_named(given, why):
    """And nobody is named: these messages go to a log."""
    with pytest.raises(NotUnderstoodError) as caught:
        translate(given, REALM)
    assert why in str(caught.value)
    assert USER not in str(caught.value)
    assert "alice" not in str(caught.value)


def test_no_type_both_revokes_and_does_not():
    assert HARMLESS.isdisjoint(USER_EVENTS)


def test_an_event_without_an_id_has_the_same_one_each_time():
    """Else two polls that overlap would count it twice."""
    given = user_event("UPDATE_PASSWORD")
    del given["id"]
    one, again = translate(given, REALM), translate(dict(given), REALM)
    other = translate(given | {"time": TIME_MS + 1}, REALM)
    assert one.id == again.id
    assert one.id != other.id


def test_lines_and_arrays_are_read_in_the_order_of_time():
    """The REST API returns the latest first."""
    lines = [b'{"n": 1}\n', b"\n", b'[{"n": 3}, {"n": 2}]\n', b"{\n", b"\xff\n"]
    assert list(read(lines)) == [
        (1, {"n": 1}),
        (3, {"n": 2}),
        (3, {"n": 3}),
        (4, None),
        (5, None),
    ]


def test_the_page_has_each_type_and_no_other():
    page = (ROOT / "docs" / "keycloak.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    shown = {
        name
        for row in rows
        for name in re.findall(r"`([A-Z]{2,}(?:_[A-Z]+)*)`", row)
        if name not in {"ACTION", "DELETE", "UPDATE"}
    }
    assert shown == USER_EVENTS.keys()
