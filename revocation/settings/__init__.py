"""Settings: one frozen class per process, read from the environment and one file.

`source.py` says how, `stations.py`, `verifiers.py`, `routes.py` and `issuers.py` which.
"""

from revocation.settings.issuers import IssuerSettings, read_issuers
from revocation.settings.routes import RouteSettings
from revocation.settings.source import MIN_PEPPER_BYTES
from revocation.settings.stations import (
    AuthoritySettings,
    KafkaSettings,
    LimitSettings,
    PepperSettings,
    ProjectorSettings,
    PublisherSettings,
    Region,
    RegionsSettings,
    StoreSettings,
    TlsSettings,
)
from revocation.settings.verifiers import (
    AskedSettings,
    SidecarSettings,
    TokenSettings,
    VerifierSettings,
)

__all__ = [
    "MIN_PEPPER_BYTES",
    "AskedSettings",
    "AuthoritySettings",
    "IssuerSettings",
    "KafkaSettings",
    "LimitSettings",
    "PepperSettings",
    "ProjectorSettings",
    "PublisherSettings",
    "Region",
    "RegionsSettings",
    "RouteSettings",
    "SidecarSettings",
    "StoreSettings",
    "TlsSettings",
    "TokenSettings",
    "VerifierSettings",
    "read_issuers",
]
