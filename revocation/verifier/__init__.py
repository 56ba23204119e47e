"""The verifier: asks a region whether a token still counts, and as of when.

Read `verifier.py`. The rule itself is `revocation.decision`.
"""

from revocation.verifier.verifier import Verifier

__all__ = ["Verifier"]
