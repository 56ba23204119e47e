"""Dispatches paths to handlers; `openapi.py` documents them.

    GET  /v1/authz/nginx, /v1/authz/traefik     may a request pass? (`proxies.py`)
    *    /v1/authz/envoy/...                    the same, for Envoy over HTTP
    POST /v1/check                              verdicts (`checks.py`)
    POST /introspect                            RFC 7662 (`introspect.py`)
    GET  /healthz, /readyz, /metrics            for orchestrators and operators
    GET  /openapi.json                          this, for programs

An answer from memory is returned at once, without a task.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from revocation.clock import now_ms
from revocation.decision import Beyond, StalenessPolicy
from revocation.http.http_faults import note_misconfigured
from revocation.http.messages import NO_STORE, Request, Response, problem
from revocation.sidecar import openapi
from revocation.sidecar.authorizer import Authorizer, AuthzAnswer
from revocation.sidecar.checks import Checker
from revocation.sidecar.introspect import Introspection
from revocation.sidecar.proxies import (
    ENVOY_PREFIX,
    STATUSES,
    Dialect,
    Proxy,
    Statuses,
    check_statuses,
)
from revocation.verifier import Verifier

_Answer = Response | Awaitable[Response]
_Endpoint = Callable[[Request], _Answer]

_JSON: Final = (("content-type", "application/json"), NO_STORE)
_TEXT: Final = (("content-type", "text/plain; charset=utf-8"), NO_STORE)
_READING: Final = frozenset({"GET", "HEAD"})
_POSTING: Final = frozenset({"POST"})


class Endpoints:
    """Answers requests; `handle` is the server's handler."""

    def __init__(  # noqa: PLR0913 - one keyword for each endpoint
        self,
        verifier: Verifier,
        *,
        region: str,
        checker: Checker,
        authorizer: Authorizer | None = None,
        introspection: Introspection | None = None,
        statuses: Mapping[Proxy, Statuses] = STATUSES,
        bound_ms: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            verifier: a `Verifier`, started before the first request.
            region: its region.
            checker: answers `/v1/check`.
            authorizer: answers proxies; None if no issuers are configured.
            introspection: answers `/introspect`; None if no caller is configured.
            statuses: replaces some statuses, by proxy.
            bound_ms: the maximum age of a ready replica (`laxest_bound_ms`).

        Raises:
            SettingsError: a replacement status would not refuse.
        """
        check_statuses(statuses)
        self._verifier = verifier
        self._region = region
        self._bound_ms = bound_ms
        self._authorizer = authorizer
        lookalikes = () if authorizer is None else authorizer.lookalikes
        listed = ",".join(sorted(lookalikes))
        nginx, traefik, envoy = (
            partial(self._authorize, Dialect(proxy, statuses.get(proxy), listed))
            for proxy in (Proxy.NGINX, Proxy.TRAEFIK, Proxy.ENVOY)
        )
        self._described = Response(200, _JSON, openapi.encoded(checker.routes))
        self._envoy: _Endpoint = envoy
        self._served: dict[str, tuple[frozenset[str], _Endpoint]] = {
            "/v1/check": (_POSTING, checker.answer),
            _NGINX: (_READING, nginx),
            _TRAEFIK: (_READING, traefik),
            "/healthz": (_READING, self._healthy),
            "/readyz": (_READING, self._ready),
            "/metrics": (_READING, _metrics),
            "/openapi.json": (_READING, lambda _: self._described),
        }
        if introspection is not None:
            self._served["/introspect"] = (_POSTING, introspection.answer)

    def handle(self, request: Request) -> _Answer:
        """Return the answer to a request, or an awaitable of it."""
        served = self._served.get(request.path)
        if served is None:
            # Any path and any method, as the client chooses both.
            if request.path.startswith(_ENVOYS):
                return self._envoy(request)
            return problem(404, "not_found", "nothing is served at this path")
        methods, endpoint = served
        if request.method not in methods:
            allowed = ", ".join(sorted(methods))
            detail = f"this path is served for {allowed}"
            return problem(405, "method_not_allowed", detail, ("allow", allowed))
        return endpoint(request)

    def head_suffices(self, path: str) -> bool:
        """Return whether requests to this path are answered without their body."""
        return path in _FORWARD_AUTH or path.startswith(_ENVOYS)

    # Proxies -------------------------------------------------------------------------

    def _authorize(self, dialect: Dialect, request: Request) -> _Answer:
        authorizer = self._authorizer
        if authorizer is None:
            detail = "no issuers are configured here, so no token can be verified"
            return problem(503, "no_issuers", detail)
        asked = dialect.read(request)
        if isinstance(asked, str):
            # For the operator, not the client: nginx logs this status as an error.
            note_misconfigured("header", asked)
            return problem(400, "proxy_misconfigured", asked)
        answer = authorizer.authorize(asked)
        if isinstance(answer, AuthzAnswer):
            return dialect.write(answer)
        return self._wait(dialect, answer)

    async def _wait(self, dialect: Dialect, answer: Awaitable[AuthzAnswer]) -> Response:
        return dialect.write(await answer)

    # Health --------------------------------------------------------------------------

    def _healthy(self, _: Request) -> Response:
        problem = self._verifier.problem
        if problem:
            return Response(503, _TEXT, f"{problem}\n".encode())
        return Response(200, _TEXT, b"ok\n")

    def _ready(self, _: Request) -> Response:
        complete, as_of = self._verifier.freshness
        # A watermark in the future means that a clock is wrong by that much.
        age_ms = abs(now_ms() - as_of)
        ready = complete and (self._bound_ms is None or age_ms <= self._bound_ms)
        body = {
            "ready": ready,
            "region": self._region,
            "as_of": as_of,
            **self._verifier.progress._asdict(),
        }
        if self._verifier.disagreement is not None:
            body["error"] = self._verifier.disagreement
        return Response(200 if ready else 503, _JSON, orjson.dumps(body))


_ENVOYS: Final = f"{ENVOY_PREFIX}/"
_NGINX: Final = "/v1/authz/nginx"
_TRAEFIK: Final = "/v1/authz/traefik"
_FORWARD_AUTH: Final = frozenset({_NGINX, _TRAEFIK})


def laxest_bound_ms(
    policies: Mapping[str, StalenessPolicy], *, asks_others: bool
) -> int | None:
    """Return the maximum age at which a replica serves any route class; None: any age.

    Beyond it no token passes, and requests are better sent elsewhere.

    Args:
        policies: of the route classes.
        asks_others: whether there is a fallback for the policy `introspect`.
    """
    for policy in policies.values():
        asks = policy.beyond is Beyond.INTROSPECT and asks_others
        if policy.beyond is Beyond.ALLOW or asks:
            return None
    return max(policy.max_staleness_ms for policy in policies.values())


def _metrics(_: Request) -> Response:
    kind = ("content-type", CONTENT_TYPE_LATEST)
    return Response(200, (kind, NO_STORE), generate_latest())
