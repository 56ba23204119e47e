"""Settings: one frozen class per process, read from the environment and one file.

`settings_source.py` reads them. `station_settings.py`, `verifier_settings.py`,
`route_settings.py` and `issuer_settings.py` declare them.
"""

from revocation.settings.issuer_settings import IssuerSettings, read_issuers
from revocation.settings.route_settings import RouteSettings
from revocation.settings.settings_source import MIN_PEPPER_BYTES
from revocation.settings.station_settings import (
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
from revocation.settings.verifier_settings import (
    OneRegionSettings,
    SidecarSettings,
    TokenSettings,
    VerifierSettings,
)

__all__ = [
    "MIN_PEPPER_BYTES",
    "AuthoritySettings",
    "IssuerSettings",
    "KafkaSettings",
    "LimitSettings",
    "OneRegionSettings",
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
