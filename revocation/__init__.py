"""Event-driven token revocation with provable freshness.

To read the code, follow the flow:

- `events/`: the events that producers publish (CloudEvents),
- `ledger.py`: the rule from events to entries (pure),
- `entries.py`: the entries that the authority derives, and how they merge (pure),
- `authority/`: runs the ledger on Faust,
- `projector/`: maintains a region's store,
- `store/`: the data in Redis,
- `claims/`: what a token's claims name (pure),
- `decision.py`: the rule from claims and entries to a verdict (pure),
- `verifier/`: applies that rule, from memory or with a lookup per check,
- `jwt/`: whether a token is genuine and intended for this service,
- `web/`, `sidecar/`: check requests of web services, in Python and other languages,
- `guard/`: checks refresh tokens for issuers.

`docs/architecture.md` shows the whole tree and the path of an event and of a token.
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
