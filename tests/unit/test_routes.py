"""What a request asks for, however its path is written."""

import pytest

from revocation.errors import SettingsError
from revocation.web.routes import (
    WEBSOCKET,
    AccessNeeds,
    ResourceTemplate,
    RouteRule,
    Routes,
    is_canonical,
)

READ = AccessNeeds(public=False, route="read")
WRITE = AccessNeeds(public=False, route="write")
PUBLIC = AccessNeeds(public=True, route="read")

ROUTES = Routes(
    [
        RouteRule(path="/health", public=True),
        RouteRule(path="/datasets/catalogue", methods={"GET"}, public=True),
        RouteRule(
            path="/datasets/{id}",
            methods={"GET"},
            resources=("dataset:{id}",),
            scopes=("datasets:read",),
        ),
        RouteRule(path="/datasets/{id}/rows/{row:int}", resources=("row:{id}/{row}",)),
        RouteRule(path="/jobs/{id:uuid}", route="jobs", resources=("job:{id}",)),
        RouteRule(path="/feed", methods={WEBSOCKET}, route="read"),
    ]
)
UUID = "0a6d6a1e-1c3b-4a33-9a83-6f8a2f0d7b11"


def dataset(name):
    return AccessNeeds(
        public=False,
        route="read",
        resources=(f"dataset:{name}",),
        scopes=("datasets:read",),
    )


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/health", PUBLIC),
        ("POST", "/health", PUBLIC._replace(route="write")),
        ("GET", "/datasets/catalogue", PUBLIC),
        ("HEAD", "/datasets/catalogue", PUBLIC),
        ("GET", "/datasets/42", dataset("42")),
        ("HEAD", "/datasets/42", dataset("42")),
        ("GET", "/datasets/a b:c-é", dataset("a b:c-é")),
        ("POST", "/datasets/42", WRITE),
        ("OPTIONS", "/datasets/42", READ),
        (WEBSOCKET, "/datasets/42", WRITE),
        ("GET", "/datasets", READ),
        ("GET", "/datasets/", READ),
        ("GET", "/datasets/42/rows", READ),
        ("GET", "/", READ),
        ("DELETE", "/", WRITE),
        ("get", "/elsewhere", WRITE),
        (WEBSOCKET, "/feed", READ),
        ("PUT", "/feed", WRITE),
        (
            "GET",
            f"/jobs/{UUID}",
            AccessNeeds(public=False, route="jobs", resources=(f"job:{UUID}",)),
        ),
        (
            "PUT",
            "/datasets/a/rows/0",
            AccessNeeds(public=False, route="write", resources=("row:a/0",)),
        ),
    ],
)
def test_the_route_of_a_request(method, path, asked):
    assert is_canonical(path)
    assert ROUTES.find(method, path) == asked


@pytest.mark.parametrize("path", ["/health/", "/Health", "/HEALTH", "/health/x"])
def test_what_is_public_is_so_exactly(path):
    assert not ROUTES.find("GET", path).public


@pytest.mark.parametrize("path", ["/datasets/42/", "/Datasets/42", "/DATASETS/42/"])
def test_what_is_protected_is_so_for_a_lenient_framework_too(path):
    assert ROUTES.find("GET", path) == dataset("42")


def test_a_public_path_written_another_way_is_protected_as_its_sibling():
    assert ROUTES.find("GET", "/datasets/Catalogue") == dataset("Catalogue")
    assert ROUTES.find("GET", "/datasets/catalogue/") == dataset("catalogue")


def test_an_exact_match_comes_before_a_lenient_one():
    lenient = RouteRule(path="/A", scopes=("upper",))
    exact = RouteRule(path="/a", scopes=("lower",))
    assert Routes([lenient, exact]).find("GET", "/a").scopes == ("lower",)
    assert Routes([exact, lenient]).find("GET", "/A").scopes == ("upper",)


def test_the_first_rule_that_matches_counts():
    rules = [RouteRule(path="/{a}", scopes=("x",)), RouteRule(path="/b", public=True)]
    assert not Routes(rules).find("GET", "/b").public
    assert Routes(reversed(rules)).find("GET", "/b").public


