"""The local clock, and how far a store's clock may differ from it."""

import time

from revocation.entries import UnixMs


def now_ms(ahead_ms: int = 0) -> UnixMs:
    """Return the time in ms since 1970, as read from a clock that far ahead."""
    return UnixMs(time.time_ns() // 1_000_000 + ahead_ms)


def find_clock_fault(skew_ms: int, max_skew_ms: int) -> str | None:
    """Return a message if a store's clock differs too much from the local one.

    With such a clock keys would expire at the wrong time, and staleness could not be
    measured.
    """
    if abs(skew_ms) <= max_skew_ms:
        return None
    return (
        f"its clock differs from ours by {skew_ms} ms, at most {max_skew_ms} ms are "
        "allowed (max_clock_skew_ms); synchronise both hosts with the same NTP servers"
    )
