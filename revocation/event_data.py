"""What each type of event says: the `data` member of its CloudEvent.

One model per shape; each knows the targets that it names. Values are never converted:
a number as a string would mean one thing here and another to a producer's own checks.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from revocation.claim_sets import (
    MAX_CLAIMS,
    MAX_WHOLE,
    ClaimSet,
    claims_id,
    require_revocable_names,
)
from revocation.entries import (
    ISSUER_PATTERN,
    MAX_ID_CHARACTERS,
    RESOURCE_PATTERN,
    Kind,
    Target,
    grant_id,
)

MAX_BULK_USERS: Final = 1_000
"""The most users that one bulk event may name."""

# Versions may use half of the integers that JSON and Lua hold exactly (2**53), so that
# counting on from the greatest never leaves them.
_MAX_VERSION: Final = 2**52
_MAX_NUMERIC_DATE: Final = 253_402_300_799
_MAX_CLAIM_NAME: Final = 256

_RFC_3339: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
    "([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
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
NumericDate = Annotated[
    int,
    Field(ge=1, le=_MAX_NUMERIC_DATE, description="Seconds (RFC 7519 section 2)."),
]


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


def _claims(value: Any) -> Any:
    """Refuse without a word of what was sent: pydantic's report would name claims."""
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_CLAIMS:
        raise ValueError(f"name 1 to {MAX_CLAIMS} claims")
    if not all(isinstance(n, str) and 0 < len(n) <= _MAX_CLAIM_NAME for n in value):
        raise ValueError(f"the name of a claim has 1 to {_MAX_CLAIM_NAME} characters")
    if any(type(each) is float for each in value.values()):
        raise ValueError("a claim is text, a whole number or a boolean")
    claims_id(value)
    return value


Claims = Annotated[
    dict[str, str | int | bool],
    PlainValidator(_claims),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_CLAIMS,
            "propertyNames": {"minLength": 1, "maxLength": _MAX_CLAIM_NAME},
            "additionalProperties": {
                "type": ["string", "integer", "boolean"],
                "minLength": 1,
                "maxLength": MAX_ID_CHARACTERS,
                "minimum": -MAX_WHOLE,
                "maximum": MAX_WHOLE,
            },
        }
    ),
    Field(
        description="A value for each claim of one set of the setting "
        "`revocable_claims`, by the names that it has there. Tokens that have all of "
        "them are concerned; a list has the value of each of its members."
    ),
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
        None, description="The token's `exp`; if absent, the longest lifetime counts."
    )

    def targets(self) -> tuple[Target, ...]:
        """Return the token."""
        return (Target(Kind.TOKEN, self.issuer, self.jti),)


class SessionData(_WithinTenant):
    """One session."""

    sid: Identifier
    exp: NumericDate | None = Field(
        None, description="When the session would end; if absent, the longest counts."
    )

    def targets(self) -> tuple[Target, ...]:
        """Return the session."""
        return (Target(Kind.SESSION, self.issuer, self.sid),)


class UserData(_WithinTenant):
    """One user."""

    user: Identifier = Field(description="The `sub` claim.")
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
