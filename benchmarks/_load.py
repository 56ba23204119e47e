"""Who asks HTTP servers in benchmarks: wrk where it is installed, else `_ask.py`.

Both have a process of their own, one thread, and so many connections on each of which
one request is under way. wrk is the quicker one: the rate of a server that is quicker
than `_ask.py` is that of `_ask.py`, so rates are compared that one of them measured.
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
    """How many there were, in all and a second, and what they took, in ms."""

    requests: int
    rate: float
    p50: float
    p99: float


def available() -> Sequence[str]:
    """Return the generators that there are here, the best one first."""
    return (WRK, OWN) if shutil.which(WRK) else (OWN,)


class Load(NamedTuple):
    """What every server is asked: by which generator, about which tokens, how long.

    `tokens` is a file with a token on each line. wrk counts in whole seconds.
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
