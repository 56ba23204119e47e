"""The cost of claim sets for a replica's check, while there are entries about them.

The same tokens are checked by verifiers that differ in `revocable_claims` alone, in
alternating rounds: with none, with sets of which no entry exists, and with entries
about 1,000 values that none of the tokens has. `recurring` tokens were seen before, as
in sessions of many requests; of `new` ones each has a device that nobody has seen.

Seen on two shared cores at other work, where a check took 5.3 to 9.0 us (3.4 us without
such work), as a part of it: nothing while there is no entry; for recurring tokens 13 to
17 % for one set, which is 0.4 to 0.6 us of 3.4; 26 to 33 % for a pair or a nested
claim; 41 % for three sets; 3 % where the token lacks the claim. For a device that is
new half of what the check of a new token takes, most of it for its digest.

    python benchmarks/claim_sets.py [--rounds 300] [--quick]
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any, Final

import orjson
from _figures import Figure, report
from _identity import IDENTITY
from _options import parse, parser
from check import _PEPPER, _POLICIES, _RULES, entry, now_ms, payload

from revocation.claims.claim_sets import ClaimSet
from revocation.entries import Entry, Kind, Limits, Offset, Position, Target
from revocation.store.contract import Batch, Mark
from revocation.verifier import Verifier
from revocation.verifier.base_verifier import VerifierParts
from tests.memory_store import MemoryStore

MAX_US: Final = 0.5
_ISSUER: Final = "https://idp.example/"
_HOUR_MS: Final = 3_600_000
_TOKENS: Final = 64
_DEVICE: Final = ("device_id",)
_CASES: Final[dict[str, tuple[tuple[ClaimSet, ...], bool]]] = {
    "none": ((), False),
    "no entry": ((_DEVICE,), False),
    "absent": ((("nothing",),), True),
    "one": ((_DEVICE,), True),
    "nested": ((("act.sub",),), True),
    "pair": ((("azp", "device_id"),), True),
    "three": ((("act.sub",), ("azp", "device_id"), _DEVICE), True),
}
"""The sets, and whether there are entries about values of them."""


def token(number: int) -> bytes:
    """Return the claims set of a token that nobody revoked."""
    claims = orjson.loads(payload(number))
    more = {
        "device_id": f"device-{number}",
        "azp": "web",
        "act": {"sub": f"agent-{number % 10}"},
    }
    return orjson.dumps({**claims, **more})


RECURRING: Final = [token(number) for number in range(256)]
Make = Callable[[], list[dict[str, Any]]]


def recurring() -> list[dict[str, Any]]:
    """Return claims sets that were seen before, each just parsed."""
    return [orjson.loads(each) for each in random.sample(RECURRING, _TOKENS)]


def new() -> list[dict[str, Any]]:
    """Return claims sets that nobody has seen."""
    return [orjson.loads(token(random.randrange(10**9))) for _ in range(_TOKENS)]


_MAKES: Final[dict[str, Make]] = {"recurring": recurring, "new": new}


def revoked(number: int) -> Entry:
    """Return an entry about a value that no token has."""
    now = now_ms()
    target = Target(Kind.CLAIMS, _ISSUER, f"device_id=stolen-{number}")
    return Entry(target, Position(0, Offset(number), now), not_before=now)


async def verifier(
    stack: contextlib.AsyncExitStack, sets: tuple[ClaimSet, ...], *, entries: bool
) -> Verifier:
    """Return a verifier over a region of 3,000 entries, and 1,000 about claims."""
    store = MemoryStore(
        limits=Limits(_HOUR_MS, _HOUR_MS, 0), clock=now_ms, pepper=_PEPPER
    )
    held = [entry(number, now_ms()) for number in range(3_000)]
    held += [revoked(number) for number in range(1_000 if entries else 0)]
    at = Offset(1)
    await store.begin("epoch", IDENTITY)
    mark = Mark(at, at, now_ms(), at, rebuilt=True)
    await store.apply("epoch", Batch(held, {0: mark}, {}))
    rules = replace(_RULES, revocable_claims=sets)
    parts = VerifierParts(store=store, rules=rules, policies=_POLICIES)
    return await stack.enter_async_context(Verifier(parts, store, peppers=(_PEPPER,)))


def check_us(asked: Verifier, make: Make) -> float:
    """Return the microseconds of a check, of one run over some tokens."""
    tokens, check = make(), asked.check
    began = time.perf_counter()
    for claims in tokens:
        check(claims)
    return (time.perf_counter() - began) / len(tokens) * 1e6


async def run(rounds: int) -> None:
    """Alternate, report what each costs on top."""
    figures = []
    async with contextlib.AsyncExitStack() as stack:
        asked = {
            name: await verifier(stack, sets, entries=entries)
            for name, (sets, entries) in _CASES.items()
        }
        for kind, make in _MAKES.items():
            took: dict[str, list[float]] = {name: [] for name in asked}
            for _ in range(rounds):
                for name, each in asked.items():
                    took[name].append(check_us(each, make))
                await asyncio.sleep(0)
            without = median(took["none"])
            for name, each in took.items():
                pairs = zip(each, took["none"], strict=True)
                more = round(median([one - other for one, other in pairs]), 2)
                limit = MAX_US if (kind, name) == ("recurring", "one") else None
                named = f"claim_sets.{kind}.{name}"
                figures.append(Figure(named, more, without, limit, "us"))
    report("Claim sets: what a check costs more", figures)


def main() -> None:
    """Measure in this process alone."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=300)
    asyncio.run(run(parse(options, rounds=3).rounds))


if __name__ == "__main__":
    main()
