"""`/metrics` and `/healthz` of the authority and of projectors."""

import socket
import urllib.error
import urllib.request

import pytest

from revocation.errors import SettingsError
from revocation.http.health import serve
from revocation.local.process import LOOPBACK, free_ports


@pytest.fixture
def station():
    """What is wrong with a station, and where it says so."""
    problems = [""]
    (port,) = free_ports(1)
    serve(lambda: problems[0], host=LOOPBACK, port=port)
    return problems, f"http://{LOOPBACK}:{port}"


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_station_is_well_until_something_is_wrong(station, capfd):
    problems, url = station
    assert get(f"{url}/healthz") == (200, b"ok\n")
    problems[0] = "entries: no progress for 10 s"
    assert get(f"{url}/healthz") == (503, b"entries: no progress for 10 s\n")
    problems[0] = ""
    assert get(f"{url}/healthz") == (200, b"ok\n")
    assert capfd.readouterr() == ("", "")


def test_metrics_are_beside_it(station):
    problems, url = station
    problems[0] = "something"
    status, body = get(f"{url}/metrics")
    assert status == 200
    assert b"revocation_stalls_total" in body
    assert b"process_start_time_seconds" in body


def test_it_listens_on_version_6_as_well():
    (port,) = free_ports(1)
    serve(str, host="::1", port=port)
    assert get(f"http://[::1]:{port}/healthz") == (200, b"ok\n")


def test_a_port_in_use_is_said_with_the_settings_to_change():
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"{LOOPBACK}:{port} .*in use.*PORT"):
            serve(str, host=LOOPBACK, port=port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_said(host):
    with pytest.raises(SettingsError, match=f"{host}:9464 .*METRICS_HOST"):
        serve(str, host=host, port=9464)
