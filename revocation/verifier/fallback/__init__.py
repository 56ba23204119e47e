"""Other sources to ask when a region is too far behind: the policy `introspect`.

`fallback_source.py` limits requests in time and number, `fallback_chain.py` asks
another region's store and tries sources in order, `web_fallbacks.py` asks another
region's sidecar or the issuer.
"""

from revocation.verifier.fallback.fallback_chain import FirstOf, RegionFallback
from revocation.verifier.fallback.fallback_source import (
    CheckRequest,
    Fallback,
    Source,
)
from revocation.verifier.fallback.web_fallbacks import IssuerFallback, SidecarFallback

__all__ = [
    "CheckRequest",
    "Fallback",
    "FirstOf",
    "IssuerFallback",
    "RegionFallback",
    "SidecarFallback",
    "Source",
]
