"""CPU affinity: the measured process has one core, the load the others."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

ALL_CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
"""The cores of this process at its start."""


@contextlib.contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Run on these cores inside the block; child processes keep them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
