"""The cost of claim names other than those of RFC 9068 for a check.

For each preset a verifier whose issuer has it, and tokens that name a user, a session,
a client and a tenant in its claims; beside a verifier that knows the usual names only,
and tokens of those. All are checked in alternating rounds, from the claims set to the
verdict; the median of the rounds' differences counts. With `--beside` usual tokens are
also checked by another checkout of this project, in processes of their own, in turns.

    python benchmarks/presets.py [--rounds 200] [--beside PATH] [--quick]

Seen on two shared cores at other work, where a check of new tokens took 7.9 to 10.4 us:
-1.6 to +0.6 us, which is noise, but for names in objects (`clerk` 0.8 to 1.7 us more,
`kubernetes` 2.1 to 3.9). Tokens that `verify` remembers are read once, so there it
costs nothing. Beside the release before claims had names: 0.97 for usual tokens.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
from _figures import Figure, report
from _identity import IDENTITY
from _options import parse, parser
from check import _PEPPER, _POLICIES, entry, now_ms, payload

from revocation.claims.claim_mapping import ClaimMapping
from revocation.claims.claim_names import ClaimNames, put_claim
from revocation.claims.claims import Rules
from revocation.entries import Limits, Offset
from revocation.jwt.presets import presets
from revocation.store.contract import Batch, Mark
from revocation.verifier import Verifier
from revocation.verifier.base_verifier import VerifierParts
from tests.memory_store import MemoryStore

MAX_US: Final = 0.25
MAX_NESTED_US: Final = 2.0
NESTED: Final = frozenset({"clerk", "firebase", "kubernetes"})
"""Presets with names in objects."""
MAX_BESIDE: Final = 1.05
_ISSUER: Final = "https://idp.example/"
_DAY_MS: Final = 86_400_000
_TOKENS: Final = 64
_USUAL: Final = "usual"

Claims = dict[str, Any]


def usual_tokens() -> list[Claims]:
    """Return claims sets with the usual names, each just parsed."""
    return [orjson.loads(payload(number)) for number in range(_TOKENS)]


def tokens_of(names: ClaimNames) -> list[Claims]:
    """Return claims sets that name all that there are claims for, each just parsed.

    Two claims for one thing say the same, as in most tokens.
    """
    alike = {
        **dict.fromkeys(names.sessions, "session"),
        **dict.fromkeys(names.clients, "client"),
    }
    made = []
    for number, usual in enumerate(usual_tokens()):
        claims: Claims = {name: usual[name] for name in ("iss", "aud", "iat", "exp")}
        for name in dict.fromkeys((*names.identifiers, *names.required)):
            put_claim(claims, name, f"nobody-{alike.get(name, name)}-{number}")
        made.append(orjson.loads(orjson.dumps(claims)))
    return made


async def verifier(stack: contextlib.AsyncExitStack, rules: Rules) -> Verifier:
    """Return a verifier over a region of 300 entries."""
    store = MemoryStore(
        limits=Limits(_DAY_MS, _DAY_MS, 0), clock=now_ms, pepper=_PEPPER
    )
    held = [entry(number, now_ms()) for number in range(300)]
    at = Offset(1)
    await store.begin("epoch", IDENTITY)
    mark = Mark(at, at, now_ms(), at, rebuilt=True)
    await store.apply("epoch", Batch(held, {0: mark}, {}))
    parts = VerifierParts(store=store, rules=rules, policies=_POLICIES)
    return await stack.enter_async_context(Verifier(parts, store, peppers=(_PEPPER,)))


def check_us(asked: Verifier, make: Callable[[], list[Claims]]) -> float:
    """Return the microseconds of a check, of one run over some tokens."""
    tokens, check = make(), asked.check
    began = time.perf_counter()
    for claims in tokens:
        assert check(claims).reason == "active"
    return (time.perf_counter() - began) / len(tokens) * 1e6


async def measure(rounds: int) -> list[Figure]:
    """Alternate; return what each preset costs on top of the usual names."""
    known = ClaimMapping.model_fields.keys()
    mappings = {_USUAL: ClaimMapping()}
    for name, each in presets().items():
        own = {key: each.settings[key] for key in known & each.settings.keys()}
        # Nothing here is dated back, and it would be refused.
        mappings[name] = ClaimMapping(**own | {"iat_backdated_seconds": 0})
    async with contextlib.AsyncExitStack() as stack:
        asked: dict[str, tuple[Verifier, Callable[[], list[Claims]]]] = {}
        for name, mapping in mappings.items():
            issuers = {_ISSUER: mapping.names}
            rules = Rules(longest_token_ms=_DAY_MS, issuers=issuers)
            made = await verifier(stack, rules)
            asked[name] = made, partial(tokens_of, mapping.names)
        took: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, (each, make) in asked.items():
                took[name].append(check_us(each, make))
            await asyncio.sleep(0)
    usual = took.pop(_USUAL)
    without = round(median(usual), 3)
    return [
        Figure(
            f"presets.{name}",
            round(median([one - two for one, two in zip(each, usual, strict=True)]), 2),
            without,
            MAX_NESTED_US if name in NESTED else MAX_US,
            "us more",
        )
        for name, each in took.items()
    ]


def beside(path: Path, rounds: int, turns: int) -> Figure:
    """Check usual tokens here and in another checkout, in turns."""
    here = Path(__file__).parents[1]
    took: tuple[list[float], list[float]] = ([], [])
    command = [sys.executable, here / "benchmarks" / "_usual.py", str(rounds)]
    for _ in range(turns):
        for checkout, each in zip((here, path), took, strict=True):
            env = {**os.environ, "PYTHONPATH": str(checkout)}
            each.append(float(subprocess.check_output(command, env=env)))
    ours, theirs = (round(median(each), 3) for each in took)
    return Figure("presets.beside", ours, theirs, theirs * MAX_BESIDE, "us")


def main() -> None:
    """Measure in this process, and another checkout in others."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--beside", type=Path, help="another checkout")
    options.add_argument("--turns", type=int, default=9, help="of each checkout")
    asked = parse(options, rounds=3, turns=1)
    figures = asyncio.run(measure(asked.rounds))
    if asked.beside is not None:
        figures.append(beside(asked.beside.absolute(), asked.rounds, asked.turns))
    report("Presets: what a check costs more", figures)


if __name__ == "__main__":
    main()
