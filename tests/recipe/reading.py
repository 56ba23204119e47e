"""Reads the test vectors as a verifier, and loads them into a server."""

import json
from pathlib import Path

from redis.asyncio import Redis

from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules, Token, read_token
from revocation.decision import Beyond, Freshness, StalenessPolicy, decide
from revocation.errors import DisagreementError
from revocation.identity import Expectation, Lifetimes, decode_identity, fingerprint
from revocation.store import canary
from revocation.store.layout import Layout, decode_value

PATH = Path(__file__).parents[2] / "schemas" / "vectors" / "decision.json"
VECTORS = json.loads(PATH.read_text())
MEMBERS = ("active", "reason", "staleness_ms", "stale", "receipt")


def name_of(vector):
    return vector["name"]


def layout_of(vector):
    return Layout(vector["prefix"], (vector["pepper"].strip().encode(),))


def rules_of(vector):
    rules = vector["rules"]
    issuers = {issuer: _names(each) for issuer, each in rules["issuers"].items()}
    sets = tuple(map(tuple, rules["revocable_claims"]))
    told = {"names": _names(rules["names"]), "issuers": issuers}
    return Rules(**{**rules, **told, "revocable_claims": sets})


def _names(told):
    lists = {name: tuple(each) for name, each in told.items() if isinstance(each, list)}
    return ClaimNames(**{**told, **lists})


def policy_of(vector):
    beyond = Beyond(vector["policy"]["beyond"])
    return StalenessPolicy(**{**vector["policy"], "beyond": beyond})


def token_of(vector):
    """What the token names, or what is wrong with it; and the targets to look up."""
    claims, kid, resources = vector["claims"], vector["kid"], vector["resources"]
    token = read_token(claims, rules_of(vector), kid=kid, resources=resources)
    return token, token.targets() if isinstance(token, Token) else ()


def agrees(vector):
    """Whether the region is read as it was written."""
    region, rules = vector["region"], vector["rules"]
    if region["epoch"] is None:
        return False
    lifetimes = Lifetimes(
        rules["longest_token_ms"] // 1_000,
        vector["settings"]["max_session_seconds"],
        rules["leeway_ms"] // 1_000,
        rules["clock_allowance_ms"] // 1_000,
        refresh_period_seconds=0,
    )
    pepper = vector["pepper"].strip().encode()
    expected = Expectation(
        vector["settings"]["region"],
        (fingerprint(pepper),),
        lifetimes,
        rules_of(vector).revocable_claims,
    )
    try:
        expected.require(decode_identity(json.dumps(region["identity"]).encode()))
    except DisagreementError:
        return False
    layout, receipt = layout_of(vector), canary.receipt(region["epoch"]).decode()
    found = [
        region["canaries"].get(layout.key(target).hex(), "")
        for target in canary.TARGETS.values()
    ]
    return all(value.split(" ")[0] == receipt for value in found)


def lying_in(vector):
    """What a server would have under the keys of the vector."""
    return {
        bytes.fromhex(each["key"]): [each["value"].encode(), each["expires_at"]]
        for each in vector["entries"]
    }


def answer(vector, hits, *, ready, as_of):
    """The keys looked up and the verdict, from what lies under the keys."""
    token, targets = token_of(vector)
    layout = layout_of(vector)
    keys = {layout.key(target): target for target in targets}
    found = {
        target: decode_value(target, *hits[key])
        for key, target in keys.items()
        if hits.get(key) is not None
    }
    verdict = decide(
        token,
        found,
        Freshness(ready and agrees(vector), as_of),
        policy=policy_of(vector),
        rules=rules_of(vector),
        now=vector["now"],
        skew_ms=vector["skew_ms"],
    )
    return {
        "keys": sorted(key.hex() for key in keys),
        "verdict": {name: getattr(verdict, name) for name in MEMBERS},
    }


async def put(raw: Redis, vector) -> None:
    """Write a vector's region, by the calls of docs/store-layout.md."""
    region, meta = vector["region"], f"{{{vector['prefix']}}}meta"
    if region["epoch"] is None:
        assert not vector["entries"]
        return
    state = (meta, f"{{{vector['prefix']}}}feed")
    canaries = {bytes.fromhex(key): each for key, each in region["canaries"].items()}
    await raw.execute_command(
        *("FCALL", "revocation_begin", 2 + len(canaries), *state, *canaries),
        *(region["epoch"], 1, "", json.dumps(region["identity"]), "entries"),
        *canaries.values(),
    )
    entries = lying_in(vector)
    # A mark: next_offset source_offset as_of applied_offset rebuilt forwarded.
    mark = f"1 0 {region['as_of']} 0 {int(region['ready'])} -1"
    values = [part for value in entries.values() for part in value]
    written = await raw.execute_command(
        *("FCALL", "revocation_apply", 2 + len(entries), *state, *entries),
        *(region["epoch"], 3_600_000, 1, 0, "", mark, *values),
    )
    assert written == len(entries)


async def find(raw: Redis, vector):
    """What the server answers for a vector: hits by key, whether ready, and as of."""
    keys = [layout_of(vector).key(target) for target in token_of(vector)[1]]
    meta = f"{{{vector['prefix']}}}meta"
    epoch, ready, as_of, *hits = await raw.execute_command(
        "FCALL_RO", "revocation_find", 1 + len(keys), meta, *keys
    )
    if epoch is None:
        return {}, False, 0
    return dict(zip(keys, hits, strict=True)), ready == b"1", int(as_of)
