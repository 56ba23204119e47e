"""Settings: which claims of an issuer's tokens name what can be revoked. No IO."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from revocation.claims.claim_names import ClaimName, ClaimNames
from revocation.entries import longest_ms

MaybeClaim = ClaimName | Annotated[str, Field(max_length=0)]
"""A claim, or an empty text: the tokens have no such claim."""


class ClaimMapping(BaseModel):
    r"""Which claims name what, as `claim_names` reads names: `act.sub`, `app\.tenant`.

    What no claim names, no event can reach: `revocation issuers show` says it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user_claim: ClaimName = "sub"
    """The user, or whoever acts for itself; the `user` of events."""
    token_id_claim: MaybeClaim = "jti"  # noqa: S105 - a claim, not a secret
    """The token; empty where tokens have no id."""
    session_claims: tuple[ClaimName, ...] = ("sid",)
    """The session, the `sid` of events; each that a token has counts."""
    client_claims: tuple[ClaimName, ...] = ("client_id", "azp")
    """The client; each that a token has counts."""
    tenant_claim: MaybeClaim = "tenant"
    """The tenant; empty where there is none."""
    version_claim: MaybeClaim = ""
    """The user's version, where the issuer puts it in (`current_version`). Nothing else
    is to be named here: what never changes, or is no count, is no version."""
    optional_claims: tuple[ClaimName, ...] = ()
    """Those of `user_claim` and `token_id_claim` that a token may lack; what they would
    name cannot be revoked for such a token."""
    required_claims: tuple[ClaimName, ...] = ()
    """Further claims that a token must have."""
    iat_backdated_seconds: int = Field(0, ge=0, le=900)
    """By how much the issuer dates each token before the instant at which it is made.
    Tokens dated less far back are then refused until as much time has passed."""
    max_token_lifetime_seconds: int | None = Field(None, ge=1, le=31 * 86_400)
    """How long its tokens live from when they are made, at most as long as those of the
    installation."""

    @model_validator(mode="after")
    def _no_claim_twice(self) -> Self:
        names = self.names.identifiers
        version = self.version_claim
        twice = {name for name in names if names.count(name) > 1 or name == version}
        if twice:
            raise ValueError(f"`{min(twice)}` cannot name two different things")
        known = {self.user_claim, self.token_id_claim}
        unknown = [name for name in self.optional_claims if name not in known]
        if unknown:
            raise ValueError(
                f"optional_claims has `{unknown[0]}`, which is neither user_claim nor "
                "token_id_claim; all others are optional as it is"
            )
        return self

    @property
    def names(self) -> ClaimNames:
        """The names, as tokens are read by them."""
        needed = (self.user_claim, *filter(None, (self.token_id_claim,)))
        required = [name for name in needed if name not in self.optional_claims]
        longest = self.max_token_lifetime_seconds
        return ClaimNames(
            user=self.user_claim,
            token_id=self.token_id_claim or None,
            sessions=self.session_claims,
            clients=self.client_claims,
            tenant=self.tenant_claim or None,
            version=self.version_claim or None,
            required=(*required, *self.required_claims),
            backdated_ms=self.iat_backdated_seconds * 1_000,
            longest_ms=None if longest is None else longest_ms(longest),
        )
