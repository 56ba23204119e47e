"""What benchmarks/soak.py asks: tokens of one issuer, requests, rules, and the mix.

Requests are made beforehand, byte by byte as Traefik's forwardAuth sends them, so that
asking costs little. Every question has a course, which says what the answer must be.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from _soak_oracle import PASSED, Course
from joserfc import jwt
from joserfc.jwk import ECKey

from revocation.events import (
    DataDeleted,
    Event,
    SessionEnded,
    TokenRevoked,
    UserLoggedOut,
)

ISSUER: Final = "https://idp.example/"
AUDIENCE: Final = "https://api.example/"
LEEWAY_SECONDS: Final = 60
SESSIONS: Final = 4_000
REVOKED_BEFORE: Final = 50
GAP: Final = "in a gap"
"""The courses of tokens that are revoked by a record that the feed loses."""
GAPS: Final = 2

READ, WRITE = "good, read", "good, write"
REVOKED, MEANWHILE = "revoked before", "revoked meanwhile"
EXPIRED, EXPIRING = "expired", "expires meanwhile"
NONE, AUDIENCES, SCOPE = "no token", "other audience", "scope missing"
DELETED, FORGED = "deleted data", "forged"
NEWS, REPORTS = "rule: public or not", "rule: scope or not"

MIX: Final[Mapping[str, int]] = {
    READ: 800,
    WRITE: 100,
    REVOKED: 20,
    MEANWHILE: 40,
    EXPIRED: 8,
    EXPIRING: 5,
    NONE: 5,
    AUDIENCES: 5,
    SCOPE: 5,
    DELETED: 5,
    FORGED: 2,
    NEWS: 3,
    REPORTS: 2,
}
"""Of a thousand questions. Of those that are revoked meanwhile some still are good."""

_LIFETIME: Final = 3_000
_EXPIRING: Final = 40
_SLACK: Final = 0.25
"""Around an expiry: the sidecar adds its clock's distance from the store's."""
_FIRST_DELETED: Final = 9_000_000
_PUBLIC: Final = "public = true"


def rules(*, changed: bool = False, broken: bool = False) -> str:
    """Return the rules file: as it is at first, or changed; or all public, `broken`."""
    data = 'scopes = ["datasets"]\nresources = ["dataset:{id}"]'
    orders = 'scopes = ["datasets"]'
    asked = {
        "/datasets/{id:int}": _PUBLIC if broken else data,
        "/orders": _PUBLIC if broken else orders,
        "/news": _PUBLIC if broken or changed else "",
        "/reports": _PUBLIC if broken else 'scopes = ["reports"]' if changed else "",
    }
    each = [f'[[rules]]\npath = "{path}"\n{what}\n' for path, what in asked.items()]
    return "\n".join([f'audience = "{AUDIENCE}"\n', *each])


class CheckRequest(NamedTuple):
    """A request, and what its answer is judged by."""

    kind: str
    course: str
    told: bytes
    request: bytes


class Revocable(NamedTuple):
    """A good token, and the event that ends it."""

    question: CheckRequest
    event: Event


class Issuer:
    """Signs tokens with a key of its own."""

    def __init__(self) -> None:
        """Make the key."""
        self._key = ECKey.generate_key("P-256", {"kid": "key-1"})

    @property
    def published(self) -> bytes:
        """The key set."""
        public = {**self._key.as_dict(private=False), "alg": "ES256", "use": "sig"}
        return orjson.dumps({"keys": [public]})

    def sign(self, name: str, **claims: Any) -> str:
        """Return a token of a minute ago; `claims` are more, or others."""
        now = int(time.time())
        every = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"user-{name}",
            "client_id": "web",
            "jti": f"token-{name}",
            "sid": f"session-{name}",
            "scope": "openid datasets",
            "iat": now - 60,
            "exp": now + _LIFETIME,
            **claims,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": "key-1"}
        return jwt.encode(header, every, self._key, algorithms=["ES256"])


def _ask(token: str | None, path: str, method: str = "GET") -> bytes:
    lines = [
        "GET /v1/authz/traefik HTTP/1.1",
        *("Host: sidecar", "User-Agent: soak", "Accept-Encoding: gzip"),
        *(f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {path}?page=1"),
        *("X-Forwarded-Host: api.example", "X-Forwarded-Proto: https"),
        "X-Forwarded-For: 192.0.2.7",
    ]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode()


def _told(name: str) -> bytes:
    return f"user-{name}".encode() if name else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """All that is asked: `fixed` at any time, the others until they are revoked."""

    fixed: Mapping[str, Sequence[CheckRequest]]
    revocable: Sequence[Revocable]
    in_gaps: Sequence[Revocable]
    courses: Mapping[str, Course]

    def schedule(self, length: int) -> list[CheckRequest | None]:
        """Return questions in a random order; None where one is chosen when due."""
        chance = random.Random(7)
        kinds = chance.choices([*MIX], weights=[*MIX.values()], k=length)
        return [
            None if kind == MEANWHILE else chance.choice(self.fixed[kind])
            for kind in kinds
        ]


def gone_before() -> Iterator[Event]:
    """Yield what happened before: the events of `REVOKED` and `DELETED`."""
    new: dict[str, Any] = {"source": "/soak", "issuer": ISSUER}
    for number in range(REVOKED_BEFORE):
        yield SessionEnded.new(**new, sid=f"session-revoked-{number}")
        yield DataDeleted.new(**new, resource=f"dataset:{_FIRST_DELETED + number}")


def make(issuer: Issuer, *, revocable: int, begin: float, seconds: float) -> Questions:
    """Mint all tokens.

    Args:
        issuer: of the tokens.
        revocable: how many are to be revoked.
        begin: when it will begin, by `time.monotonic`.
        seconds: how long it will take.
    """
    fixed = {**_good(issuer), **_bad(issuer), **_ruled(issuer)}
    wanted = {NEWS: 401, REPORTS: PASSED, WRITE: PASSED, READ: PASSED, SCOPE: 403}
    courses = {kind: Course(kind, wanted.get(kind, 401)) for kind in fixed}
    fixed[EXPIRING] = []
    for number in range(_EXPIRING):
        at = begin + seconds * (number + 0.5) / _EXPIRING
        exp = int(time.time() + at - time.monotonic()) - LEEWAY_SECONDS
        due = exp + LEEWAY_SECONDS - time.time() + time.monotonic()
        course = Course(f"{EXPIRING} {number}", PASSED)
        course.turn(401, due - _SLACK)
        course.close(due + _SLACK)
        courses[course.name] = course
        token = issuer.sign(f"expiring-{number}", exp=exp)
        question = _read(EXPIRING, f"expiring-{number}", token)
        fixed[EXPIRING].append(question._replace(course=course.name))
    ended = [_revocable(issuer, number) for number in range(revocable)]
    gaps = [_revocable(issuer, 4 * each + 1, kind=GAP) for each in range(GAPS)]
    for each in (*ended, *gaps):
        courses[each.question.course] = Course(each.question.course, PASSED)
    return Questions(fixed=fixed, revocable=ended, in_gaps=gaps, courses=courses)


def _read(kind: str, name: str, token: str | None, dataset: int = 42) -> CheckRequest:
    return CheckRequest(kind, kind, _told(name), _ask(token, f"/datasets/{dataset}"))


def _good(issuer: Issuer) -> dict[str, list[CheckRequest]]:
    reads, writes = [], []
    for number in range(SESSIONS):
        name = str(number)
        token = issuer.sign(name)
        reads.append(_read(READ, name, token, number))
        told, request = _told(name), _ask(token, "/orders", "POST")
        writes.append(CheckRequest(WRITE, WRITE, told, request))
    return {READ: reads, WRITE: writes}


def _bad(issuer: Issuer) -> dict[str, list[CheckRequest]]:
    made: dict[str, list[CheckRequest]] = {NONE: [_read(NONE, "", None)]}
    stranger = Issuer()
    for number in range(REVOKED_BEFORE):
        now = int(time.time())
        past = {"iat": now - 900, "exp": now - 300}
        tokens = {
            REVOKED: issuer.sign(f"revoked-{number}"),
            EXPIRED: issuer.sign(f"expired-{number}", **past),
            AUDIENCES: issuer.sign(f"elsewhere-{number}", aud="https://b.example/"),
            SCOPE: issuer.sign(f"narrow-{number}", scope="openid"),
            DELETED: issuer.sign(f"late-{number}"),
            FORGED: stranger.sign(str(number)),
        }
        for kind, token in tokens.items():
            dataset = _FIRST_DELETED + number if kind == DELETED else 42
            made.setdefault(kind, []).append(_read(kind, "", token, dataset))
    return made


def _ruled(issuer: Issuer) -> dict[str, list[CheckRequest]]:
    token = issuer.sign("reader")
    reports = CheckRequest(REPORTS, REPORTS, _told("reader"), _ask(token, "/reports"))
    news = CheckRequest(NEWS, NEWS, _told(""), _ask(None, "/news"))
    return {NEWS: [news], REPORTS: [reports]}


def _revocable(issuer: Issuer, number: int, *, kind: str = MEANWHILE) -> Revocable:
    """Return a token that ends by itself, its session, its user or its data."""
    course = f"{kind} {number}"
    name = course.replace(" ", "-")
    dataset = 1_000_000 + number
    new: dict[str, Any] = {"source": "/soak", "issuer": ISSUER}
    events = (
        TokenRevoked.new(**new, jti=f"token-{name}"),
        SessionEnded.new(**new, sid=f"session-{name}"),
        UserLoggedOut.new(**new, user=f"user-{name}"),
        DataDeleted.new(**new, resource=f"dataset:{dataset}"),
    )
    question = _read(MEANWHILE, name, issuer.sign(name), dataset)
    return Revocable(question._replace(course=course), events[number % len(events)])
