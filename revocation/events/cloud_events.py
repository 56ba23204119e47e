"""The types of events, and their encoding (CloudEvents 1.0).

Structured JSON mode is preferred, binary mode accepted (CloudEvents Kafka protocol
binding 1.0.2). Unknown attributes and members are ignored, so that events of newer
producers still apply; known ones of the wrong shape are refused.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from revocation.entries import Target
from revocation.errors import (
    ContractError,
    InvalidEventError,
    MalformedEventError,
    OversizedRecordError,
    TokenAsIdError,
    UnknownEventTypeError,
)
from revocation.events import binary_mode, whole_token
from revocation.events.event_data import (
    MAX_BULK_USERS,
    ClaimsData,
    ClientData,
    DataDeletedData,
    GrantData,
    IssuerData,
    KeyData,
    SessionData,
    TenantData,
    Timestamp,
    TokenData,
    UserData,
    UsersData,
)
from revocation.topics import MAX_EVENT_BYTES

CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
FRAME_BEGIN: Final = b"\0"
"""The first byte that a schema registry's serializers write; JSON never has it."""

_MAX_EVENT_ID: Final = 256


class CloudEvent(BaseModel):
    """The envelope that all events share (CloudEvents 1.0 section 3)."""

    # An input in an error message could put a personal identifier into a log.
    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, hide_input_in_errors=True
    )

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, max_length=_MAX_EVENT_ID)] = Field(
        description="Unique; a retry of the same event keeps it."
    )
    source: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="URI reference of the producer."
    )
    time: Timestamp | None = Field(
        None, description="When it happened; if absent, when Kafka appended it."
    )
    datacontenttype: Annotated[
        str | None, Field(pattern=r"^application/json *(;.*)?$", max_length=256)
    ] = "application/json"
    traceparent: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="W3C Trace Context."
    )

    @classmethod
    def new(cls, *, source: str, time: datetime | None = None, **data: Any) -> Self:
        """Build an event with a fresh id.

        Args:
            source: URI reference of the producer.
            time: when it happened, with a time zone; omit it for "just now", so that
                the brokers' clock applies and not the producer's.
            data: the members of `data`, for instance `issuer` and `user`.

        Raises:
            pydantic.ValidationError: a member is missing or has the wrong shape.
        """
        return cls.model_validate(
            {
                "specversion": "1.0",
                "id": str(uuid.uuid4()),
                "source": source,
                "time": time,
                "type": cls.model_fields["type"].default,
                "data": data,
            }
        )


class TokenRevoked(CloudEvent):
    """A token must no longer be accepted."""

    type: Literal["revocation.token.revoked"] = "revocation.token.revoked"
    data: TokenData


class SessionEnded(CloudEvent):
    """A session ended: every token with its `sid` must no longer be accepted."""

    type: Literal["revocation.session.ended"] = "revocation.session.ended"
    data: SessionData


class UserLoggedOut(CloudEvent):
    """A user logged out everywhere: tokens issued before must not be accepted."""

    type: Literal["revocation.user.logged_out"] = "revocation.user.logged_out"
    data: UserData


class UserCredentialsChanged(CloudEvent):
    """Password, factors, roles or scopes changed: older tokens must not be accepted."""

    type: Literal["revocation.user.credentials_changed"] = (
        "revocation.user.credentials_changed"
    )
    data: UserData


class UserDisabled(CloudEvent):
    """No token of the user may be accepted until the user is enabled."""

    type: Literal["revocation.user.disabled"] = "revocation.user.disabled"
    data: UserData


class UserEnabled(CloudEvent):
    """The user may use new tokens again; older ones stay rejected."""

    type: Literal["revocation.user.enabled"] = "revocation.user.enabled"
    data: UserData


class DataDeleted(CloudEvent):
    """Data is gone: a user for ever, or a resource that older tokens may not touch."""

    type: Literal["revocation.data.deleted"] = "revocation.data.deleted"
    data: DataDeletedData


class GrantRevoked(CloudEvent):
    """A user withdrew what a client had been granted."""

    type: Literal["revocation.grant.revoked"] = "revocation.grant.revoked"
    data: GrantData


class ClientRevoked(CloudEvent):
    """Tokens issued to a client before must not be accepted."""

    type: Literal["revocation.client.revoked"] = "revocation.client.revoked"
    data: ClientData


class TenantRevoked(CloudEvent):
    """Tokens issued within a tenant before must not be accepted."""

    type: Literal["revocation.tenant.revoked"] = "revocation.tenant.revoked"
    data: TenantData


class ClaimsRevoked(CloudEvent):
    """Tokens with some values of claims issued before must not be accepted."""

    type: Literal["revocation.claims.revoked"] = "revocation.claims.revoked"
    data: ClaimsData


