"""The rules file and what its rules make of requests; `test_routes.py` has paths."""

import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from revocation.decision import DEFAULT_POLICIES, Beyond, StalenessPolicy
from revocation.errors import SettingsError
from revocation.sidecar import rule_set
from revocation.sidecar.path_rules import MAX_FILE_BYTES, read_rules
from revocation.sidecar.rule_set import METHODS, RuleSet
from revocation.web.routes import WEBSOCKET, AccessNeeds, RouteRule, Routes

ROOT = Path(__file__).parents[2]
API = "https://api.example/"
READ = AccessNeeds(public=False, route="read")
WRITE = AccessNeeds(public=False, route="write")
POLICIES = {
    **DEFAULT_POLICIES,
    "payment": StalenessPolicy(max_staleness_ms=1_000, beyond=Beyond.INTROSPECT),
    "news": StalenessPolicy(max_staleness_ms=1_000, beyond=Beyond.ALLOW),
}


def read(text):
    content = textwrap.dedent(text).lstrip("\n").encode()
    return read_rules(content, name="rules.toml", policies=POLICIES)


def rules(*rules, **options):
    return RuleSet(rules, policies=POLICIES, **options)


EXAMPLE = """
    # Comments are for people.
    audience = "https://api.example/"

    [[rules]]
    path = "/health"
    public = true

    [[rules]]
    path = "/datasets/{id}"
    methods = ["PUT", "DELETE"]
    route = "payment"
    audience = "https://data.example/"
    scopes = ["datasets:write"]
    resources = ["dataset:{id}"]
"""


# Reading ------------------------------------------------------------------------------


def test_what_a_rule_may_say():
    found = read(EXAMPLE)
    assert found.find("GET", "/health").public
    assert found.find("PUT", "/datasets/42") == AccessNeeds(
        public=False,
        route="payment",
        resources=("dataset:42",),
        scopes=("datasets:write",),
        audiences=("https://data.example/",),
    )


def test_the_files_audience_counts_wherever_no_rule_names_one():
    found = read(EXAMPLE)
    assert found.find("GET", "/datasets/42") == READ._replace(audiences=(API,))
    assert found.find("GET", "/new") == READ._replace(audiences=(API,))
    assert found.find("GET", "/health").audiences == ()


def test_the_example_of_the_guide_is_right():
    guide = (ROOT / "docs/sidecar.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    found = read(example)
    assert found.find("GET", "/health").public
    assert found.find("PATCH", "/datasets/42").resources == ("dataset:42",)
    assert found.find("PUT", "/datasets/42").scopes == ("datasets:write",)
    assert found.find("PUT", "/datasets/042") is None


def test_a_file_without_rules_protects_everything():
    assert read("rules = []").find("GET", "/") == READ
    assert read("rules = []").find("POST", "/health") == WRITE


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("audience = 7", 1, "audience"),
        ("# a\naudiense = 'x'", 2, "audiense: is not known here"),
        ("rules = 7", 1, "rules"),
        ("[[rules]]\npath = '/a'\npubic = true", 3, "pubic: is not known here"),
        ("[[rules]]\npublic = true", 1, "path"),
        ("[[rules]]\npath = '/a'\n\n[[rules]]\nroute = 'read'", 4, "path"),
        ("[[rules]]\npath = '/a'\nmethods = ['GET',\n 'post']", 3, "post"),
        ("[[rules]]\npath = '/a'\nmethods = ['PSOT']", 3, "PSOT"),
        ("[[rules]]\npath = '/a'\nmethods = []", 3, "methods"),
        ("[[rules]]\npath = '/a'\nmethods = 'GET'", 3, "methods"),
        ("[[rules]]\npath = '/a'\npublic = 'yes'", 3, "public"),
        ("[[rules]]\npath = '/a'\nroute = 'wirte'", 3, "known: news, payment, read"),
        ("[[rules]]\npath = '/a'\naudience = ''", 3, "audience"),
        ("[[rules]]\nscopes = ['a b']\npath = '/a'", 3, "'a b' is not a scope"),
        ("[[rules]]\npath = '//a'", 2, "ambiguous"),
        ("[[rules]]\npath = '/{id}'\nresources = ['a:{x}']", 2, "'/{id}' lacks"),
        ("[[rules]]\npath = '/a'\npublic = true\nroute = 'read'", 2, "choose one"),
        (
            "[[rules]]\npath = '/a'\npublic = true\naudience = 'x'",
            2,
            "is public but has requirements",
        ),
        ("[[rules]]\npath = '/a'\n# b\n[[rules]]\npath = '/a'", 5, "nothing for this"),
        ("rules = [\n {path='/a'},\n {path='/b', x=1},\n]", 1, "x: is not known"),
        ("[[rules]]\npath = '/a'\npath = '/b'", 3, "is not TOML"),
        ("[[rules]]\npath = /a", 2, "is not TOML"),
        ("[[rules]]\npath = '/a", 2, "is not TOML"),
        ("", 1, "is empty"),
        ("\n# to be written\n", 1, "is empty"),
    ],
)
def test_a_fault_is_reported_with_its_line(text, line, says):
    with pytest.raises(SettingsError) as refused:
        read(text)
    (told,) = str(refused.value).splitlines()
    where, _, what = told.partition(": ")
    assert where == f"rules.toml:{line}"
    assert says in what


