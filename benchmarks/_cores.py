"""Which cores what is measured runs on, and which all else."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

ALL_CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
"""As this process began, so before any was chosen."""


@contextlib.contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Start what is started in here on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
