"""The verifier: says whether a token still counts, and as of when.

Read `base_verifier.py`, then:

- `verifier.py`: answers from memory; `replica.py` is that memory, `replica_feed.py`
  keeps it, `pacing.py` lets a thousand of them do so without falling over one another,
- `remote_verifier.py`: asks the region's store instead,
- `threaded_verifier.py`: for services without an event loop,
- `fallback/`: who is asked when the region is behind,
- `reporting/`: counts verdicts, reports uses of revoked tokens,
- `wiring.py`: all of it, as the settings say.

The rule itself is `revocation.decision`.
"""

from revocation.verifier.remote_verifier import RemoteVerifier
from revocation.verifier.verification import Verification
from revocation.verifier.verifier import Verifier

__all__ = ["RemoteVerifier", "Verification", "Verifier"]
