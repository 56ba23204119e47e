"""`/metrics` and `/healthz` of the authority and of projectors."""

import urllib.error
import urllib.request

import pytest

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
