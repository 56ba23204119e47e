"""What strangers send costs in proportion to its length, before anything is verified.

Every parser of such bytes, fed with what would make a careless one go back and look
again. Regular expressions do so in C, where nobody can count their steps; so it is
compared how the work grows.
"""

import contextlib
import re
from types import SimpleNamespace

import pytest

from revocation import events
from revocation.authority.conclude import origin
from revocation.decision import DEFAULT_POLICIES
from revocation.errors import ContractError
from revocation.http.framing import find_head, read_head
from revocation.http.messages import Request, ServerLimits
from revocation.jwt.compact import read_json, take_apart
from revocation.jwt.keys import read_key_set
from revocation.sidecar.authorizer import Authorizer, IdentityHeaders, write_value
from revocation.sidecar.checks import Checker
from revocation.sidecar.introspect import Caller, Introspection
from revocation.sidecar.proxies import Dialect, Proxy
from revocation.sidecar.rule_set import RuleSet
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import CredentialRules, find_credentials
from revocation.web.routes import ResourceTemplate, RouteRule, is_canonical
from tests.fuzz import fuzz_ext_authz
from tests.stations.verifications import StubVerifier
from tests.unit.growth import Parser, families, is_linear, made
from tests.unit.tokens import encode, header_of, issuer

MAX = 1 << 20
LIMITS = ServerLimits(target_bytes=MAX, header_bytes=MAX, headers=MAX, body_bytes=MAX)
HEADER = encode(str(header_of()).replace("'", '"').encode())
COOKIE = CredentialRules(
    cookie="__Host-token", own_origins=("https://app.example", "https://b.example")
)
RULES = RuleSet(
    [
        RouteRule(path="/health", public=True),
        RouteRule(path="/datasets/{id:int}/{of:uuid}", resources=("set:{id}/{of}",)),
        RouteRule(path="/{any}", resources=("any:{any}",)),
        RouteRule(path="/{id:uuid}"),
    ],
    policies=DEFAULT_POLICIES,
)
STEPS = AccessPolicy(credentials=COOKIE, refusals=Refusals())


class Generous(StubVerifier):
    """Has no limit of its own: the parsers are to keep theirs by themselves."""

    max_token_bytes = MAX

    def check_or_await(self, claims, **asked):
        return self.verify("").verdict


AUTHORIZER = Authorizer(
    Generous(), SimpleNamespace(current=RULES), steps=STEPS, identity=IdentityHeaders()
)
CHECKER = Checker(
    Generous(), region="eu", routes=frozenset(DEFAULT_POLICIES), verifies=True
)
INTROSPECTION = Introspection(
    Generous(), callers=[Caller(b"0" * 32, b"1" * 32)], scope="look"
)


def credentials(name):
    def read(value):
        fields = [(name, value), (b"host", b"b.example"), (b"origin", value)]
        return find_credentials("POST", fields, COOKIE, max_token_bytes=MAX)

    return read


def rules(path):
    RULES._known.clear()
    text = path.decode("latin-1")
    is_canonical(text, path)
    return RULES.find("GET", text, websocket=True)


def fields_of(text):
    """Each line a header field, as a proxy may pass on."""
    lines = text.split(b"\r\n")
    return [
        (name.lower(), value) for name, _, value in (x.partition(b":") for x in lines)
    ]


def proxy(kind):
    dialect = Dialect(kind, None)

    def read(text):
        ours = [
            *((b"x-original-uri", b"/x"), (b"x-original-method", b"GET")),
            *((b"x-forwarded-uri", b"/x"), (b"x-forwarded-method", b"GET")),
            *((b"x-forwarded-host", b"a"), (b"x-forwarded-proto", b"https")),
        ]
        headers = [*ours, *fields_of(text)]
        path = "/v1/authz/envoy/x"
        asked = dialect.read(Request("GET", path, "", headers, b"", "unix"))
        return asked if isinstance(asked, str) else AUTHORIZER.authorize(asked)

    return read


def post(answer, *headers):
    def read(body):
        return answer(Request("POST", "/", "", list(headers), body, "unix"))

    return read


def introspect(body):
    form = (b"content-type", b"application/x-www-form-urlencoded")
    caller = (b"authorization", b"Bearer token")
    return INTROSPECTION.answer(Request("POST", "/", "", [form, caller], body, "unix"))


def introspecting_caller(value):
    return INTROSPECTION.answer(
        Request("POST", "/", "", [(b"authorization", value)], b"", "unix")
    )


def head(text):
    end = find_head(bytearray(text), LIMITS)
    return read_head(text[:end], LIMITS) if isinstance(end, int) else end


def event(value):
    with contextlib.suppress(ContractError):
        events.decode(value)


def binary_event(value):
    with contextlib.suppress(ContractError):
        events.decode(value, [("ce_specversion", b"1.0"), ("ce_time", value)])