class IssuerRevoked(CloudEvent):
    """Tokens of an issuer issued before must not be accepted."""

    type: Literal["revocation.issuer.revoked"] = "revocation.issuer.revoked"
    data: IssuerData


class KeyRevoked(CloudEvent):
    """No token signed with the key may be accepted."""

    type: Literal["revocation.key.revoked"] = "revocation.key.revoked"
    data: KeyData


class UsersRevoked(CloudEvent):
    """Many users at once: for each, tokens issued before must not be accepted."""

    type: Literal["revocation.users.revoked"] = "revocation.users.revoked"
    data: UsersData


Event = (
    TokenRevoked
    | SessionEnded
    | UserLoggedOut
    | UserCredentialsChanged
    | UserDisabled
    | UserEnabled
    | DataDeleted
    | GrantRevoked
    | ClientRevoked
    | TenantRevoked
    | ClaimsRevoked
    | IssuerRevoked
    | KeyRevoked
    | UsersRevoked
)
"""Any event, by its `type`."""

EVENT_TYPES: Final[Mapping[str, type[CloudEvent]]] = {
    model.model_fields["type"].default: model for model in Event.__args__
}
"""The model of each event type."""

ANY_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(
    Annotated[Event, Field(discriminator="type")],
    config=ConfigDict(hide_input_in_errors=True),
)
"""Validates any event, with `type` as the discriminator, as in the schemas."""


def targets(event: Event) -> tuple[Target, ...]:
    """Return what the event is about: one target, or each user of a bulk event."""
    return event.data.targets()


def encode(event: Event) -> bytes:
    """Encode in structured JSON mode.

    Raises:
        OversizedRecordError: longer than `MAX_EVENT_BYTES`; no authority accepts it.
    """
    value = event.model_dump_json(exclude_none=True).encode()
    _check_size(value)
    return value


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> Event:
    """Decode a record of the events topic, in structured or binary mode.

    Args:
        value: the record's value.
        headers: the record's headers; `ce_specversion` selects binary mode, unless
            `content-type` is that of structured mode.

    Raises:
        OversizedRecordError: longer than `MAX_EVENT_BYTES`.
        MalformedEventError: not JSON, or not a CloudEvent.
        UnknownEventTypeError: a CloudEvent of an unknown type.
        InvalidEventError: a known type that violates its schema.
        TokenAsIdError: an id is a whole JWT.
    """
    if not value:
        raise MalformedEventError("the record has no value; send a CloudEvent as JSON")
    _check_size(value)
    if value[:1] == FRAME_BEGIN:
        raise MalformedEventError(
            "the value begins with a schema registry's frame (0x00 and a four-byte "
            "id), not with JSON; set REVOCATION_EVENTS_FRAMING=confluent for the "
            "authority, or use a serializer that writes plain JSON"
        )
    attributes = binary_mode.attributes(headers)
    if attributes:
        value = binary_mode.to_structured(attributes, value)
    try:
        return ANY_EVENT.validate_json(value)
    except ValidationError as error:
        # Without its cause: pydantic's report may quote the input.
        raise explain(error) from None


def _check_size(value: bytes) -> None:
    if len(value) > MAX_EVENT_BYTES:
        raise OversizedRecordError(
            f"the event has {len(value)} bytes, at most {MAX_EVENT_BYTES} are allowed; "
            f"split bulk events into records of {MAX_BULK_USERS} users or fewer"
        )


def explain(error: ValidationError) -> ContractError:
    """Turn pydantic's report into the one error that says what to correct."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join(map(str, first["loc"][1:])) or "the event"
    match first["type"]:
        case "json_invalid":
            return MalformedEventError(f"not JSON: {first['msg']}")
        case "dict_type" | "union_tag_not_found":
            return MalformedEventError(
                "not a CloudEvent: send a JSON object with `specversion`, `id`, "
                "`source`, `type` and `data`"
            )
        case "union_tag_invalid":
            return UnknownEventTypeError(
                f"unknown type; the known types are {', '.join(EVENT_TYPES)}"
            )
        case whole_token.WHOLE_TOKEN:
            return TokenAsIdError(
                f"{path}: this is a whole JWT, which matches no token; send the value "
                "of one of its claims"
            )
        case _:
            return InvalidEventError(f"{path}: {first['msg']}")


def parse(document: Mapping[str, Any]) -> Event:
    """Build an event from a JSON document, as `decode` would.

    Raises:
        ContractError: as `decode`.
    """
    try:
        value = orjson.dumps(document)
    except orjson.JSONEncodeError as error:
        raise MalformedEventError(f"not a JSON document: {error}") from None
    return decode(value)


def about(event: UsersRevoked, users: Iterable[str]) -> UsersRevoked:
    """Return the part of a bulk event that is about some of its users.

    The id stays the same: each user is in one part, so a retry is recognised in each.
    """
    data = event.data.model_copy(update={"users": tuple(users)})
    return event.model_copy(update={"data": data})
