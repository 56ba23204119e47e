"""Whose tokens an installation trusts."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from revocation.errors import SettingsError
from revocation.jwt.trust import TrustedIssuer
from revocation.jwt.trusted_issuers import TrustedIssuers
from revocation.settings.settings_source import Settings, explain_invalid


class IssuerSettings(Settings):
    """The issuers that verifiers trust, and that events should be about."""

    issuers: TrustedIssuers = Field(default_factory=dict)
    """Whose tokens `verify` trusts, by their exact `iss` or a template of it, as
    docs/token-verification.md explains. `check` reads claims as they say. Where it is
    set, `revocation publish` and the authority warn of events about others: they revoke
    nothing that a verifier accepts."""


class _Issuers(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    issuers: TrustedIssuers


def read_issuers(issuers: Mapping[str, Any]) -> dict[str, TrustedIssuer]:
    """Read what would stand in the setting `issuers`.

    Raises:
        SettingsError: names what is wrong.
    """
    try:
        return _Issuers(issuers=dict(issuers)).issuers
    except ValidationError as error:
        raise SettingsError(explain_invalid(error)) from None