def event_headers(value):
    headers = [(name.decode("latin-1"), each) for name, each in fields_of(value)]
    with contextlib.suppress(ContractError):
        events.decode(b"{}", headers)


def forwarded(value):
    with contextlib.suppress(ContractError):
        origin([("forwarded-from", value)], 0)


def json_of(read):
    def quiet(value):
        with contextlib.suppress(ValueError):
            read(value)

    return quiet


def grpc_header(value):
    asked = b"GET\n/x\n\n\nrauthorization:" + value.replace(b"\n", b" ")
    message = fuzz_ext_authz.message_of(b"Q" + asked)
    return fuzz_ext_authz.answer(fuzz_ext_authz.OPEN, message)


def grpc_fields(value):
    asked = b"GET\n/x\n\n\n" + b"\n".join(b"r" + x for x in value.split(b"\r\n"))
    message = fuzz_ext_authz.message_of(b"Q" + asked)
    return fuzz_ext_authz.answer(fuzz_ext_authz.OPEN, message)


NESTED = (b"[" * 17 + b'"', b"")
OPEN = (
    (b"", b""),
    (b'"', b""),
    NESTED,
    (b'{"a":', b"}"),
    (b'{"a":"', b'"}'),
    (b"[", b"]"),
)
CHECK = (
    (b"", b""),
    (b'{"claims":{"a":', b"}}"),
    (b'{"token":"', b'"}'),
    (b'{"checks":[', b"]}"),
)
EVENT = ((b"", b""), (b'{"specversion":"1.0","type":"', b'"}'), (b'{"time":"', b'"}'))
START = b"GET / HTTP/1.1\r\nhost: x\r\n"
HEADS = (
    *((b"", b""), (b"GET /", b" HTTP/1.1\r\nhost: x\r\n\r\n"), (START, b"\r\n\r\n")),
    *(
        (b"GET http://", b" HTTP/1.1\r\nhost: x\r\n\r\n"),
        (b"GET ", b"/x HTTP/1.1\r\n\r\n"),
    ),
    *(
        (START + name + b": ", b"\r\n\r\n")
        for name in (b"connection", b"content-length", b"transfer-encoding", b"x")
    ),
)
ENDS = (b"", b"\\", b'"')
PATHS = ((b"/", b""), (b"/datasets/", b"/x"), (b"/datasets/1", b""), (b"", b""))

PARSERS = {
    "token": Parser(lambda x: take_apart(x.decode("latin-1"))),
    "payload": Parser(lambda x: take_apart(f"{HEADER}.{encode(x)}.AAAA"), OPEN, ENDS),
    "JSON": Parser(json_of(read_json), ends=ENDS),
    "key set": Parser(
        json_of(lambda x: read_key_set(x, issuer())), (*OPEN, (b'{"keys":[', b"]}"))
    ),
    "authorization": Parser(
        credentials(b"authorization"), ((b"", b""), (b"Bearer ", b""), (b"bearer", b""))
    ),
    "cookie": Parser(
        credentials(b"cookie"), ((b"", b""), (b"__Host-token=", b""), (b"a=b;", b";a"))
    ),
    "rules": Parser(rules, PATHS),
    **{f"a question of {kind}": Parser(proxy(kind)) for kind in Proxy},
    "head": Parser(head, HEADS),
    "check": Parser(post(CHECKER.answer), CHECK),
    "introspect": Parser(introspect, ((b"", b""), (b"token=", b""))),
    "caller": Parser(introspecting_caller, ((b"", b""), (b"Basic ", b"=="))),
    "gRPC": Parser(lambda x: fuzz_ext_authz.answer(fuzz_ext_authz.OPEN, x)),
    "gRPC header": Parser(grpc_header, ((b"", b""), (b"Bearer ", b""))),
    "gRPC headers": Parser(grpc_fields),
    "event": Parser(event, EVENT),
    "event in binary mode": Parser(binary_event),
    "headers of an event": Parser(
        event_headers, ((b"", b""), (b"ce_specversion:", b""))
    ),
    "header of a forwarded event": Parser(forwarded, ((b"", b""), (b"1-2-", b""))),
    "identity": Parser(lambda x: write_value(x.decode("latin-1"))),
    "resource": Parser(
        lambda x: ResourceTemplate("a:{id:int}").fill({"id": x.decode("latin-1")})
    ),
}


@pytest.mark.parametrize("name", PARSERS)
def test_work_grows_with_the_length_only(name):
    parser = PARSERS[name]
    worse = [
        family
        for family in families(parser)
        if not is_linear(lambda size, it=family: lambda: parser.read(made(it, size)))
    ]
    assert not worse


def test_what_looks_again_is_found():
    """By the pattern because of which this file was written."""
    careless = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
    family = (b'["', b'\\"', b"\\")
    assert not is_linear(
        lambda size: lambda: careless.sub("", made(family, size // 16).decode())
    )
