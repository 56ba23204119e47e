"""The verifier decides whether a token still counts, and as of when.

Read `base_verifier.py`, then:

- `verifier.py`: answers from memory; `replica.py` is that memory, `replica_feed.py`
  keeps it up to date, `pacing.py` keeps a thousand of them from overloading the store,
- `remote_verifier.py`: reads the region's store for each check instead,
- `threaded_verifier.py`: for services without an event loop,
- `fallback/`: other sources to ask when the region is behind,
- `reporting/`: counts verdicts, reports uses of revoked tokens,
- `wiring.py`: builds all of it from the settings.

The rule itself is `revocation.decision`.
"""

from revocation.verifier.remote_verifier import RemoteVerifier
from revocation.verifier.verification import Verification
from revocation.verifier.verifier import Verifier

__all__ = ["RemoteVerifier", "Verification", "Verifier"]
