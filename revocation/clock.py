"""Our clock, and how far it may differ from a store's."""

import time

from revocation.entries import UnixMs


def now_ms(ahead_ms: int = 0) -> UnixMs:
    """Return the time in ms since 1970, or what it is where clocks are so far ahead."""
    return UnixMs(time.time_ns() // 1_000_000 + ahead_ms)


def find_clock_fault(skew_ms: int, max_skew_ms: int) -> str | None:
    """Say that a store's clock differs too much from ours, if it does.

    Keys would expire at the wrong time, and the age of what is known could not be told.
    """
    if abs(skew_ms) <= max_skew_ms:
        return None
    return (
        f"its clock differs by {skew_ms} ms from ours, at most {max_skew_ms} ms are "
        "allowed (max_clock_skew_ms); let both hosts follow the same NTP servers"
    )
