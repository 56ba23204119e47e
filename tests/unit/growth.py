"""Whether doubling the input doubles the work or quadruples it."""

import math
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

SMALL, LARGE = 4_096, 32_768
_MAX = (LARGE / SMALL) ** 1.5
"""Between linear work and quadratic: 8 and 64 times as much."""
_AGAIN = 5

PIECES = (
    *(b'"', b'\\"', b"\\", b"\\u", b"\\ud800", b"\\\\", b'a"', b'"a",', b'"":0,'),
    *(b"[", b"{", b"]", b"[]", b"[[]],", b'{"a":', b'["', b"[1,", b"0,"),
    *(b"9", b"0", b"0.", b".9", b"1e", b"-", b"e9", b"1_", b"NaN,"),
    *(b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b"\xc3\xa9"),
    *(b"A", b"a.", b"_-", b"=", b"==", b"a=", b"a=b&", b"&", b"+", b"token=&"),
    *(b"/", b"//", b"/a", b"/0", b"/..", b"/%2e", b"%", b"%2", b"%25", b"%C3%A9"),
    *(b";", b"; ", b"a=b; ", b"__Host-token=a;", b"a;a", b",", b", ", b"chunked,"),
    *(b":", b"a:", b"a: b\r\n", b"a:\r\n", b"A-a_a.a:\r\n", b"\r\n ", b"?", b"#", b"@"),
    *(b"Bearer ", b"bearer  ", b"Basic ", b"Basic a", b"http://", b"https://a"),
)


class Parser(NamedTuple):
    """What reads bytes of strangers.

    `around` is what stands before and behind, `ends` what a repetition may end with.
    """

    read: Callable[[bytes], Any]
    around: tuple[tuple[bytes, bytes], ...] = ((b"", b""),)
    ends: tuple[bytes, ...] = (b"", b"\x01")


def families(parser: Parser) -> Iterator[tuple[bytes, bytes, bytes]]:
    """What an attacker would repeat: beginning, piece, end."""
    for (before, behind), piece in product(parser.around, PIECES):
        for end in parser.ends:
            yield before, piece, end + behind


def made(family: tuple[bytes, bytes, bytes], size: int) -> bytes:
    before, piece, behind = family
    return before + piece * (size // len(piece)) + behind


def growth(run: Callable[[int], Callable[[], object]]) -> float:
    """How many times the work of the small size the large one is.

    Noise only adds to the time of a thread: where there was too much of it the least of
    several measurements counts.
    """
    small, large = run(SMALL), run(LARGE)
    least = [seconds(small), seconds(large)]
    for _ in range(_AGAIN):
        if least[1] <= _MAX * least[0]:
            break
        least = [min(least[0], seconds(small)), min(least[1], seconds(large))]
    return least[1] / max(least[0], 1e-9)


def is_linear(run: Callable[[int], Callable[[], object]]) -> bool:
    return growth(run) <= _MAX


def seconds(run: Callable[[], object]) -> float:
    """The time of this thread; enough calls to be told from nothing."""
    best = math.inf
    for _ in range(2):
        began = time.thread_time()
        run()
        best = min(best, time.thread_time() - began)
    return best
