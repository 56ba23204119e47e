"""The load generators of benchmarks/sidecar.py: wrk if it is installed, else `_ask.py`.

Both run in a process of their own with one thread, and keep one request in flight on
each connection. Compare only figures of the same generator: `_ask.py` needs more CPU
for a request than wrk, so a fast server waits for it.
"""

import math
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

_HERE: Final = Path(__file__).parent
WRK: Final = "wrk"
OWN: Final = "_ask.py"


class Answers(NamedTuple):
    """How many answers came, their rate per second, and latencies in ms."""

    requests: int
    rate: float
    p50: float
    p99: float


def available() -> Sequence[str]:
    """Return the generators that this machine has, the best one first."""
    return (WRK, OWN) if shutil.which(WRK) else (OWN,)


class Load(NamedTuple):
    """A generator, a file with a token on each line, and how long to ask.

    wrk takes whole seconds only; others are rounded up.
    """

    generator: str
    tokens: Path
    seconds: float

    def ask(self, port: int, question: str, in_flight: int) -> Answers:
        """Ask a server on loopback; `question` is `check` or `authz`.

        Raises:
            SystemExit: a question failed, or was refused.
        """
        done = subprocess.run(
            [*self._command(port, in_flight), question, str(self.tokens)],
            check=True,
            stdout=subprocess.PIPE,
        )
        told = orjson.loads(done.stdout.splitlines()[-1])
        if told["failed"] or not told["requests"]:
            raise SystemExit(f"{told['failed']} of {told['requests']} questions failed")
        return Answers(
            told["requests"],
            told["requests"] / told["seconds"],
            told["p50"] / 1e3,
            told["p99"] / 1e3,
        )

    def _command(self, port: int, in_flight: int) -> Sequence[str]:
        if self.generator == WRK:
            return (
                *(WRK, "-t1", f"-c{in_flight}", f"-d{math.ceil(self.seconds)}s"),
                *("-s", str(_HERE / "_ask.lua"), f"http://127.0.0.1:{port}", "--"),
            )
        own = str(_HERE / OWN)
        return sys.executable, own, str(port), str(in_flight), str(self.seconds)
