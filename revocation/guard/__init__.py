"""The refresh guard: asked by issuers before they exchange a refresh token.

`refreshes.py` has the question and the answer, `refresh_guard.py` decides, and
`families.py` ends the session of a refresh token that is used twice.
"""

from revocation.guard.refresh_guard import RefreshGuard
from revocation.guard.refreshes import RefreshDecision, RefreshReason, RefreshRequest

__all__ = ["RefreshDecision", "RefreshGuard", "RefreshReason", "RefreshRequest"]
