"""Paths that proxy, sidecar and service might read differently.

The service here is served what it is told; a real one may decode twice, merge slashes,
cut at `;` or compare without case. So nothing that any of them could take for a deleted
resource may reach it, and what reaches it has the name that was judged.
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
    """Read a target as generously as any service might."""
    path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0]
    path = unquote(unquote(path)).replace("\\", "/")
    path = re.sub(r";[^/]*", "", path)
    return posixpath.normpath(re.sub(r"/+", "/", path)).casefold()


@pytest.mark.parametrize("trick", [*TRICKS, "/datasets/%34%32", "/datasets/4%32"])
def test_no_spelling_of_a_deleted_resource_is_served(trick, ask, service, alice):
    """What passes has become another path on the way, and says so to the service."""
    told = ask(trick.replace("{id}", DELETED), alice)
    seen = service.take()
    assert told.status == 200 or told.status in REFUSED
    assert len(seen) == (told.status == 200)
    for each in seen:
        assert lenient(each.target) != "/datasets/42"


@pytest.mark.parametrize("trick", TRICKS)
def test_no_spelling_of_a_path_makes_it_public(trick, ask, service):
    told = ask(trick.replace("{id}", OTHER))
    assert told.status in REFUSED
    assert service.take() == []


@pytest.mark.parametrize("trick", [*TRICKS, "/datasets/%37", "/%64atasets/7"])
def test_what_is_served_is_what_was_judged(trick, ask, service, alice):
    """Where a proxy tidies up, it does so before the sidecar reads the path."""
    told = ask(trick.replace("{id}", OTHER), alice)
    seen = service.take()
    assert (told.status == 200) == (len(seen) == 1)
    for each in seen:
        path = each.target.partition("?")[0]
        # However generously a service reads, it reads the same.
        assert lenient(path) == unquote(path).removesuffix("/").casefold()


def test_a_query_is_no_path(ask, service):
    """What is public stays what the service reads as this path."""
    assert ask("/health?/../datasets/42").status == 200
    (seen,) = service.take()
    assert seen.target.partition("?")[0] == "/health"


@pytest.mark.parametrize("method", ["get", "Get", "WEBSOCKET", "CONNECT", "G\x00T"])
def test_no_spelling_of_a_method_passes(method, client, service, alice):
    told = client.get("/datasets/7", alice, method)
    assert told.status in REFUSED | {405, 501}
    assert service.take() == []


@pytest.mark.parametrize(
    "target", ["/v1/authz/nginx", "/_revocation/authz", "/metrics"]
)
def test_the_sidecar_is_not_reached_through_the_proxy(target, ask, service, alice):
    """These are paths of the service like all others, or nobody's."""
    told = ask(target)
    assert told.status in {401, 404}
    assert service.take() == []