def test_every_fault_is_reported_up_to_a_limit():
    text = "".join(f"[[rules]]\npath = '/{n}'\nx = 1\n" for n in range(12))
    with pytest.raises(SettingsError) as refused:
        read(text)
    told = str(refused.value).splitlines()
    assert [each.partition(": ")[0] for each in told[:10]] == [
        f"rules.toml:{3 * n + 3}" for n in range(10)
    ]
    assert told[10:] == ["and 2 more"]


@given(st.lists(st.sampled_from(["", "# a", "\t"]), max_size=6), st.integers(0, 8))
def test_a_line_is_found_among_whatever_else(between, before):
    rule = ["[[rules]]", "path = '/{n}'", "scopes = [ # a", '"b",', "]", *between]
    lines = [line.replace("{n}", str(n)) for n in range(before) for line in rule]
    lines += [
        *between,
        "[[rules]]",
        *between,
        "path = '/x'",
        *between,
        "bad = '''",
        "'''",
    ]
    with pytest.raises(SettingsError) as refused:
        read_rules("\n".join(lines).encode(), name="r", policies=POLICIES)
    assert str(refused.value).startswith(f"r:{len(lines) - 1}: ")


def test_a_file_that_is_no_text_or_too_large_is_refused():
    with pytest.raises(SettingsError, match=r"^r:2: is not UTF-8$"):
        read_rules(b"# a\n# \xff", name="r", policies=POLICIES)
    with pytest.raises(SettingsError, match="at most"):
        read_rules(b" " * (MAX_FILE_BYTES + 1), name="r", policies=POLICIES)


# Finding ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("//health", "/./health", "/a/../health", "/%2e/health", "/a/%2E%2e/health"),
        *("/health;x", "/health%3Bx", "/health%2f", "/a%2Fb", "/a%5cb", "/a\\b"),
        *("/health%00", "/health%0a", "/health%20", "/%2525", "/a%23b", "/a%3fb"),
        *("/%ff", "/\xe9", "/a b", "/a\tb", "health", "", "*", "http://a/health"),
        *("/a//b", "/a/./b", "/a%2f%2e%2e%2fb", "/.", "/..", "/a/..", "/a%c0%afb"),
    ],
)
def test_a_path_that_may_be_read_in_two_ways_is_refused(path):
    assert rules().find("GET", path) is None


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/health", True),
        ("/%68ealth", True),
        ("/health/", False),
        ("/HEALTH", False),
        ("/health.", False),
        ("/health/x", False),
    ],
)
def test_a_public_rule_matches_exactly(path, public):
    found = rules(RouteRule(path="/health", public=True))
    assert found.find("GET", path).public is public


