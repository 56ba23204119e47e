"""What each type of event says: the `data` member of its CloudEvent.

One model per shape; each knows the targets that it names. Values are never converted:
a number as a string would mean one thing here and another to a producer's own checks.
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
"""The most users that one bulk event may name."""

# Versions may use half of the integers that JSON and Lua hold exactly (2**53), so that
# counting on from the greatest never leaves them.
_MAX_VERSION: Final = 2**52
_MAX_NUMERIC_DATE: Final = 253_402_300_799

_RFC_3339: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
    "([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)

_CLAIMS: Final = {"user": "sub", "users": "sub", "client": "client_id"}
"""The claims that have these members; the others are called as theirs is."""


def _never_a_token(value: Any, info: ValidationInfo) -> Any:
    """Refuse what no token would ever be found by.

    A `jti` is shown: it is what has to be sent. Other claims may name a person.
    """
    peeked = peek(value) if isinstance(value, str) else None
    if peeked is None:
        return value
    claim = _CLAIMS.get(str(info.field_name), info.field_name)
    due = (peeked.claims or {}).get("jti") if claim == "jti" else None
    raise PydanticCustomError(
        WHOLE_TOKEN,
        "this is a whole JWT; send its `{claim}` claim{due}",
        {"claim": claim, "due": f", which is {due!r}" if isinstance(due, str) else ""},
    )


Identifier = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_CHARACTERS),
    BeforeValidator(_never_a_token),
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
    """Take fractions as verifiers do: what is denied is denied a little longer."""
    if not isinstance(value, float):
        return value
    if not isfinite(value):
        raise ValueError("NaN and infinity are no time in seconds")
    return ceil(value)


NumericDate = Annotated[
    int,
    Field(ge=1, le=_MAX_NUMERIC_DATE),
    BeforeValidator(_rounded_up),
    WithJsonSchema(
        {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_NUMERIC_DATE}
    ),
]
"""Seconds (RFC 7519 section 2), which may have a fraction; rounded up."""


def _rfc3339(value: Any) -> Any:
    """Refuse what pydantic would guess at, for instance seconds or milliseconds."""
    known = isinstance(value, str) and re.fullmatch(_RFC_3339, value)
    if not known and not isinstance(value, datetime):
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
    # An input in an error message would be somebody's identifier in somebody's log.
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
        "lifetime counts.",
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
        "the longest counts. Tokens of it that live longer stay rejected.",
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

    # Not strict only here, so that Python callers may give any sequence.
    users: Annotated[
        tuple[Identifier, ...],
        Field(min_length=1, max_length=MAX_BULK_USERS, strict=False),
    ]

    def targets(self) -> tuple[Target, ...]:
        """Return each user once."""
        issuer, users = self.issuer, dict.fromkeys(self.users)
        return tuple([Target(Kind.USER, issuer, user) for user in users])


def require_revocable(data: BaseModel, sets: Iterable[ClaimSet]) -> None:
    """Accept the data of any event, unless it is about claims that are no set.

    Args:
        data: of the event.
        sets: the setting `revocable_claims`.

    Raises:
        ClaimsNotRevocableError: no verifier would look for them.
    """
    if isinstance(data, ClaimsData):
        require_revocable_names(data.claims, sets)
