"""Paths that proxy, sidecar and service might read differently.

The service here records paths verbatim; a real one may decode twice, merge slashes, cut
at `;` or ignore case. So no path that any of them could read as a deleted resource may
reach it, and a path that reaches it is the checked one.
"""

import posixpath
import re
from urllib.parse import unquote

import pytest

pytestmark = pytest.mark.connected

DELETED, OTHER = "42", "7"

TRICKS = [
    "/datasets/{id}/",
    "/datasets/{id}?",
    "/datasets/{id}?x=/health",
    "/datasets/{id}#x",
    "/Datasets/{id}",
    "/DATASETS/{id}",
    "//datasets/{id}",
    "/datasets//{id}",
    "/datasets/./{id}",
    "/datasets/9/../{id}",
    "/datasets/%2e/{id}",
    "/datasets/9/%2e%2e/{id}",
    "/datasets/9/%252e%252e/{id}",
    "/datasets/9/.%2E/{id}",
    "/%64atasets/{id}",
    "/datasets%2f{id}",
    "/datasets%2F{id}",
    "/datasets%5c{id}",
    "/datasets\\{id}",
    "/datasets/9%2f..%2f{id}",
    "/datasets/{id};v=1",
    "/datasets;x/{id}",
    "/datasets/{id}%3bv=1",
    "/datasets/{id}%00",
    "/datasets/{id}%20",
    "/datasets/{id}%0a",
    "/datasets/0{id}",
    "/datasets/+{id}",
    "/datasets/%c0%ae%c0%ae/datasets/{id}",
    "/health/../datasets/{id}",
    "/health/%2e%2e/datasets/{id}",
    "/health/..;/datasets/{id}",
    "/health;/../datasets/{id}",
    "/health%3f/../datasets/{id}",
    "/health%23/../datasets/{id}",
    "/health//../datasets/{id}",
    "/health/..%2fdatasets/{id}",
    "/health\\..\\datasets/{id}",
    "https://api.example/datasets/{id}",
    "http://other.example/datasets/{id}",
    "datasets/{id}",
    "/datasets/{id}\xff",
    "/d\xe4tasets/../datasets/{id}",
]

REFUSED = {0, 400, 401, 403, 404}
"""0: the connection or the stream was closed, without an answer."""


def lenient(target):
    """Read a target as leniently as any service might."""
    path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0]
    path = unquote(unquote(path)).replace("\\", "/")
    path = re.sub(r";[^/]*", "", path)
    return posixpath.normpath(re.sub(r"/+", "/", path)).casefold()


@pytest.mark.parametrize("trick", [*TRICKS, "/datasets/%34%32", "/datasets/4%32"])
def test_no_spelling_of_a_deleted_resource_is_served(trick, ask, service, alice):
    """A path that passes is a different one by then, also for the service."""
    response = ask(trick.replace("{id}", DELETED), alice)
    seen = service.take()
    assert response.status == 200 or response.status in REFUSED
    assert len(seen) == (response.status == 200)
    for each in seen:
        assert lenient(each.target) != "/datasets/42"


@pytest.mark.parametrize("trick", TRICKS)
def test_no_spelling_of_a_path_makes_it_public(trick, ask, service):
    response = ask(trick.replace("{id}", OTHER))
    assert response.status in REFUSED
    assert service.take() == []


@pytest.mark.parametrize("trick", [*TRICKS, "/datasets/%37", "/%64atasets/7"])
def test_the_served_path_is_the_checked_one(trick, ask, service, alice):
    """A proxy that normalises a path does so before the sidecar reads it."""
    response = ask(trick.replace("{id}", OTHER), alice)
    seen = service.take()
    assert (response.status == 200) == (len(seen) == 1)
    for each in seen:
        path = each.target.partition("?")[0]
        # However leniently a service reads, it reads the same.
        assert lenient(path) == unquote(path).removesuffix("/").casefold()


def test_a_query_does_not_change_the_path(ask, service):
    """Public is only what the service reads as this path."""
    assert ask("/health?/../datasets/42").status == 200
    (seen,) = service.take()
    assert seen.target.partition("?")[0] == "/health"


@pytest.mark.parametrize("method", ["get", "Get", "WEBSOCKET", "CONNECT", "G\x00T"])
def test_no_spelling_of_a_method_passes(method, client, service, alice):
    response = client.get("/datasets/7", alice, method)
    assert response.status in REFUSED | {405, 501}
    assert service.take() == []


@pytest.mark.parametrize(
    "target", ["/v1/authz/nginx", "/_revocation/authz", "/metrics"]
)
def test_the_sidecar_is_not_reached_through_the_proxy(target, ask, service, alice):
    """These are paths of the service like all others, or unknown."""
    response = ask(target)
    assert response.status in {401, 404}
    assert service.take() == []