@pytest.mark.parametrize(
    "path", ["/data/42", "/DATA/42", "/data/42/", "/%64ata/42", "/data/%34%32"]
)
def test_a_protected_rule_matches_however_it_is_written(path):
    found = rules(RouteRule(path="/data/{id}", resources=("data:{id}",)))
    assert found.find("GET", path).resources == ("data:42",)


@pytest.mark.parametrize(
    "method", ["get", "Post", "", " ", "GET ", "GET\r\n", "G\xe9T", "A" * 33, WEBSOCKET]
)
def test_an_invalid_method_is_refused(method):
    """`WEBSOCKET` is in rules only: a client cannot send it."""
    assert rules().find(method, "/") is None


def test_thousands_of_rules_are_as_good_as_their_order():
    many = [RouteRule(path=f"/{n}/{'x/' * (n % 5)}{{id}}") for n in range(200)]
    many.append(RouteRule(path="/", public=True))
    found, plain = rules(*many), Routes(many)
    for path in ("/", "/7/x/x/42", "/7/x/x/42/", "/8", "/199/x/x/x/x/1", "/a/b/c/d/e"):
        assert found.find("POST", path) == plain.find("POST", path)


def test_a_cached_answer_is_the_same(monkeypatch):
    """Answers are remembered, and forgotten before they are too many."""
    monkeypatch.setattr(rule_set, "_MAX_KNOWN", 3)
    found = rules(RouteRule(path="/health", public=True), RouteRule(path="/{id}"))
    paths = ["/health", "//", "/a", "/b", f"/{'c' * 300}", "/HEALTH", "/health/"]
    for _ in range(3):
        for path in paths:
            fresh = rules(*found.rules)
            for method in ("GET", "POST", "get"):
                for websocket in (False, True):
                    asked = method, path
                    told = found.find(*asked, websocket=websocket)
                    assert told == fresh.find(*asked, websocket=websocket)
            assert len(found._known) <= 3


# WebSockets ---------------------------------------------------------------------------

LIVE = {"path": "/live/{id}"}


def test_a_handshake_must_satisfy_both_rules():
    """Which of the two happens is the proxy's decision; a client could claim either."""
    found = rules(
        RouteRule(**LIVE, methods={"GET"}, scopes=("get",), route="read"),
        RouteRule(**LIVE, methods={WEBSOCKET}, scopes=("live",), resources=("l:{id}",)),
    )
    asked = found.find("GET", "/live/1", websocket=True)
    assert set(asked.scopes) == {"get", "live"}
    assert (asked.route, asked.resources) == ("write", ("l:1",))
    assert found.find("GET", "/live/1").scopes == ("get",)


@pytest.mark.parametrize("public", ["GET", WEBSOCKET])
def test_one_public_rule_of_the_two_opens_nothing(public):
    (other,) = {"GET", WEBSOCKET} - {public}
    found = rules(
        RouteRule(**LIVE, methods={public}, public=True),
        RouteRule(**LIVE, methods={other}, scopes=("s",)),
    )
    asked = found.find("GET", "/live/1", websocket=True)
    assert (asked.public, asked.scopes) == (False, ("s",))


def test_two_public_rules_do():
    found = rules(RouteRule(**LIVE, methods={"GET", WEBSOCKET}, public=True))
    assert found.find("GET", "/live/1", websocket=True).public


@pytest.mark.parametrize("first", ["GET", WEBSOCKET])
@pytest.mark.parametrize(
    ("one", "other", "stricter"),
    [
        ("read", "write", "write"),
        ("payment", "write", "payment"),
        ("news", "read", "read"),
    ],
)
def test_the_stricter_of_two_route_classes_counts(first, one, other, stricter):
    (second,) = {"GET", WEBSOCKET} - {first}
    found = rules(
        RouteRule(**LIVE, methods={first}, route=one),
        RouteRule(**LIVE, methods={second}, route=other),
    )
    assert found.find("GET", "/live/1", websocket=True).route == stricter


def test_the_methods_that_rules_may_name_are_methods():
    assert {"GET", "POST", WEBSOCKET} <= METHODS
    assert all(method == method.upper() for method in METHODS)
