"""Fuzzes the gRPC service for Envoy with coverage guidance; pytest replays the seeds.

As `fuzz_verify.py`, which says what atheris is; fuzz from the project's folder:

    python -m tests.fuzz.fuzz_ext_authz /tmp/corpus tests/fuzz/seeds-ext-authz \
        -max_total_time=600 -max_len=12000

An input is one letter and the rest. `B`: the bytes that gRPC hands over. `Q`: lines,
of which a question is made: method, path, host, scheme, then a header field each,
`name:value`, behind `h` (in the map), `v` or `r` (in the list, as text or raw). `S`: a
payload, signed here with the right key, as the token of a question: only by this may
anybody pass. So what is told of a token is reached too, whatever its claims hold.
"""

import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from structlog.testing import capture_logs

from revocation.decision import DEFAULT_POLICIES, Reason, Verdict
from revocation.jwt.authenticator import Refusal
from revocation.sidecar.authorizer import Authorizer
from revocation.sidecar.ext_authz import ExtAuthz
from revocation.sidecar.rule_set import RuleSet
from revocation.verifier.verification import Verification
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import BEARER_ONLY, CredentialRules
from revocation.web.routes import RouteRule
from tests.fuzz.fuzz_verify import NOW, STRICT, sign

PUBLIC = "/health"
HEADER = b'{"alg":"HS256","typ":"at+jwt","kid":"k"}'
MAX_DENIALS = 12
"""Each says what is wrong and quotes nothing: so there are few, whatever is asked."""

_PATHS = [
    RouteRule(path="/datasets/{id:int}", resources=("dataset:{id}",), scopes=("a",)),
    RouteRule(path="/events", methods=("WEBSOCKET",), audience="https://events/"),
]


class _Judging:
    """Believes what its issuer signed. Nothing is revoked: all else is refused."""

    max_token_bytes = STRICT.max_token_bytes

    def verify_or_await(
        self, token: str, *, route: str = "read", resources: Iterable[str] = ()
    ) -> Verification:
        found = STRICT.authenticate(token, NOW)
        refused = isinstance(found, Refusal)
        verdict = Verdict(
            active=not refused,
            reason=found.reason if refused else Reason.ACTIVE,
            as_of=NOW,
            staleness_ms=0,
        )
        return Verification(verdict, None if refused else found.claims)


class _Ruled:
    def __init__(self, *rules: RouteRule) -> None:
        self.current = RuleSet(rules, policies=DEFAULT_POLICIES)


def _service(ruled: _Ruled, rules: CredentialRules) -> ExtAuthz:
    steps = AccessPolicy(credentials=rules, refusals=Refusals())
    return ExtAuthz(Authorizer(_Judging(), ruled, steps=steps))


CLOSED = _service(_Ruled(*_PATHS), BEARER_ONLY)
OPEN = _service(
    _Ruled(RouteRule(path=PUBLIC, public=True), *_PATHS),
    CredentialRules(cookie="__Host-token", own_origins=("https://app.example",)),
)
_denials: set[bytes] = set()


def message_of(data: bytes) -> bytes:
    """Return the message that an input stands for."""
    how, rest = data[:1], data[1:]
    if how == b"Q":
        return _question(rest).SerializeToString()
    if how == b"S":
        token = sign(HEADER, rest).encode()
        asked = _question(b"GET\n/x\n\n\nhauthorization:Bearer " + token)
        return asked.SerializeToString()
    return rest


def _question(text: bytes) -> CheckRequest:
    lines = [*text.split(b"\n"), b"", b"", b""]
    asked = CheckRequest()
    http = asked.attributes.request.http
    http.method, http.path, http.host, http.scheme = map(_text, lines[:4])
    for line in lines[4:]:
        name, _, value = line[1:].partition(b":")
        if line[:1] == b"h":
            http.headers[_text(name)] = _text(value)
        elif line[:1] == b"v":
            http.header_map.headers.add(key=_text(name), value=_text(value))
        elif line[:1] == b"r":
            http.header_map.headers.add(key=_text(name), raw_value=value)
    return asked


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def answer(service: ExtAuthz, message: bytes) -> CheckResponse:
    """Return the answer, without a loop: nothing here needs to wait."""
    serving = service._serve(message, None)
    try:
        serving.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for somebody")


def run_one(data: bytes) -> None:
    """Judge one input.

    Raises:
        AssertionError: somebody passes, or fails otherwise than by a refusal.
    """
    message = message_of(data)
    with capture_logs() as logged:
        closed, opened = answer(CLOSED, message), answer(OPEN, message)
    # What goes wrong is logged: also an exception that becomes a denial.
    assert not logged
    if data[:1] == b"S":
        for each in (closed, opened):
            _check_signed(each, data[1:])
        return
    _check_denial(closed)
    if opened.HasField("ok_response"):
        _check_public(opened, message)
    else:
        _check_denial(opened)


def _check_denial(told: CheckResponse) -> None:
    assert told.WhichOneof("http_response") == "denied_response"
    assert 400 <= told.denied_response.status.code < 500
    assert told.status.code in {7, 16}
    _denials.add(told.SerializeToString())
    assert len(_denials) <= MAX_DENIALS


def _check_public(told: CheckResponse, message: bytes) -> None:
    """Nobody is named, and the path has one meaning."""
    path = CheckRequest.FromString(message).attributes.request.http.path
    assert unquote(path.partition("?")[0]) == PUBLIC
    assert not told.ok_response.headers
    assert "x-auth-subject" in told.ok_response.headers_to_remove


def _check_signed(told: CheckResponse, payload: bytes) -> None:
    found = STRICT.authenticate(sign(HEADER, payload), NOW)
    if isinstance(found, Refusal):
        _check_denial(told)
        return
    passed = told.ok_response
    assert told.WhichOneof("http_response") == "ok_response"
    fields = {each.header.key: each.header.value for each in passed.headers}
    subject: Any = found.claims.get("sub")
    if isinstance(subject, str):
        assert unquote(fields.get("x-auth-subject", "")) == subject
    assert all(each.isascii() and each.isprintable() for each in fields.values())
    named = [*fields, *passed.headers_to_remove]
    assert len(named) == len(set(named)) == 4


def main() -> None:
    """Fuzz until told to stop, or until something is found."""
    import atheris  # noqa: PLC0415 - a tool that the replay does not need

    atheris.instrument_all()
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
