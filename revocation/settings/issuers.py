"""Whose tokens an installation trusts."""

from pydantic import Field

from revocation.settings.source import Settings
from revocation.trusted_issuers import TrustedIssuers


class IssuerSettings(Settings):
    """The issuers that verifiers trust, and that events should be about."""

    issuers: TrustedIssuers = Field(default_factory=dict)
    """Whose tokens `verify` trusts, by their exact `iss` or a template of it; see
    `trust.TrustedIssuer` and `trusted_issuers`. `check` reads claims as they say. Where
    it is set, `revocation publish` and the authority warn of events about others: they
    revoke nothing that a verifier accepts."""
