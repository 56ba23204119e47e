"""The issuers whose tokens an installation trusts."""

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
    """The issuers that `verify` trusts, by their exact `iss` or a template of it, as
    docs/token-verification.md explains. `check` reads claims by their mappings. If set,
    `revocation publish` and the authority warn of events about other issuers: they
    revoke nothing that a verifier accepts."""


class _Issuers(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    issuers: TrustedIssuers


def read_issuers(issuers: Mapping[str, Any]) -> dict[str, TrustedIssuer]:
    """Read a value of the setting `issuers`.

    Raises:
        SettingsError: names what is wrong.
    """
    try:
        return _Issuers(issuers=dict(issuers)).issuers
    except ValidationError as error:
        raise SettingsError(explain_invalid(error)) from None
