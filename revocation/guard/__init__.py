"""The refresh guard, which issuers call before they exchange a refresh token.

`refreshes.py` has the request and the decision, `refresh_guard.py` decides, and
`families.py` ends the session of a reused refresh token.
"""

from revocation.guard.refresh_guard import RefreshGuard
from revocation.guard.refreshes import RefreshDecision, RefreshReason, RefreshRequest

__all__ = ["RefreshDecision", "RefreshGuard", "RefreshReason", "RefreshRequest"]
