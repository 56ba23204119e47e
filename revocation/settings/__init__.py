"""Settings: one frozen class per process, read from the environment and one file.

`source.py` says how, `stations.py`, `verifiers.py` and `routes.py` which.
"""

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
    IssuerSettings,
    SidecarSettings,
    VerifierSettings,
    read_issuers,
)

__all__ = [
    "MIN_PEPPER_BYTES",
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
    "VerifierSettings",
    "read_issuers",
]
