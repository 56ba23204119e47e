"""Publishes what Keycloak's events mean for tokens; `docs/keycloak.md` explains it.

Reads Keycloak's user and admin events as JSON from stdin: one event a line, as event
listeners send them, or an array a line, as the REST API returns it. Needs the usual
REVOCATION_* settings.

    python -m examples.keycloak_events https://keycloak.example/realms/shop shop

The arguments are the `iss` of the realm's tokens, and the realm's name or id as its
events have it. Exit code 1 if any event was not understood: each is named on stderr.
"""

import asyncio
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from revocation import Publisher, RevocationError
from revocation.events import (
    ClientRevoked,
    CloudEvent,
    DataDeleted,
    Event,
    GrantRevoked,
    IssuerRevoked,
    SessionEnded,
    UserCredentialsChanged,
    UserDisabled,
    UserEnabled,
    UserLoggedOut,
    parse,
)

Document = Mapping[str, Any]


class NotUnderstoodError(Exception):
    """Whether this event revokes anything is not known; the message says why."""


class Realm(NamedTuple):
    """Whose events are read: the `iss` of its tokens, and its name or id in events."""

    issuer: str
    name: str


class Meaning(NamedTuple):
    """An event of ours, and which members of Keycloak's event name its target."""

    model: type[CloudEvent]
    members: Mapping[str, str] = {}


_USER: Final = {"user": "userId"}
_CREDENTIALS: Final = Meaning(UserCredentialsChanged, _USER)
_CLIENT: Final = {"client": "clientId"}

USER_EVENTS: Final[Mapping[str, Meaning]] = {
    "LOGOUT": Meaning(SessionEnded, {"sid": "sessionId"}),
    "UPDATE_PASSWORD": _CREDENTIALS,
    "RESET_PASSWORD": _CREDENTIALS,
    "UPDATE_CREDENTIAL": _CREDENTIALS,
    "REMOVE_CREDENTIAL": _CREDENTIALS,
    "UPDATE_TOTP": _CREDENTIALS,
    "REMOVE_TOTP": _CREDENTIALS,
    "REVOKE_GRANT": Meaning(GrantRevoked, _USER | _CLIENT),
    "DELETE_ACCOUNT": Meaning(DataDeleted, _USER),
    "USER_DISABLED_BY_PERMANENT_LOCKOUT": Meaning(UserDisabled, _USER),
    "CLIENT_DELETE": Meaning(ClientRevoked, _CLIENT),
}
"""What users and clients do, by `type`."""

_HARMLESS_TYPES: Final = """
    LOGIN REGISTER CODE_TO_TOKEN CLIENT_LOGIN REFRESH_TOKEN TOKEN_EXCHANGE
    VALIDATE_ACCESS_TOKEN INTROSPECT_TOKEN USER_INFO_REQUEST PERMISSION_TOKEN
    FEDERATED_IDENTITY_LINK REMOVE_FEDERATED_IDENTITY UPDATE_EMAIL UPDATE_PROFILE
    VERIFY_EMAIL VERIFY_PROFILE GRANT_CONSENT UPDATE_CONSENT SEND_VERIFY_EMAIL
    SEND_RESET_PASSWORD SEND_IDENTITY_PROVIDER_LINK RESTART_AUTHENTICATION
    IDENTITY_PROVIDER_LINK_ACCOUNT IDENTITY_PROVIDER_LOGIN IDENTITY_PROVIDER_FIRST_LOGIN
    IDENTITY_PROVIDER_POST_LOGIN IDENTITY_PROVIDER_RESPONSE
    IDENTITY_PROVIDER_RETRIEVE_TOKEN IMPERSONATE CUSTOM_REQUIRED_ACTION EXECUTE_ACTIONS
    EXECUTE_ACTION_TOKEN CLIENT_INFO CLIENT_REGISTER CLIENT_UPDATE
    CLIENT_INITIATED_ACCOUNT_LINKING OAUTH2_DEVICE_AUTH OAUTH2_DEVICE_VERIFY_USER_CODE
    OAUTH2_DEVICE_CODE_TO_TOKEN OAUTH2_EXTENSION_GRANT AUTHREQID_TO_TOKEN
    PUSHED_AUTHORIZATION_REQUEST JWT_BEARER USER_DISABLED_BY_TEMPORARY_LOCKOUT
    """
HARMLESS: Final = frozenset(_HARMLESS_TYPES.split())
"""Types that revoke nothing. After a temporary lockout no event says that it is over,
so it must not disable any user."""

_USERS: Final = r"users/(?P<user>[^/]+)"
_SECRETS: Final = r"(reset-password|disable-credential-types|credentials/[^/]+)"
_ANY_CHANGE: Final = "ACTION|CREATE|UPDATE|DELETE"
_ADMIN: Final = (
    (rf"{_USERS}/logout", "ACTION", UserLoggedOut),
    (_USERS, "DELETE", DataDeleted),
    (rf"{_USERS}/{_SECRETS}", _ANY_CHANGE, UserCredentialsChanged),
    (rf"{_USERS}/(role-mappings|groups)/.+", _ANY_CHANGE, UserCredentialsChanged),
    (rf"{_USERS}/consents/(?P<client>.+)", "ACTION|DELETE", GrantRevoked),
    (r"sessions/(?P<sid>[^/]+)", "DELETE", SessionEnded),
    (r"logout-all|push-revocation", "ACTION", IssuerRevoked),
)
"""What administrators do: the `resourcePath`, the `operationType`, and what it means.

`_enabled` has what depends on whether somebody is enabled.
"""

