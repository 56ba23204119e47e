"""Durations and counts in words."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def in_words(milliseconds: int) -> str:
    """Return a duration: `0.3 s`, `42 s`, `4 min 10 s`, `3 h 5 min` or `2 d 4 h`."""
    seconds = milliseconds // 1_000
    if seconds < 10:  # noqa: PLR2004 - below it, tenths matter
        return f"{milliseconds / 1_000:.1f}".removesuffix(".0") + " s"
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def counted(number: int, what: str) -> str:
    """Return a count of things: `1 event`, `20,000 events`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
