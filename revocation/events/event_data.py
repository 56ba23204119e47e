"""The `data` member of each type of event.

One model per shape; each returns the targets that it names. Values are never converted:
a number given as a string could mean one thing here and another to the producer.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from math import ceil, isfinite
from typing import Annotated, Any, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from revocation.claims.claim_sets import ClaimSet, claims_id, require_revocable_names
from revocation.entries import (
    ISSUER_PATTERN,
    MAX_ID_CHARACTERS,
    RESOURCE_PATTERN,
    Kind,
    Target,
    grant_id,
)
from revocation.events.event_claims import Claims
from revocation.events.whole_token import WHOLE_TOKEN, peek

MAX_BULK_USERS: Final = 1_000
"""The maximum number of users in one bulk event."""

# Half of the integers that JSON and Lua represent exactly (2**53), so that increments
# of the greatest version stay within them.
_MAX_VERSION: Final = 2**52
_MAX_NUMERIC_DATE: Final = 253_402_300_799

_RFC_3339: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
    "([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)

_CLAIMS: Final = {"user": "sub", "users": "sub", "client": "client_id"}
"""The claims that correspond to these members; the others have the same name."""


def _refuse_whole_token(value: Any, info: ValidationInfo) -> Any:
    """Refuse a whole JWT in place of an id, which would match no token.

    The message quotes a `jti`, so that it can be sent; other claims may be personal.
    """
    peeked = peek(value) if isinstance(value, str) else None
    if peeked is None:
        return value
    claim = _CLAIMS.get(str(info.field_name), info.field_name)
    jti = (peeked.claims or {}).get("jti") if claim == "jti" else None
    raise PydanticCustomError(
        WHOLE_TOKEN,
        "this is a whole JWT; send its `{claim}` claim{jti}",
        {"claim": claim, "jti": f", which is {jti!r}" if isinstance(jti, str) else ""},
    )


Identifier = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_CHARACTERS),
    BeforeValidator(_refuse_whole_token),
]
Issuer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ID_CHARACTERS,
        pattern=ISSUER_PATTERN,
        description="The `iss` claim of the tokens concerned.",
    ),
]
VersionNumber = Annotated[
    int,
    Field(
        ge=1,
        le=_MAX_VERSION,
        description="The user's new version, if the producer's database counts it.",
    ),
]


def _rounded_up(value: Any) -> Any:
    """Round fractions up: a denial then lasts a little longer, never shorter."""
    if not isinstance(value, float):
        return value
    if not isfinite(value):
        raise ValueError("NaN and infinity are not times")
    return ceil(value)


NumericDate = Annotated[
    int,
    Field(ge=1, le=_MAX_NUMERIC_DATE),
    BeforeValidator(_rounded_up),
    WithJsonSchema(
        {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_NUMERIC_DATE}
    ),
]
"""Seconds since the epoch (RFC 7519 section 2); a fraction is rounded up."""


def _rfc3339(value: Any) -> Any:
    """Refuse input that pydantic would guess at, such as seconds or milliseconds."""
    valid = isinstance(value, str) and re.fullmatch(_RFC_3339, value)
    if not valid and not isinstance(value, datetime):
        raise ValueError("send RFC 3339 with a zone, such as 2026-11-21T15:00:00Z")
    return value


Timestamp = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_rfc3339),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _RFC_3339}),
]


_ONE_TARGET: Final[list[JsonValue]] = [
    {"required": [name], "properties": {name: {"type": "string"}}}
    for name in ("user", "resource")
]


class _Data(BaseModel):
    # An input in an error message could put a personal identifier into a log.
    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, hide_input_in_errors=True
    )

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
        None,
        description="The token's `exp`, in seconds, rounded up; if absent, the longest "
        "lifetime applies.",
    )

    def targets(self) -> tuple[Target, ...]:
        """Return the token."""
        return (Target(Kind.TOKEN, self.issuer, self.jti),)


class SessionData(_WithinTenant):
    """One session."""

    sid: Identifier
    exp: NumericDate | None = Field(
        None,
        description="When the session would end, in seconds, rounded up; if absent, "
        "the longest lifetime applies. Tokens of the session that live longer stay "
        "rejected.",
    )

    def targets(self) -> tuple[Target, ...]:
        """Return the session."""
        return (Target(Kind.SESSION, self.issuer, self.sid),)


class UserData(_WithinTenant):
    """One user."""

    user: Identifier = Field(
        description="As tokens name it: the `sub` claim, or the issuer's `user_claim`."
    )
    version: VersionNumber | None = None

    def targets(self) -> tuple[Target, ...]:
        """Return the user."""
        return (Target(Kind.USER, self.issuer, self.user),)


class DataDeletedData(_WithinTenant):
    """Either a user whose data is gone, or a resource that is."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _ONE_TARGET})

    user: Identifier | None = None
    resource: (
        Annotated[str, Field(max_length=MAX_ID_CHARACTERS, pattern=RESOURCE_PATTERN)]
        | None
    ) = Field(None, description="`type:id`, for instance `dataset:42`.")
    version: VersionNumber | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "DataDeletedData":
        if (self.user is None) == (self.resource is None):
            raise ValueError("give either `user` or `resource`")
        return self

    def targets(self) -> tuple[Target, ...]:
        """Return the user or the resource."""
        if self.user is not None:
            return (Target(Kind.USER, self.issuer, self.user),)
        return (Target(Kind.RESOURCE, self.issuer, str(self.resource)),)


