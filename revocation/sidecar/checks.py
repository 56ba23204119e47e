"""`POST /v1/check`: verdicts about claims or tokens.

    {"claims": {...}, "kid": "key-1", "route": "write", "resources": ["dataset:42"]}
    {"token": "eyJ..."}
    {"checks": [{"claims": {...}}, {"token": "eyJ..."}]}

Any token yields a verdict, with status 200; only a malformed request is an error.
Neither ever quotes the request.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from revocation.claims.claims import Claims
from revocation.decision import Verdict
from revocation.http.messages import NO_STORE, Request, Response, problem
from revocation.sidecar.identity_cache import IdentityCache
from revocation.verifier import Verifier
from revocation.verifier.fallback.web_fallbacks import NO_FORWARDING
from revocation.verifier.verification import Verification

MAX_CHECKS: Final = 100
MAX_RESOURCES: Final = 64

_JSON: Final = (("content-type", "application/json"), NO_STORE)
_NO_FORWARDING: Final = tuple(each.encode() for each in NO_FORWARDING)


class Check(BaseModel):
    """One check: of claims that the caller verified, or of a token."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "oneOf": [
                {"required": ["claims"], "not": {"required": ["token"]}},
                {
                    "required": ["token"],
                    "not": {"anyOf": [{"required": ["claims"]}, {"required": ["kid"]}]},
                },
            ]
        },
    )

    claims: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description="The claims set of a token whose signature is verified.",
        ),
    ]
    token: Annotated[str, Field(description="A compact JWT, to be verified first.")] = (
        ""
    )
    kid: Annotated[
        str | None, Field(description="The `kid` of the token's header, with `claims`.")
    ] = None
    route: Annotated[
        str, Field(description="The route class: `read`, `write` or a configured one.")
    ] = "read"
    resources: Annotated[
        list[str],
        Field(
            default_factory=list,
            description="The resources that the request touches, each `type:id`.",
            max_length=MAX_RESOURCES,
        ),
    ]

    @model_validator(mode="after")
    def _about_one(self) -> Self:
        given = self.model_fields_set
        if ("claims" in given) == ("token" in given):
            raise ValueError("give either `claims` or `token`")
        if "token" in given and "kid" in given:
            raise ValueError("a token names its `kid` itself")
        return self

    @property
    def about_token(self) -> bool:
        """Whether it checks a token rather than claims."""
        return "token" in self.model_fields_set


class Checks(BaseModel):
    """Many checks, answered in order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    checks: Annotated[list[Check], Field(min_length=1, max_length=MAX_CHECKS)]


_Answer = Verdict | Verification


def read_checks(body: bytes) -> tuple[list[Check], bool]:
    """Return the checks requested, and whether as a list.

    Raises:
        ValidationError: the body is not a check, or not JSON.
    """
    # Most requests are one check; a member's name may be written with escapes.
    if b'"checks"' not in body and b"\\" not in body:
        return [Check.model_validate_json(body)], False
    try:
        document = from_json(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and "checks" in document:
        return Checks.model_validate(document).checks, True
    return [Check.model_validate_json(body)], False


class Checker:
    """Answers `POST /v1/check`."""

    def __init__(
        self,
        verifier: Verifier,
        *,
        region: str,
        routes: frozenset[str],
        verifies: bool,
    ) -> None:
        """Prepare.

        Args:
            verifier: a `Verifier`, started before the first request.
            region: its region, part of every answer.
            routes: the known route classes.
            verifies: whether it has issuers, so that tokens can be verified.
        """
        self._verifier = verifier
        self._region = region
        self.routes = routes
        self._verifies = verifies
        self._encoded = IdentityCache(_encode)

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        """Return the answer to a POST."""
        try:
            checks, many = read_checks(request.body)
        except ValidationError as error:
            return problem(400, "invalid_request", _explain(error))
        for each in checks:
            refused = self._refuse(each)
            if refused is not None:
                return refused
        # Two sidecars that are behind and each other's fallback would loop forever.
        introspect = _NO_FORWARDING not in request.headers
        answers = [self._ask(each, introspect=introspect) for each in checks]
        waiting = [each for each in answers if not isinstance(each, _Answer)]
        if waiting:
            return self._wait(answers, many=many)
        return self._respond(
            [each for each in answers if isinstance(each, _Answer)], many=many
        )

    def _refuse(self, check: Check) -> Response | None:
        if check.route not in self.routes:
            known = ", ".join(sorted(self.routes))
            detail = f"there is no such route class; known: {known}"
            return problem(400, "unknown_route_class", detail)
        if check.about_token and not self._verifies:
            detail = "no issuers are configured here, so no token can be verified"
            return problem(400, "no_issuers", detail)
        return None

    def _ask(self, check: Check, *, introspect: bool) -> _Answer | Awaitable[_Answer]:
        route, resources = check.route, check.resources
        if check.about_token:
            return self._verifier.verify_or_await(
                check.token, route=route, resources=resources
            )
        return self._verifier.check_or_await(
            check.claims,
            route=route,
            resources=resources,
            kid=check.kid,
            introspect=introspect,
        )

    async def _wait(
        self, answers: Sequence[_Answer | Awaitable[_Answer]], *, many: bool
    ) -> Response:
        return self._respond(await asyncio.gather(*map(_settle, answers)), many=many)

    def _respond(self, answers: Sequence[_Answer], *, many: bool) -> Response:
        verdicts = [self._write(each) for each in answers]
        content: Mapping[str, Any] = {"verdicts": verdicts} if many else verdicts[0]
        return Response(200, _JSON, orjson.dumps(content))

    def _write(self, answer: _Answer) -> dict[str, Any]:
        if isinstance(answer, Verdict):
            return {**answer.to_json(), "region": self._region}
        written = {**answer.verdict.to_json(), "region": self._region}
        # The answer about a rejected token must not reveal its user.
        claims = answer.claims if answer.verdict.active else None
        written["claims"] = None if claims is None else self._encoded.of(claims)
        return written


async def _settle(answer: _Answer | Awaitable[_Answer]) -> _Answer:
    return answer if isinstance(answer, _Answer) else await answer


def _encode(claims: Claims) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(claims, default=_thaw))


def _thaw(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "the body is not JSON"
    # Not even the name of an unknown member: it may be pasted text.
    unknown = first["type"] == "extra_forbidden"
    place = ".".join(map(str, first["loc"][: -1 if unknown else None])) or "the body"
    message = "has a member that is not known" if unknown else first["msg"]
    return f"{place}: {message}"
