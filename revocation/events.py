"""What producers may send: CloudEvents 1.0, one model per type.

Structured JSON mode is preferred, binary mode accepted (CloudEvents Kafka protocol
binding 1.0.2). Unknown attributes and members are ignored, so that a newer producer's
revocation still counts; a known one of the wrong shape is refused.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import quote

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from revocation.entries import Kind, Target
from revocation.errors import (
    InvalidEventError,
    MalformedEventError,
    OversizedRecordError,
    UnknownEventTypeError,
)
from revocation.topics import MAX_EVENT_BYTES

MAX_BULK_USERS: Final = 1_000
CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
_MAX_SAFE_INTEGER: Final = 2**53 - 1
_MAX_NUMERIC_DATE: Final = 253_402_300_799

Identifier = Annotated[str, Field(min_length=1, max_length=512)]
Issuer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        pattern=r"^[^|\s]+$",
        description="The `iss` claim of the tokens concerned.",
    ),
]
VersionNumber = Annotated[
    int,
    Field(
        ge=1,
        le=_MAX_SAFE_INTEGER,
        description="The user's new version, if the producer's database counts it.",
    ),
]
NumericDate = Annotated[
    int,
    Field(ge=1, le=_MAX_NUMERIC_DATE, description="Seconds (RFC 7519 section 2)."),
]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: Issuer
    reason: Annotated[str, Field(max_length=1_024)] | None = Field(
        None, description="For people; must not hold personal data."
    )


class _WithinTenant(_Data):
    tenant: Identifier | None = Field(
        None, description="For the audit only: a target is found by issuer and id."
    )


class TokenData(_WithinTenant):
    """One token."""

    jti: Identifier
    exp: NumericDate | None = Field(
        None, description="The token's `exp`; if absent, the longest lifetime counts."
    )


class SessionData(_WithinTenant):
    """One session."""

    sid: Identifier
    exp: NumericDate | None = Field(
        None, description="When the session would end; if absent, the longest counts."
    )


class UserData(_WithinTenant):
    """One user."""

    user: Identifier = Field(description="The `sub` claim.")
    version: VersionNumber | None = None


class DataDeletedData(_WithinTenant):
    """Either a user whose data is gone, or a resource that is."""

    user: Identifier | None = None
    resource: Annotated[str, Field(max_length=512, pattern=r"^[^:]+:.+$")] | None = (
        Field(None, description="`type:id`, for instance `dataset:42`.")
    )
    version: VersionNumber | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "DataDeletedData":
        if (self.user is None) == (self.resource is None):
            raise ValueError("give either `user` or `resource`")
        return self


class GrantData(_WithinTenant):
    """What one user granted to one client."""

    user: Identifier
    client: Identifier


class ClientData(_WithinTenant):
    """An OAuth client. `disable` also rejects tokens issued later; false ends that."""

    client: Identifier
    disable: bool | None = None


class TenantData(_Data):
    """A tenant. `disable` also rejects tokens issued later; false ends that."""

    tenant: Identifier
    disable: bool | None = None


class IssuerData(_Data):
    """An issuer. `disable` also rejects tokens issued later; false ends that."""

    disable: bool | None = None


class KeyData(_WithinTenant):
    """A signing key."""

    kid: Identifier


class UsersData(_WithinTenant):
    """Many users of one issuer."""

    users: Annotated[
        tuple[Identifier, ...], Field(min_length=1, max_length=MAX_BULK_USERS)
    ]


class CloudEvent(BaseModel):
    """The envelope that all events share (CloudEvents 1.0 section 3)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Unique; a retry of the same event keeps it."
    )
    source: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="URI reference of the producer."
    )
    time: AwareDatetime | None = Field(
        None, description="When it happened; if absent, when Kafka appended it."
    )
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="W3C Trace Context."
    )

    @classmethod
    def new(cls, *, source: str, time: datetime | None = None, **data: Any) -> Self:
        """Build an event with a fresh id.

        Args:
            source: URI reference of the producer.
            time: when it happened, with a time zone; leave it out for "just now", which
                Kafka's clock says better than the producer's.
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
    | IssuerRevoked
    | KeyRevoked
    | UsersRevoked
)
"""Any event, told apart by its `type`."""

EVENT_TYPES: Final[Mapping[str, type[CloudEvent]]] = {
    model.model_fields["type"].default: model for model in Event.__args__
}
"""The model of each event type."""

_ANY_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(
    Annotated[Event, Field(discriminator="type")]
)


def targets(event: Event) -> tuple[Target, ...]:
    """Return what the event is about: one target, or each user of a bulk event."""
    data = event.data
    ids: tuple[str, ...]
    match data:
        case TokenData():
            kind, ids = Kind.TOKEN, (data.jti,)
        case SessionData():
            kind, ids = Kind.SESSION, (data.sid,)
        case UserData():
            kind, ids = Kind.USER, (data.user,)
        case DataDeletedData(user=str(user)):
            kind, ids = Kind.USER, (user,)
        case DataDeletedData(resource=resource):
            kind, ids = Kind.RESOURCE, (str(resource),)
        case GrantData():
            kind, ids = Kind.GRANT, (grant_id(data.user, data.client),)
        case ClientData():
            kind, ids = Kind.CLIENT, (data.client,)
        case TenantData():
            kind, ids = Kind.TENANT, (data.tenant,)
        case IssuerData():
            kind, ids = Kind.ISSUER, (data.issuer,)
        case KeyData():
            kind, ids = Kind.KEY, (data.kid,)
        case UsersData():
            kind, ids = Kind.USER, tuple(dict.fromkeys(data.users))
    return tuple(Target(kind, data.issuer, each) for each in ids)


def grant_id(user: str, client: str) -> str:
    """Return the id of a grant: `client|user`, the client percent-encoded."""
    return f"{quote(client, safe='')}|{user}"


def encode(event: Event) -> bytes:
    """Encode in structured JSON mode."""
    return event.model_dump_json(exclude_none=True).encode()


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> Event:
    """Decode a record of the events topic, in structured or binary mode.

    Args:
        value: the record's value.
        headers: the record's headers; any `ce_specversion` means binary mode.

    Raises:
        OversizedRecordError: longer than `MAX_EVENT_BYTES`.
        MalformedEventError: not JSON, or no CloudEvent at all.
        UnknownEventTypeError: a CloudEvent of another type.
        InvalidEventError: a known type that breaks its schema.
    """
    if not value:
        raise MalformedEventError("the record has no value; send a CloudEvent as JSON")
    if len(value) > MAX_EVENT_BYTES:
        raise OversizedRecordError(
            f"{len(value)} bytes, at most {MAX_EVENT_BYTES} are allowed; "
            f"split bulk events into records of {MAX_BULK_USERS} users or fewer"
        )
    attributes = _binary_attributes(headers)
    if attributes:
        value = _to_structured(attributes, value)
    try:
        return _ANY_EVENT.validate_json(value)
    except ValidationError as error:
        raise _explain(error) from error


def _binary_attributes(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    attributes = {}
    for name, raw in headers:
        lowered = name.lower()
        if lowered.startswith("ce_"):
            attributes[lowered[3:]] = (raw or b"").decode(errors="replace")
    return attributes if "specversion" in attributes else {}


def _to_structured(attributes: dict[str, str], data: bytes) -> bytes:
    try:
        return orjson.dumps({**attributes, "data": orjson.loads(data)})
    except ValueError as error:
        raise MalformedEventError(
            f"binary mode, but the value is not JSON ({error})"
        ) from error


def _explain(error: ValidationError) -> Exception:
    """Turn pydantic's report into the one error that says what to mend."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"][1:])) or "the event"
    match first["type"]:
        case "json_invalid":
            return MalformedEventError(f"not JSON: {first['msg']}")
        case (
            "model_attributes_type" | "model_type" | "union_tag_not_found" | "dict_type"
        ):
            return MalformedEventError(
                "not a CloudEvent: send a JSON object with `specversion`, `id`, "
                "`source`, `type` and `data`"
            )
        case "union_tag_invalid":
            return UnknownEventTypeError(
                f"unknown type; known are {', '.join(EVENT_TYPES)}"
            )
        case _:
            return InvalidEventError(f"{place}: {first['msg']}")


def parse(document: Mapping[str, Any]) -> Event:
    """Build an event from a JSON document, as `decode` would.

    Raises:
        ContractError: as `decode`.
    """
    return decode(orjson.dumps(document))


def split_users(
    event: UsersRevoked, groups: Iterable[Sequence[str]]
) -> tuple[UsersRevoked, ...]:
    """Split a bulk event into one per group of users, each with an id of its own."""
    return tuple(
        event.model_copy(
            update={
                "id": f"{event.id}/{number}",
                "data": event.data.model_copy(update={"users": tuple(group)}),
            }
        )
        for number, group in enumerate(groups)
    )
