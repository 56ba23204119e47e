"""nginx with a configuration written without knowledge of `deploy/`."""

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from examples.behind_proxies.proxies import Proxy, program_of
from revocation.errors import PrerequisiteError
from revocation.local.process import free_ports
from tests.proxies.client import Client

pytestmark = pytest.mark.connected

PATH = "/datasets/7"
LINES = ("proxy_pass_request_body off;", 'proxy_set_header Content-Length "";')
PATIENCE = 10
"""How long the sidecar waits for a body elsewhere, in seconds."""


@pytest.fixture(params=["both lines", "Content-Length"])
def nginx(request, values, authority, tmp_path):
    """Start one that announces the request's body to the sidecar, and sends none."""
    port = free_ports(1)[0]
    named = {**values, "PROXY_LISTEN_PORT": str(port)}
    trusted, log = authority.file, tmp_path / "proxy.log"
    try:
        proxy = Proxy("nginx", tmp_path, named, authority=trusted, log=log)
        program_of(proxy.kind)
    except PrerequisiteError as error:
        pytest.skip(str(error))
    written = tmp_path / "nginx.conf"
    text = written.read_text()
    for line in LINES if request.param == "both lines" else LINES[1:]:
        assert text.count(line) == 1
        text = text.replace(line, "")
    written.write_text(text)
    with proxy:
        yield Client(port, str(proxy.authority))


def counted(sidecar):
    text = httpx.get(f"http://127.0.0.1:{sidecar.port}/metrics").text
    found = re.search(r'proxy_misconfigured_total\{cause="body"\} (\S+)', text)
    return float(found[1]) if found else 0


def put(client, headers, size):
    fields = [*headers, ("Content-Length", str(size))]
    return client.get(PATH, fields, "PUT", body=b"a" * size, patience=PATIENCE / 2)


@pytest.mark.parametrize("size", [5, 100_000])
def test_a_request_with_a_body_is_checked_at_once(
    nginx, sidecar, started_service, alice, size
):
    """The sidecar names the missing line, and does not wait for the body."""
    started_service.take()
    before = counted(sidecar)
    assert put(nginx, alice, size).status == 200
    (seen,) = started_service.take()
    assert len(seen.body) == size
    assert put(nginx, [], size).status == 401
    assert started_service.take() == []
    assert counted(sidecar) == before + 2
    response = sidecar.log.read_text()
    assert "proxy misconfigured" in response
    for line in LINES:
        assert line.replace('"', '\\"') in response


def test_no_client_is_taken_for_another(nginx, started_service, alice):
    """Many at once, with and without body and token: each gets its own answer."""
    started_service.take()
    turns = [(number % 2, number % 3) for number in range(60)]

    def ask(turn):
        has_token, has_body = turn
        headers = alice if has_token else []
        if has_body:
            return put(nginx, headers, 64).status
        return nginx.get(PATH, headers, patience=PATIENCE / 2).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, turns))
    assert statuses == [200 if has_token else 401 for has_token, _ in turns]
    assert len(started_service.take()) == statuses.count(200)
