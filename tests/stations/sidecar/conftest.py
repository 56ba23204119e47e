"""A region with a revocation, and a client of its sidecar."""

import pytest

from revocation.entries import Kind
from tests.stations.sidecars import published, serving
from tests.stations.test_verifier import cut_off, store_as_of


@pytest.fixture
async def store():
    revoked = cut_off(Kind.USER, "alice"), cut_off(Kind.RESOURCE, "dataset:42")
    return await store_as_of(0, *revoked)


@pytest.fixture
def jwks(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(published())
    return path


@pytest.fixture
async def client(store, jwks):
    async with serving(store, jwks) as client:
        yield client
