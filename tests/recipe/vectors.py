"""Test vectors for verifiers in other languages: `schemas/vectors/decision.json`.

Every case says what a verifier is given, which keys it must look up and what it must
answer. The answers come from this implementation, and the reason of each has to be the
one that a person wrote beside the case. `docs/other-languages.md` says how to use them.
"""

import json
from dataclasses import asdict, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from revocation.claims.claims import Rules, Token, read_token
from revocation.decision import Freshness, Verdict, decide
from revocation.errors import DisagreementError
from revocation.export.schemas import write
from revocation.identity import (
    Expectation,
    Identity,
    Lifetimes,
    encode_identity,
    fingerprint,
)
from revocation.store import canary
from revocation.store.layout import Layout, decode_value, encode_value
from tests.recipe.cases import CASES
from tests.recipe.cases.case import EPOCH, REGION, Case, StoredEntry

Json = dict[str, Any]

_DAY_SECONDS: Final = 86_400
_EXPECTED: Final = ("active", "reason", "staleness_ms", "stale", "receipt")


def main() -> None:
    """Write the vectors into `schemas/vectors`; `make schemas` calls this."""
    for path in export(Path("schemas") / "vectors"):
        print(path)  # noqa: T201 - a command


def export(folder: Path) -> list[Path]:
    """Write every document into `folder`, which is made if it is missing."""
    return write(folder, documents())


def documents() -> dict[str, bytes]:
    """Return every document by its file name; the same bytes each time."""
    return {"decision.json": _to_json([vector(each) for each in CASES])}


def vector(case: Case) -> Json:
    """Return a case as others read it.

    Raises:
        ValueError: the verdict is not what a person expects.
    """
    layout = _layout(case)
    token = read_token(
        case.claims, case.rules, kid=case.kid, resources=tuple(case.resources)
    )
    verdict = _decide(case, token)
    if verdict.reason is not case.reason:
        raise ValueError(
            f"the case {case.name!r} expects {case.reason}, the verdict is "
            f"{verdict.reason}: correct the case or the rule"
        )
    keys = layout.keys(token.targets()) if isinstance(token, Token) else []
    ready, as_of = case.freshness
    return {
        "name": case.name,
        "rules": _rules(case.rules),
        "pepper": case.pepper,
        "prefix": layout.prefix,
        "settings": {"region": REGION, "max_session_seconds": _DAY_SECONDS},
        "claims": case.claims,
        "kid": case.kid,
        "resources": case.resources,
        "entries": [_lying(each, layout) for each in case.entries],
        "region": {
            "epoch": None if case.cold else EPOCH,
            "ready": ready,
            "as_of": as_of,
            "identity": json.loads(encode_identity(_identity(case))),
            "canaries": _canaries(case, layout),
        },
        "policy": asdict(case.policy),
        "now": case.now,
        "skew_ms": case.skew_ms,
        "expected": {
            "keys": sorted({key.hex() for key in keys}),
            "verdict": {name: getattr(verdict, name) for name in _EXPECTED},
        },
    }


def _rules(rules: Rules) -> Json:
    """Return rules as others read them, without what reads tokens here."""
    known = (each.name for each in fields(rules) if each.init)
    told = {name: getattr(rules, name) for name in known}
    issuers = {issuer: asdict(names) for issuer, names in rules.issuers.items()}
    return told | {"names": asdict(rules.names), "issuers": issuers}


def _layout(case: Case) -> Layout:
    """Give each case keys of its own, so that one server holds all at once."""
    named = blake2b(case.name.encode(), digest_size=4).hexdigest()
    return Layout(case.prefix or f"v-{named}", (case.pepper.strip().encode(),))


def _decide(case: Case, token: Token | str) -> Verdict:
    """Decide on what is read from a store, as a verifier does."""
    stored = [
        decode_value(entry.target, encode_value(entry), expires_at)
        for entry, expires_at in case.entries
    ]
    named = set(token.targets()) if isinstance(token, Token) else set()
    found = {entry.target: entry for entry in stored if entry.target in named}
    ready, as_of = case.freshness
    return decide(
        token,
        found,
        Freshness(ready and _agrees(case), as_of),
        policy=case.policy,
        rules=case.rules,
        now=case.now,
        skew_ms=case.skew_ms,
    )


def _expectation(case: Case) -> Expectation:
    """Return what the verifier of a case needs the region to be."""
    rules = case.rules
    lifetimes = Lifetimes(
        rules.longest_token_ms // 1_000,
        _DAY_SECONDS,
        rules.leeway_ms // 1_000,
        rules.clock_allowance_ms // 1_000,
        _DAY_SECONDS,
    )
    return Expectation(
        REGION,
        (fingerprint(case.pepper.strip().encode()),),
        lifetimes,
        rules.revocable_claims,
    )


def _identity(case: Case) -> Identity:
    states: Json = {
        "cluster_id": None,
        "topic_prefix": "revocation",
        "partitions": 1,
        **_expectation(case)._asdict(),
        **case.states,
    }
    return Identity(**states)


def _agrees(case: Case) -> bool:
    try:
        _expectation(case).require(_identity(case))
    except DisagreementError:
        return False
    return case.canaries == EPOCH


def _canaries(case: Case, layout: Layout) -> dict[str, str]:
    if case.cold or case.canaries is None:
        return {}
    entries = canary.entries(case.canaries)
    return {
        layout.key(each.target).hex(): encode_value(each).decode() for each in entries
    }


def _lying(lying: StoredEntry, layout: Layout) -> Json:
    entry, expires_at = lying
    return {
        "key": layout.key(entry.target).hex(),
        "value": encode_value(entry).decode(),
        "expires_at": expires_at,
    }


def _to_json(vectors: list[Json]) -> bytes:
    """Write a member a line: a change of one case is a change of a few lines.

    Escaped, as letters that look the same may differ; some numbers are too large for
    faster writers.
    """
    written = (
        ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in each)
        for each in (vector.items() for vector in vectors)
    )
    return ("[{\n" + "\n}, {\n".join(written) + "\n}]\n").encode()


if __name__ == "__main__":
    main()
