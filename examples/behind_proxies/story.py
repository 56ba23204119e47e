"""What happens: a user uses every proxy, logs out once, and logs in again at once.

At each proxy a visitor asks for the same thing again and again, looks at each answer,
and claims with each request to be somebody else.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import httpx

from examples.behind_proxies.services import Service
from examples.behind_proxies.system import Door
from revocation.events import UserLoggedOut
from revocation.local.demo_issuer import ISSUER, Issuer
from revocation.publisher import Publisher

USER: Final = "alice"
STRANGER: Final = "mallory"
NOBODY: Final = "nobody"
PRIVATE: Final = "/datasets/7"
PUBLIC: Final = "/health"
_PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.005
_ACT_SECONDS: Final = 2.5
"""Before and after the logout, for people to watch."""


class Answer(NamedTuple):
    """What a client was answered; status 0 is no answer at all."""

    status: int
    error: str = ""
    """Of the challenge (RFC 6750 section 3.1), or why there is no answer."""
    caller: str = ""
    """Whom the service took the client for, by the header that reached it."""

    def __str__(self) -> str:
        return f"{self.status or 'nothing'} {self.error}".strip()


class Refusal(NamedTuple):
    """The first answer that no longer let a token pass."""

    milliseconds: float
    """Since the logout was handed to the publisher."""
    told: Answer


class Logout(NamedTuple):
    """When the user logged out, by the wall clock and by the one that measures."""

    time: float
    began: float
    acknowledged: float | None = None
    """After so many milliseconds, by Kafka."""


class Visitor:
    """A user at one proxy, and what is seen there."""

    def __init__(self, door: Door, client: httpx.AsyncClient, issuer: Issuer) -> None:
        self.door = door
        self.passed = 0
        """How often the first token passed."""
        self.refusal: Refusal | None = None
        self.pace_ms = 0.0
        """From one question to the next until then, on average."""
        self.came_back = 0
        """How often the token of the new login passed."""
        self.served = 0
        """How often the service itself answered, whatever the token."""
        self.caller = ""
        """Whom the service took the visitor for the last time."""
        self.callers: set[str] = set()
        """Whom it ever did."""
        self.latest = Answer(0)
        """What the first token was answered the last time."""
        self.wrong: Counter[str] = Counter()
        self.logout: Logout | None = None
        self.refused = asyncio.Event()
        self._client = client
        self._issuer = issuer

    async def knock(self) -> None:
        """Ask without a token: for what needs one, and for what does not."""
        told = await self._ask(PRIVATE)
        if told.status != httpx.codes.UNAUTHORIZED:
            self.wrong[f"answered {told} to a request without a token"] += 1
        told = await self._ask(PUBLIC)
        if told != Answer(httpx.codes.OK, caller=NOBODY):
            self.wrong[f"answered {told} to a public request"] += 1

    async def visit(self, leave: asyncio.Event) -> None:
        """Use a token until it is refused, then log in again and try both."""
        first = self._issuer.mint(USER, ver=0)
        began = time.perf_counter()
        while not (leave.is_set() or self.refusal):
            await self._use(first)
            await asyncio.sleep(_POLL_SECONDS)
        self.pace_ms = (time.perf_counter() - began) * 1_000 / (self.passed + 1)
        again = self._issuer.mint(USER, ver=1)
        while not leave.is_set():
            told = await self._ask(PRIVATE, again)
            if told.status == httpx.codes.OK:
                self.came_back += 1
            else:
                self.wrong[f"answered {told} to the token of the new login"] += 1
            told = await self._ask(PRIVATE, first)
            if told.status != httpx.codes.UNAUTHORIZED:
                self.wrong[f"answered {told} to the token that it had refused"] += 1
            await asyncio.sleep(_POLL_SECONDS)

    async def _use(self, token: str) -> None:
        told = self.latest = await self._ask(PRIVATE, token)
        if told.status == httpx.codes.OK:
            self.passed += 1
        elif told.status == httpx.codes.UNAUTHORIZED and self.logout:
            took = (time.perf_counter() - self.logout.began) * 1_000
            self.refusal = Refusal(took, told)
            self.refused.set()
        else:
            self.wrong[f"answered {told} to a token that counted"] += 1

    async def _ask(self, path: str, token: str | None = None) -> Answer:
        headers = {"x-auth-subject": STRANGER}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        try:
            answer = await self._client.get(path, headers=headers)
        except httpx.TransportError as error:
            return Answer(0, type(error).__name__)
        if answer.is_success:
            self.caller = answer.json()["caller"]
            self.callers.add(self.caller)
            self.served += path == PRIVATE
            return Answer(answer.status_code, caller=self.caller)
        challenge = answer.headers.get("www-authenticate", "")
        code = re.search(r'error="([^"]*)"', challenge)
        return Answer(answer.status_code, code[1] if code else "")


async def play(
    visitors: Sequence[Visitor], publisher: Publisher, tell: Callable[[Logout], None]
) -> None:
    """Let them visit, and the user log out meanwhile; what they see, they keep."""
    for visitor in visitors:
        await visitor.knock()
    leave = asyncio.Event()
    visiting = [asyncio.ensure_future(each.visit(leave)) for each in visitors]
    try:
        await asyncio.sleep(_ACT_SECONDS)
        tell(await _log_out(visitors, publisher))
        refused = [asyncio.ensure_future(each.refused.wait()) for each in visitors]
        _, late = await asyncio.wait(refused, timeout=_PATIENCE_SECONDS)
        for each in late:
            each.cancel()
        await asyncio.sleep(_ACT_SECONDS)
    finally:
        leave.set()
        await asyncio.gather(*visiting)


async def _log_out(visitors: Sequence[Visitor], publisher: Publisher) -> Logout:
    event = UserLoggedOut.new(
        source="/examples/behind-proxies", issuer=ISSUER, user=USER
    )
    logout = Logout(time.time(), time.perf_counter())
    for visitor in visitors:
        visitor.logout = logout
    await publisher.publish(event)
    took = (time.perf_counter() - logout.began) * 1_000
    return logout._replace(acknowledged=took)


def judge(visitors: Sequence[Visitor], services: Sequence[Service]) -> list[str]:
    """Return all that is not as it must be."""
    wrong = [each for visitor in visitors for each in _judge_proxy(visitor)]
    for service in services:
        behind = [each for each in visitors if each.door.service == service]
        wrong += _judge_service(service, behind)
    return wrong


def _judge_proxy(visitor: Visitor) -> list[str]:
    proxy = visitor.door.proxy
    wrong = [f"{proxy} {what} ({times}x)" for what, times in visitor.wrong.items()]
    after = f"{_PATIENCE_SECONDS:g} s after the logout"
    if visitor.refusal is None and visitor.latest.status == httpx.codes.OK:
        wrong.append(f"{proxy} still let the logged-out token pass {after}")
    elif visitor.refusal is None:
        wrong.append(f"{proxy} had not refused the logged-out token {after}")
    elif visitor.refusal.told.error != "invalid_token":
        wrong.append(f"{proxy} refused with {visitor.refusal.told}, no invalid_token")
    elif not visitor.came_back:
        wrong.append(f"{proxy} never let the token of the new login pass")
    if not visitor.passed:
        wrong.append(f"{proxy} never let the first token pass")
    return wrong


def _judge_service(service: Service, visitors: Sequence[Visitor]) -> list[str]:
    """Compare what reached it, by its own word, with what visitors were answered."""
    arrived = service.arrived()
    name = f"the service in {service.language}"
    wrong = []
    for (path, caller), times in arrived.items():
        expected = USER if path == PRIVATE else NOBODY
        if caller != expected:
            wrong.append(
                f"{name} saw {caller}, not {expected}, ask for {path} ({times}x)"
            )
    reached = sum(times for (path, _), times in arrived.items() if path == PRIVATE)
    served = sum(each.served for each in visitors)
    if reached != served:
        wrong.append(
            f"{reached} requests for {PRIVATE} reached {name}, and {served} were "
            "answered by it"
        )
    return wrong
