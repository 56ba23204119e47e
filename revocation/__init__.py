"""Event-driven token revocation with provable freshness.

If you are here to read the code, start with these, in the order of the flow:

- `events/`: what producers say happened (CloudEvents),
- `ledger.py`: the rule from events to entries (pure),
- `entries.py`: what the authority concludes, and how entries merge (pure),
- `authority/`: runs the ledger on Faust,
- `projector/`: keeps a region's store,
- `store/`: what lies in Redis,
- `claims/`: what a token's claims name (pure),
- `decision.py`: the rule from claims and entries to a verdict (pure),
- `verifier/`: asks it, from memory or for each check,
- `jwt/`: whether a token is genuine and meant for us,
- `web/`, `sidecar/`: ask for web services, in Python and in other languages,
- `guard/`: asks for issuers, before they refresh.

`docs/architecture.md` has the whole tree, and the way of an event and of a token.
"""

from revocation.decision import Reason, StalenessPolicy, Verdict
from revocation.errors import RevocationError
from revocation.guard.refresh_guard import RefreshGuard
from revocation.jwt.trust import TrustedIssuer
from revocation.publisher import Publisher
from revocation.receipts import Receipt, wait_applied
from revocation.settings import PublisherSettings, VerifierSettings
from revocation.verifier import RemoteVerifier, Verification, Verifier
from revocation.verifier.threaded_verifier import ThreadedVerifier

__all__ = [
    "Publisher",
    "PublisherSettings",
    "Reason",
    "Receipt",
    "RefreshGuard",
    "RemoteVerifier",
    "RevocationError",
    "StalenessPolicy",
    "ThreadedVerifier",
    "TrustedIssuer",
    "Verdict",
    "Verification",
    "Verifier",
    "VerifierSettings",
    "wait_applied",
]