@pytest.mark.parametrize(
    "value",
    ["042", "+42", "-42", "4_2", "42.0", "\uff14\uff12", "4e1", "²", "1" * 20, "0x2a"],
)
def test_a_number_has_one_spelling(value):
    """Python reads some of these as 42; they must not name another resource."""
    assert ROUTES.find("GET", f"/datasets/a/rows/{value}") is None


@pytest.mark.parametrize(
    "value",
    [UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}", UUID[1:]],
)
def test_a_uuid_has_one_spelling(value):
    assert ROUTES.find("GET", f"/jobs/{value}") is None


def test_what_is_no_number_at_all_is_another_path():
    assert ROUTES.find("GET", "/datasets/a/rows/latest") == READ
    assert ROUTES.find("GET", "/jobs/new") == READ


def test_a_resource_that_no_event_can_name_is_refused():
    assert ROUTES.find("GET", "/datasets/" + "x" * 504) == dataset("x" * 504)
    assert ROUTES.find("GET", "/datasets/" + "x" * 505) is None


# Paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/a", "/a/", "/a/b.c", "/a/..b/.c/...", "/a b", "/é", "/~a@b:c,d=e+f"]
)
def test_a_path_that_everybody_reads_the_same(path):
    assert is_canonical(path)
    assert is_canonical(path, path.encode())


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "*", "//", "//a", "/a//b", "/a//", "/./a", "/a/.", "/a/../b"),
        *("/..", "/a;b", "/a;/b", "/a\\b", "/a?b", "/a#b", "/a%2fb", "/100%"),
        *("/a\x00", "/a\n", "/a\x7f", "/a\x85", "/\ud800", "/\ufffd"),
        *("/a /b", "/ a", "/a\u3000", "/a\xa0/"),
        "https://evil.example/",
    ],
)
def test_a_path_that_servers_read_differently(path):
    assert not is_canonical(path)


@pytest.mark.parametrize("raw", [b"/a%2fb", b"/a%2Fb", b"/a%5Cb", b"/a%5cb"])
def test_an_encoded_slash_is_seen_in_the_raw_path(raw):
    assert not is_canonical("/a/b", raw)
    assert is_canonical("/a/b", b"/%61/b")
    assert is_canonical("/a/b", b"/a/b?next=%2Fc")


# Rules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "a"},
        {"path": ""},
        {"path": "/a//b"},
        {"path": "/a/../b"},
        {"path": "/a/{id}.json"},
        {"path": "/a/{}"},
        {"path": "/a/{id:float}"},
        {"path": "/{id}/{id}"},
        {"path": "/a", "public": True, "route": "read"},
        {"path": "/a", "public": True, "scopes": ("a",)},
        {"path": "/a", "public": True, "resources": ("a:b",)},
        {"path": "/a", "methods": "GET"},
        {"path": "/a", "methods": {"get"}},
        {"path": "/a", "scopes": ("a b",)},
        {"path": "/a/{id}", "resources": ("dataset:{name}",)},
        {"path": "/a/{id}", "resources": ("{id}:{id}",)},
        {"path": "/a/{id}", "resources": ("{id}",)},
        {"path": "/a/{id}", "resources": ("dataset:",)},
        {"path": "/a/{id}", "resources": ("dataset:{id.__class__}",)},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(SettingsError):
        RouteRule(**wrong)


def test_a_value_is_filled_in_as_it_is():
    """A value that looks like a place for another is text."""
    template = ResourceTemplate("doc:{a}/{b}")
    assert template.fill({"a": "{b}", "b": "2"}) == "doc:{b}/2"
    assert ResourceTemplate("doc:{a:int}").fill({"a": 7}) == "doc:7"
    assert ResourceTemplate("doc:{a:int}").fill({"a": "07"}) is None


def test_a_value_missing_from_the_path_is_a_programming_error():
    with pytest.raises(SettingsError, match="'b'"):
        ResourceTemplate("doc:{b}").fill({"a": "1"})