_HARMLESS_ADMIN: Final = (
    (r"users(/[^/]+)?|clients(/[^/]+)?|groups(/[^/]+)?", "CREATE"),
    (r"users/[^/]+/(execute-actions-email|send-verify-email|impersonation)", "ACTION"),
    (r"users/[^/]+/credentials/[^/]+/.+", "ACTION|UPDATE"),
)


def translate(document: Document, realm: Realm) -> Event | None:
    """Return what an event of Keycloak's means for tokens; None if nothing.

    Raises:
        NotUnderstoodError: it is of an unknown kind, of another realm, or malformed.
    """
    if not isinstance(document, Mapping):
        raise NotUnderstoodError("not a JSON object")
    if realm.name not in (document.get("realmId"), document.get("realmName")):
        raise NotUnderstoodError(f"its realm is not {realm.name!r}")
    kind = str(document.get("type"))
    if document.get("error") or kind.endswith("_ERROR"):
        return None  # what was tried and failed changed nothing
    if "operationType" in document:
        return _translate_admin(document, realm)
    meaning = USER_EVENTS.get(kind)
    if meaning is not None:
        named = {ours: document.get(theirs) for ours, theirs in meaning.members.items()}
        return _event(document, realm, meaning.model, **named)
    if kind in HARMLESS:
        return None
    raise NotUnderstoodError(f"its type is {kind!r}")


def _translate_admin(document: Document, realm: Realm) -> Event | None:
    path, operation = document.get("resourcePath"), document["operationType"]
    if not isinstance(path, str) or not isinstance(operation, str):
        raise NotUnderstoodError("an admin event without resourcePath or operationType")
    if operation == "UPDATE" and re.fullmatch(r"(users|clients)/[^/]+", path):
        return _enabled(document, realm, *path.split("/"))
    for pattern, operations, model in _ADMIN:
        match = re.fullmatch(pattern, path)
        if match and re.fullmatch(operations, operation):
            return _event(document, realm, model, **match.groupdict())
    for pattern, operations in _HARMLESS_ADMIN:
        if re.fullmatch(pattern, path) and re.fullmatch(operations, operation):
            return None
    parts = path.split("/")
    parts[1::2] = ["{id}"] * len(parts[1::2])  # may name a person
    shape = "/".join(parts)
    raise NotUnderstoodError(f"an admin event {operation} of {shape!r}")


def _enabled(document: Document, realm: Realm, kind: str, id_: str) -> Event | None:
    """Translate the update of a user or client: only `enabled` matters.

    A client is never enabled here: `client.revoked` with `disable: false` cuts off its
    older tokens, and each change of a client says `enabled: true`.
    """
    try:
        said = json.loads(document["representation"])
        enabled, client = said.get("enabled"), said.get("clientId")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotUnderstoodError(
            "it has no representation; switch on `Include representation` of the "
            "realm's admin events"
        ) from None
    if kind == "users" and enabled is True:
        return _event(document, realm, UserEnabled, user=id_)
    if enabled is not False:
        return None
    if kind == "users":
        return _event(document, realm, UserDisabled, user=id_)
    return _event(document, realm, ClientRevoked, client=client, disable=True)


def _event(
    document: Document, realm: Realm, model: type[CloudEvent], **named: Any
) -> Event:
    """Return an event with Keycloak's id, so that a repetition counts once."""
    given = document.get("id")
    if not isinstance(given, str) or not given:  # older releases have none
        whole = json.dumps(document, sort_keys=True).encode()
        given = hashlib.sha256(whole).hexdigest()
    try:
        time = datetime.fromtimestamp(document["time"] / 1_000, UTC)
        made = model.new(source=realm.issuer, time=time, issuer=realm.issuer, **named)
    except ValidationError as error:
        wrong = ", ".join(str(each["loc"][-1]) for each in error.errors())
        raise NotUnderstoodError(f"no {model.__name__} without {wrong}") from None
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise NotUnderstoodError("its time is not a number of milliseconds") from None
    return parse({**made.model_dump(mode="json", exclude_none=True), "id": given})


def read(lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield each event with the number of its line; None if it is not JSON."""
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line) if line.strip() else []
        except ValueError:
            said = None
        if isinstance(said, list):  # the REST API returns the latest first
            yield from ((number, each) for each in reversed(said))
        else:
            yield number, said


async def publish(lines: Iterable[bytes], realm: Realm) -> Counter[str]:
    """Publish what the lines mean; returns how many events meant what."""
    counts: Counter[str] = Counter()
    async with Publisher() as publisher:
        found = read(lines)
        # In a thread: between two events of a pipe may be hours.
        while (each := await asyncio.to_thread(next, found, None)) is not None:
            number, document = each
            try:
                event = translate(document, realm)
            except NotUnderstoodError as error:
                counts["not understood"] += 1
                report(f"line {number}: not understood, nothing published: {error}")
                continue
            if event is not None:
                await publisher.publish(event)
            counts["nothing to revoke" if event is None else event.type] += 1
    return counts


def report(line: str) -> None:
    """Print to stderr."""
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """Run the command; returns the exit code."""
    if len(sys.argv) != len(("program", *Realm._fields)):
        report("usage: python -m examples.keycloak_events ISSUER REALM < events")
        return 2
    try:
        counts = asyncio.run(publish(sys.stdin.buffer, Realm(*sys.argv[1:])))
    except RevocationError as error:
        report(f"{error}; send all of it again: published events count once")
        return 1
    for name, count in sorted(counts.items()):
        report(f"{count:6} {name}")
    return 1 if counts["not understood"] else 0


if __name__ == "__main__":
    sys.exit(main())