class GrantData(_WithinTenant):
    """What one user granted to one client."""

    user: Identifier
    client: Identifier

    def targets(self) -> tuple[Target, ...]:
        """Return the grant."""
        return (Target(Kind.GRANT, self.issuer, grant_id(self.user, self.client)),)


class ClientData(_WithinTenant):
    """An OAuth client. `disable` also rejects tokens issued later; false ends that."""

    client: Identifier
    disable: bool | None = None

    def targets(self) -> tuple[Target, ...]:
        """Return the client."""
        return (Target(Kind.CLIENT, self.issuer, self.client),)


class TenantData(_Data):
    """A tenant. `disable` also rejects tokens issued later; false ends that."""

    tenant: Identifier
    disable: bool | None = None

    def targets(self) -> tuple[Target, ...]:
        """Return the tenant."""
        return (Target(Kind.TENANT, self.issuer, self.tenant),)


class IssuerData(_Data):
    """An issuer. `disable` also rejects tokens issued later; false ends that."""

    disable: bool | None = None

    def targets(self) -> tuple[Target, ...]:
        """Return the issuer."""
        return (Target(Kind.ISSUER, self.issuer, self.issuer),)


class ClaimsData(_WithinTenant):
    """Values of claims. `disable` also rejects tokens issued later; false ends that."""

    claims: Claims
    disable: bool | None = None

    def targets(self) -> tuple[Target, ...]:
        """Return the combination."""
        return (Target(Kind.CLAIMS, self.issuer, claims_id(self.claims)),)


class KeyData(_WithinTenant):
    """A signing key."""

    kid: Identifier

    def targets(self) -> tuple[Target, ...]:
        """Return the key."""
        return (Target(Kind.KEY, self.issuer, self.kid),)


class UsersData(_WithinTenant):
    """Many users of one issuer."""

    # Not strict, so that Python callers may pass any sequence.
    users: Annotated[
        tuple[Identifier, ...],
        Field(min_length=1, max_length=MAX_BULK_USERS, strict=False),
    ]

    def targets(self) -> tuple[Target, ...]:
        """Return each user once."""
        issuer, users = self.issuer, dict.fromkeys(self.users)
        return tuple([Target(Kind.USER, issuer, user) for user in users])


def require_revocable(data: BaseModel, sets: Iterable[ClaimSet]) -> None:
    """Accept the data of any event except about claims that are not revocable.

    Args:
        data: of the event.
        sets: the setting `revocable_claims`.

    Raises:
        ClaimsNotRevocableError: no verifier looks for these claims.
    """
    if isinstance(data, ClaimsData):
        require_revocable_names(data.claims, sets)
