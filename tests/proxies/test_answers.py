"""Answers that the sidecar gives rarely or never: only 200 passes."""

import pytest

from examples.behind_proxies.proxies import KINDS

pytestmark = pytest.mark.connected


def answer(status, *headers):
    lines = [f"HTTP/1.1 {status} Odd", "content-length: 2", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\nno"


ODD = {
    "nothing": b"",
    "noise": b"\x00\xff\x16\x03\x01 noise\r\n\r\n",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a part": b"HTTP/1.1 200 OK\r\ncontent-len",
    "two lengths": answer(200, "content-length: 3"),
    "redirect": answer(302, "location: https://evil.example/"),
    **{str(status): answer(status) for status in (304, 404, 407, 418, 429, 500, 502)},
}


# For answers over gRPC see `tests/stations/test_ext_authz.py`.
over_http = pytest.mark.parametrize(
    "careless_client", sorted(KINDS.keys() - {"envoy-grpc"}), indirect=True
)


@over_http
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_admits_no_one(name, careless_client, careless, started_service):
    careless.reply = ODD[name]
    started_service.take()
    for ask in (careless_client.get, careless_client.h2):
        response = ask("/datasets/7")
        assert response.body != b"served"
    assert started_service.take() == []


@over_http
@pytest.mark.parametrize("status", [400, 401, 403, 429, 431, 503])
def test_a_refusal_reaches_the_client_unchanged(status, careless_client, careless):
    """By nginx too, which on its own handles only 401 and 403."""
    retry = ("retry-after: 2",) if status in {429, 503} else ()
    careless.reply = answer(status, 'www-authenticate: Bearer realm="api"', *retry)
    for ask in (careless_client.get, careless_client.h2):
        response = ask("/datasets/7")
        assert response.status == status
        assert response.one("retry-after") == ("2" if retry else None)
        if status < 429:
            assert response.one("www-authenticate") == 'Bearer realm="api"'
