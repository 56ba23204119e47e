"""A sidecar's endpoints over a store in memory, called without a socket."""

import contextlib
import inspect
import json
import time
from types import SimpleNamespace

from revocation.decision import DEFAULT_POLICIES
from revocation.http.http_server import Server, Tcp
from revocation.http.messages import Request
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.jwt.key_source import Pace
from revocation.jwt.trust import TrustedIssuer
from revocation.sidecar.authorizer import Authorizer
from revocation.sidecar.checks import Checker
from revocation.sidecar.endpoints import Endpoints, laxest_bound_ms
from revocation.sidecar.introspect import Introspection
from revocation.sidecar.rule_set import RuleSet
from revocation.verifier import Verifier
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.tokens import Tokens
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import BEARER_ONLY
from revocation.web.routes import RouteRule
from tests.stations.test_verifier import RULES
from tests.unit.tokens import AUDIENCE, ISSUER, jwk, key_for, key_set, mint

KEY = "key-1"
PATHS = (
    RouteRule(path="/health", public=True),
    RouteRule(path="/datasets/{id}", resources=("dataset:{id}",), scopes=("data",)),
)


def signed(name="alice", *, kid=KEY, key=None, **claims):
    """Return a token of a minute ago, for the named key or signed by `key` instead.

    It outlives a run of all tests, also where a module makes it when it is imported.
    """
    now = int(time.time())
    times = {"iat": now - 60, "exp": now + 1_800}
    signer = key_for("ES256", key or kid)
    more = {"sub": name, "jti": f"of-{name}", **times, **claims}
    return mint(header={"kid": kid}, key=signer, **more)


def published(*kids):
    return key_set(*[jwk("ES256", kid) for kid in kids or (KEY,)])


class Answer:
    """An answer, in convenient form."""

    def __init__(self, response, *, at_once):
        self.status, headers, self.body = response
        self.headers = dict(headers)
        self.at_once = at_once

    def json(self):
        return json.loads(self.body)


class Client:
    """Sends requests to a handler."""

    def __init__(self, handle):
        self._handle = handle

    async def ask(self, method, target, *headers, body=b""):
        path, _, query = target.partition("?")
        answer = self._handle(Request(method, path, query, list(headers), body, "unix"))
        at_once = not inspect.isawaitable(answer)
        return Answer(answer if at_once else await answer, at_once=at_once)

    async def get(self, target, *headers):
        return await self.ask("GET", target, *headers)

    async def check(self, *headers, **body):
        content = json.dumps(body).encode()
        return await self.ask("POST", "/v1/check", *headers, body=content)

    async def status(self, target, *headers):
        return (await self.get(target, *headers)).status


def verifier_of(
    store,
    jwks,
    *,
    policies=DEFAULT_POLICIES,
    fallback=None,
    between_seconds=0.01,
    **trust,
):
    """Return a verifier with a key set in a file; `trust`: the issuers' options."""
    issuer = TrustedIssuer(
        algorithms=("ES256",), audiences=(AUDIENCE,), jwks_file=jwks, **trust
    )
    keys = KeyRing({ISSUER: issuer}, pace=Pace(between=between_seconds))
    tokens = Tokens(Authenticator({ISSUER: issuer}, RULES, keys), keys)
    parts = VerifierParts(
        store=store, rules=RULES, tokens=tokens, policies=policies, fallback=fallback
    )
    return Verifier(parts, store, peppers=(store.pepper,), start_timeout_seconds=1)


def endpoints_of(
    verifier, *, policies=DEFAULT_POLICIES, verifies=True, statuses=None, **who
):
    """Return the endpoints of a verifier; `who` may introspect."""
    rules = SimpleNamespace(current=RuleSet(PATHS, policies=policies))
    steps = AccessPolicy(credentials=BEARER_ONLY, refusals=Refusals())
    checker = Checker(
        verifier, region="eu", routes=frozenset(policies), verifies=verifies
    )
    more = {} if statuses is None else {"statuses": statuses}
    return Endpoints(
        verifier,
        region="eu",
        checker=checker,
        authorizer=Authorizer(verifier, rules, steps=steps) if verifies else None,
        introspection=Introspection(verifier, **who) if who else None,
        bound_ms=laxest_bound_ms(policies, asks_others=False),
        **more,
    )


@contextlib.asynccontextmanager
async def serving(
    store,
    jwks,
    *,
    policies=DEFAULT_POLICIES,
    fallback=None,
    between_seconds=0.01,
    **options,
):
    """Start a sidecar with a complete replica; yields a client of it."""
    verifier = verifier_of(
        *(store, jwks),
        policies=policies,
        fallback=fallback,
        between_seconds=between_seconds,
    )
    async with verifier:
        yield Client(endpoints_of(verifier, policies=policies, **options).handle)


@contextlib.asynccontextmanager
async def listening(handle):
    """Serve a handler on a free port of this machine; yields its URL."""
    async with Server(handle, [Tcp()]) as server:
        yield f"http://{server.addresses[0]}"


def bearer(value):
    return b"authorization", f"Bearer {value}".encode()


def is_problem(answer, status, code):
    """Check a problem document (RFC 9457): its media type and members."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.keys() == {"type", "status", "title", "detail"}
    assert (body["status"], body["title"]) == (status, code)
    return body["detail"]
