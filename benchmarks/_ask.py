"""A load generator for machines without wrk: same requests and output as `_ask.lua`.

Each connection has one request in flight and sends the next as soon as the answer is
complete. llhttp (httptools) parses the answers. The last line of output is JSON; its
latencies are in microseconds.

    python benchmarks/_ask.py PORT CONNECTIONS SECONDS QUESTION TOKENS

`QUESTION` is `check` or `authz`, and `TOKENS` a file with a token on each line.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson
import uvloop
from httptools import HttpResponseParser

_FIRST_ERROR = 400


def requests(question: str, tokens: list[str]) -> list[bytes]:
    """Return a request about each token, byte by byte as `_ask.lua` makes them."""
    made = []
    for token in tokens:
        if question == "check":
            body = f'{{"token":"{token}"}}'
            lines = [
                *("POST /v1/check HTTP/1.1", "Content-Type: application/json"),
                f"Content-Length: {len(body)}",
            ]
        else:
            body = ""
            lines = [
                *("GET /v1/authz/traefik HTTP/1.1", f"Authorization: Bearer {token}"),
                *("X-Forwarded-Method: GET", "X-Forwarded-Uri: /datasets/42"),
                *("X-Forwarded-Host: api.example", "X-Forwarded-Proto: https"),
            ]
        made.append("\r\n".join([*lines, "Host: 127.0.0.1", "", body]).encode())
    return made


class Counted:
    """The answers so far, until the time is over."""

    def __init__(self, asked: list[bytes], connections: int) -> None:
        self.asked: Iterator[bytes] = cycle(asked)
        self.took: list[float] = []
        self.failed = 0
        self.ends = float("inf")
        self.over = asyncio.Event()
        self._open = connections

    def close(self) -> None:
        """Note that a connection is done."""
        self._open -= 1
        if not self._open:
            self.over.set()


class Connection(asyncio.Protocol):
    """Asks until the time is over."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._parser = HttpResponseParser(self)

    def connection_made(self, transport: Any) -> None:
        """Ask for the first time."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Read what came of the answer."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count the answer and ask again: the parser calls it."""
        counted, now = self._counted, time.perf_counter()
        counted.took.append(now - self._since)
        counted.failed += self._parser.get_status_code() >= _FIRST_ERROR
        if now < counted.ends:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Note it; before the time is over it is a failure."""
        self._counted.failed += time.perf_counter() < self._counted.ends
        self._counted.close()

    def _ask(self) -> None:
        self._since = time.perf_counter()
        self._transport.write(next(self._counted.asked))


async def ask(
    port: int, connections: int, seconds: float, asked: list[bytes]
) -> dict[str, float]:
    """Send requests for so long; return the same report as `_ask.lua`."""
    counted = Counted(asked, connections)
    gc.collect()
    gc.freeze()
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    counted.ends = began + seconds
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(counted), "127.0.0.1", port)
    await counted.over.wait()
    elapsed = time.perf_counter() - began
    cuts = quantiles(counted.took, n=100, method="inclusive")
    return {
        "requests": len(counted.took),
        "seconds": elapsed,
        "failed": counted.failed,
        "p50": cuts[49] * 1e6,
        "p99": cuts[98] * 1e6,
    }


def main() -> None:
    """Ask, and tell."""
    port, connections, seconds, question, file = sys.argv[1:]
    asked = requests(question, Path(file).read_text().split())
    told = uvloop.run(ask(int(port), int(connections), float(seconds), asked))
    print(orjson.dumps(told).decode())


if __name__ == "__main__":
    main()
