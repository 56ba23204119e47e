"""A request to a fallback, regions to ask, and a sidecar's answer."""

from dataclasses import replace

from starlette.responses import JSONResponse

from revocation.decision import Beyond, StalenessPolicy
from revocation.entries import Entry, Kind, Position, Target
from revocation.settings import LimitSettings
from revocation.store.contract import Batch, Mark
from revocation.verifier.fallback import CheckRequest
from tests.identities import identity
from tests.stations.regions import FailingStore, now_ms
from tests.traffic import ISSUER, claims

RULES = LimitSettings().rules
WITH_SETS = replace(RULES, revocable_claims=(("act.sub",), ("azp", "device_id")))
POLICY = StalenessPolicy(
    fresh_ms=1_000, max_staleness_ms=5_000, beyond=Beyond.INTROSPECT
)
PATIENT = {"timeout_ms": 10_000}
TOKEN = "header.payload.signature"


def token(name="alice", **more):
    return claims(name, now=now_ms() // 1000, **more)


def check_request(name="alice", *, resources=(), kid=None, compact=TOKEN, **more):
    return CheckRequest(token(name, **more), kid, resources, compact, "write")


async def ask(fallback, check=None, policy=POLICY, skew_ms=0, rules=RULES):
    check = check_request() if check is None else check
    return await fallback.ask(
        check,
        policy=policy,
        rules=rules,
        now=lambda: now_ms() + skew_ms,
        skew_ms=skew_ms,
    )


def as_of(age_ms=300):
    return {"as_of": now_ms() - age_ms, "staleness_ms": age_ms}


def sidecar_answer(verdict, **changed):
    body = {**verdict.to_json(), "region": "us", **changed}
    return JSONResponse({name: body[name] for name in body if body[name] is not ...})


class Skewed(FailingStore):
    """A store whose clock is wrong."""

    skew_ms = 0
    measured = 0

    async def clock_skew_ms(self):
        self.measured += 1
        self._refuse_if_away()
        return self.skew_ms


async def store_as_of(age_ms=0, *entries, rebuilt=True):
    store = Skewed()
    mark = Mark(1, 1, now_ms() - age_ms, 1, rebuilt)
    await store.begin("epoch", identity())
    await store.apply("epoch", Batch(entries, {0: mark}, {}))
    return store


def cut_off(kind=Kind.USER, name="alice"):
    at = Position(0, 7, now_ms())
    return Entry(Target(kind, ISSUER, name), at, not_before=at.time)
