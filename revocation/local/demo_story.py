"""The demo's acts: five kinds of revocation, each watched in every region.

Every region must reject a stale token and accept a fresh one, and a user who logged out
must be able to log in again at once.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import httpx

from revocation import events
from revocation.events import Event
from revocation.local.demo_issuer import ISSUER, Issuer
from revocation.publisher import Publisher

MEASURED: Final = 200
_SOURCE: Final = "/demo"
_PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A revocation, the token that it must kill and those that it must not."""

    title: str
    event: Event
    stale: str
    path: str = "/data"
    fresh: Mapping[str, str] = field(default_factory=dict)
    """Paths and tokens that must still pass afterwards; the key is `path label`."""
    login: Callable[[], str] | None = None
    """Mints the token of a new login, right after."""


class Seen(NamedTuple):
    """The rejection by a region's service, and how long it took."""

    milliseconds: float
    reason: str
    as_of: int


class DemoRegion:
    """A region's service, as a client sees it."""

    def __init__(self, name: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self._client = client

    async def accepts(self, token: str, path: str = "/data") -> bool:
        """Return whether the service serves the token now."""
        return (await self._get(token, path)).status_code == httpx.codes.OK

    async def rejection(self, token: str, path: str, since: float) -> Seen | None:
        """Wait until the service rejects the token; None if it never does."""
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while time.perf_counter() < deadline:
            answer = await self._get(token, path)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                took = (time.perf_counter() - since) * 1_000
                verdict = answer.json()
                return Seen(took, verdict["reason"], verdict.get("as_of", 0))
            await asyncio.sleep(_POLL_SECONDS)
        return None

    async def _get(self, token: str, path: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {token}"}
        return await self._client.get(path, headers=bearer)


def acts(issuer: Issuer) -> list[Act]:
    """Return the five acts, with tokens signed now."""
    new: dict[str, Any] = {"source": _SOURCE, "issuer": ISSUER}
    dataset = "/datasets/42"
    researcher = issuer.mint("erin")
    return [
        Act(
            title="logout everywhere",
            event=events.UserLoggedOut.new(**new, user="alice"),
            stale=issuer.mint("alice", ver=0),
            login=lambda: issuer.mint("alice", ver=1),
        ),
        Act(
            title="session end",
            event=events.SessionEnded.new(**new, sid="laptop"),
            stale=issuer.mint("bob", sid="laptop"),
            fresh={"/data other session": issuer.mint("bob", sid="phone")},
        ),
        Act(
            title="user disabled",
            event=events.UserDisabled.new(**new, user="carol"),
            stale=issuer.mint("carol"),
        ),
        Act(
            title="data deleted",
            event=events.DataDeleted.new(**new, resource="dataset:42"),
            stale=researcher,
            path=dataset,
            fresh={"/datasets/7 other data": researcher},
        ),
        Act(
            title="key compromised",
            event=events.KeyRevoked.new(**new, kid="key-2"),
            stale=issuer.mint("dave", kid="key-2"),
            fresh={"/data other key": issuer.mint("dave", kid="key-1")},
        ),
    ]


Report = Callable[[str, str, Seen | None], None]
"""Called with act, region and rejection as they happen."""


async def play(
    act: Act, regions: list[DemoRegion], publisher: Publisher, report: Report
) -> list[str]:
    """Play one act; return what went wrong."""
    wrong = [
        f"{act.title}: rejected in {region.name} before the event"
        for region in regions
        if not await region.accepts(act.stale, act.path)
    ]
    since = time.perf_counter()
    publishing = asyncio.ensure_future(publisher.publish(act.event))

    async def watch(region: DemoRegion) -> None:
        seen = await region.rejection(act.stale, act.path, since)
        report(act.title, region.name, seen)
        if seen is None:
            wrong.append(f"{act.title}: never rejected in {region.name}")

    await asyncio.gather(publishing, *map(watch, regions))
    must_pass = {
        name: (token, name.split(" ", 1)[0]) for name, token in act.fresh.items()
    }
    if act.login is not None:
        must_pass["a new login"] = (act.login(), act.path)
    for region in regions:
        for name, (token, path) in must_pass.items():
            if not await region.accepts(token, path):
                wrong.append(f"{act.title}: {name} rejected in {region.name}")
    return wrong


async def measure(
    issuer: Issuer,
    regions: list[DemoRegion],
    publisher: Publisher,
    advance: Callable[[], None],
) -> tuple[dict[str, list[float]], list[str]]:
    """Revoke many tokens one after another; return ms per region, and failures."""
    took: dict[str, list[float]] = {region.name: [] for region in regions}
    wrong: list[str] = []
    fresh = issuer.mint("bystander")
    for number in range(MEASURED):
        token, event = _victim(issuer, number)
        since = time.perf_counter()
        publishing = asyncio.ensure_future(publisher.publish(event))
        rejections = await asyncio.gather(
            *(region.rejection(token, "/data", since) for region in regions)
        )
        await publishing
        for region, each in zip(regions, rejections, strict=True):
            if each is None:
                wrong.append(f"revocation {number}: never rejected in {region.name}")
            else:
                took[region.name].append(each.milliseconds)
        advance()
    wrong += [
        f"the bystander's token was rejected in {region.name}"
        for region in regions
        if not await region.accepts(fresh)
    ]
    return took, wrong


def _victim(issuer: Issuer, number: int) -> tuple[str, Event]:
    """Return a token and the event that kills it; three kinds in turn."""
    new: dict[str, Any] = {"source": _SOURCE, "issuer": ISSUER}
    user = f"user-{number}"
    match number % 3:
        case 0:
            event = events.UserLoggedOut.new(**new, user=user)
            return issuer.mint(user, ver=0), event
        case 1:
            sid = f"session-{number}"
            return issuer.mint(user, sid=sid), events.SessionEnded.new(**new, sid=sid)
        case _:
            jti = f"token-{number}"
            return issuer.mint(user, jti=jti), events.TokenRevoked.new(**new, jti=jti)
