"""Settings: which claims of an issuer's tokens name revocable targets. No IO."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from revocation.claims.claim_names import ClaimName, ClaimNames
from revocation.entries import longest_ms

MaybeClaim = ClaimName | Annotated[str, Field(max_length=0)]
"""A claim, or an empty text: the tokens have no such claim."""


class ClaimMapping(BaseModel):
    r"""Which claims name which targets: `sub`, `act.sub`, `app\.tenant`.

    `claim_names.py` defines the syntax. Events about a target that no claim names reach
    no token; `revocation issuers show` lists these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user_claim: ClaimName = "sub"
    """The user, or a client acting for itself; the `user` of events."""
    token_id_claim: MaybeClaim = "jti"  # noqa: S105 - a claim, not a secret
    """The token; empty where tokens have no id."""
    session_claims: tuple[ClaimName, ...] = ("sid",)
    """The session, the `sid` of events; every one that a token has counts."""
    client_claims: tuple[ClaimName, ...] = ("client_id", "azp")
    """The client; every one that a token has counts."""
    tenant_claim: MaybeClaim = "tenant"
    """The tenant; empty where there is none."""
    version_claim: MaybeClaim = ""
    """The user's version, if the issuer puts it into tokens (`current_version`). Name
    no other claim: a value that never changes, or is not a counter, is no version."""
    optional_claims: tuple[ClaimName, ...] = ()
    """Those of `user_claim` and `token_id_claim` that a token may lack; events about
    that user or token then do not reach it."""
    required_claims: tuple[ClaimName, ...] = ()
    """Further claims that a token must have."""
    iat_backdated_seconds: int = Field(0, ge=0, le=900)
    """How far before its creation the issuer dates each token. Tokens that are dated
    less far back are refused until that much time has passed."""
    max_token_lifetime_seconds: int | None = Field(None, ge=1, le=31 * 86_400)
    """The longest lifetime of the issuer's tokens, from their creation; it cannot
    exceed that of the installation."""

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
                "token_id_claim; all other claims are optional anyway"
            )
        return self

    @property
    def names(self) -> ClaimNames:
        """The names in the form in which tokens are read."""
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
