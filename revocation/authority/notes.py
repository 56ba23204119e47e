"""What the authority counts and logs of what it concludes: places and names only."""

import structlog

from revocation import metrics
from revocation.authority.conclude import Conclusion
from revocation.entries import Position

_log = structlog.get_logger()


def note(conclusion: Conclusion, at: Position) -> None:
    """Count a conclusion, and say what about its event is not as it should be.

    Args:
        conclusion: on a record of the events topic or of the forwarded topic.
        at: where the record lies.
    """
    for result, times in conclusion.results.items():
        metrics.EVENTS.labels(conclusion.event_type, result).inc(times)
    if conclusion.clamped:
        metrics.CLAMPED.inc(conclusion.clamped)
    if conclusion.forwards:
        metrics.FORWARDED.inc(len(conclusion.forwards))
    if conclusion.left_out:
        for name in conclusion.left_out:
            metrics.LEFT_OUT.labels(name).inc()
        _log.warning(
            "members left out", receipt=at.receipt, members=conclusion.left_out
        )
