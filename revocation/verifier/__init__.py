"""The verifier: says whether a token still counts, and as of when.

Read `verification.py`, then:

- `verifier.py`: answers from memory; `replica.py` is that memory, `feed.py` keeps it,
  `pacing.py` lets a thousand of them do so without falling over one another,
- `remote.py`: asks the region's store instead,
- `threaded.py`: for services without an event loop,
- `fallback.py`: who is asked when the region is behind,
- `counting.py`: counts verdicts,
- `rejections.py`: tells of tokens that are used after their revocation,
- `parts.py`: all of it, as the settings say.

The rule itself is `revocation.decision`.
"""

from revocation.verifier.remote import RemoteVerifier
from revocation.verifier.verification import Verification
from revocation.verifier.verifier import Verifier

__all__ = ["RemoteVerifier", "Verification", "Verifier"]
