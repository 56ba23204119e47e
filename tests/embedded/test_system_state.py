"""The state in the folder, and what `status` derives from it."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from revocation.errors import EmbeddedError
from revocation.local.process import Process, kill, spawn
from revocation.local.system_state import (
    SystemRegion,
    SystemState,
    answers,
    observe,
    region_status,
)

Sidecar = Callable[..., str]

_REGION = SystemRegion(
    store_url="redis://127.0.0.1:1/0", sidecar_url="http://127.0.0.1:1"
)
_STATE = SystemState(
    bootstrap_servers="127.0.0.1:9092",
    config_file=Path("/x/revocation.toml"),
    regions={"eu": _REGION},
)


def a_station(name: str, *, pid: int = 2**22 + 1) -> Process:
    """A record; no process has this pid, it is beyond the kernel's largest."""
    return Process(
        name=name, command=("/bin/true",), env={}, log=Path("/x"), pid=pid, born="b/1"
    )


@pytest.fixture
def sidecar() -> Iterator[Sidecar]:
    """Serve one fixed answer on loopback."""
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        serve_quickly = functools.partial(server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve_quickly, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_written_state_is_read_back(tmp_path: Path) -> None:
    """The file carries all that `start` and `down` need."""
    state = _STATE.with_station(a_station("kafka"))

    state.write(tmp_path / "state.json")

    assert SystemState.read(tmp_path / "state.json") == state


def test_no_file_is_no_state(tmp_path: Path) -> None:
    """Nothing was started here, or all of it has ended."""
    assert SystemState.read(tmp_path / "state.json") is None


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Writing is atomic: `down` in the middle of `up` reads a complete state."""
    path = tmp_path / "state.json"
    many = {f"s-{number}": a_station(f"s-{number}") for number in range(300)}
    large = _STATE.model_copy(update={"stations": many})
    _STATE.write(path)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            large.write(path)
            _STATE.write(path)

    writer = threading.Thread(target=write)
    writer.start()
    seen = {len(SystemState.read(path).stations) for _ in range(200)}
    over.set()
    writer.join()

    assert seen <= {0, 300}


def test_a_write_that_fails_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk must not lose the record of running processes."""
    path = tmp_path / "state.json"
    _STATE.write(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        _STATE.with_station(a_station("kafka")).write(path)

    assert SystemState.read(path) == _STATE
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    """Guessing could end the wrong processes."""
    (tmp_path / "state.json").write_text('{"stations": []}')

    with pytest.raises(EmbeddedError, match="not of this version"):
        SystemState.read(tmp_path / "state.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\0"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    """No version wrote it, so none can end what it names."""
    (tmp_path / "state.json").write_bytes(content)

    with pytest.raises(EmbeddedError, match=r"state\.json is damaged.*`ps`"):
        SystemState.read(tmp_path / "state.json")


def test_an_unreadable_state_is_reported(tmp_path: Path) -> None:
    """Such as another user's; root can read everything but a folder."""
    (tmp_path / "state.json").mkdir()

    with pytest.raises(EmbeddedError, match=r"cannot work on .*directory.*--folder"):
        SystemState.read(tmp_path / "state.json")


def test_a_ready_region(sidecar: Sidecar) -> None:
    """Ready, and how far behind."""
    as_of = int(time.time() * 1_000) - 1_500
    url = sidecar(200, orjson.dumps({"ready": True, "region": "eu", "as_of": as_of}))

    seen = region_status(url)

    assert seen.ready
    assert seen.staleness_ms is not None
    assert 1_500 <= seen.staleness_ms < 10_000


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"ready": false, "error": "store_unavailable"}', "store_unavailable"),
        (b'{"ready": false, "as_of": 0}', "not complete"),
        (b"[]", "not complete"),
        (b"<html>", "does not answer"),
    ],
)
def test_a_region_that_is_not_ready(sidecar: Sidecar, body: bytes, detail: str) -> None:
    """The detail says why, whatever answers on that port."""
    seen = region_status(sidecar(503, body))

    assert not seen.ready
    assert seen.staleness_ms is None
    assert detail in seen.detail


def test_a_sidecar_that_is_down() -> None:
    """No answer is an answer."""
    assert "does not answer" in region_status("http://127.0.0.1:1").detail
    assert not answers("http://127.0.0.1:1")


def test_a_sidecar_that_answers(sidecar: Sidecar) -> None:
    """Any OK from `/healthz` will do."""
    assert answers(sidecar(200, b"ok\n"))


def test_healthy_needs_every_part(sidecar: Sidecar, tmp_path: Path) -> None:
    """One dead process or one region that is not ready is unhealthy."""
    ready = sidecar(200, b'{"ready": true, "as_of": 1}')
    region = SystemRegion(store_url="redis://127.0.0.1:1/0", sidecar_url=ready)
    sleep = spawn("kafka", ("/bin/sleep", "60"), env={}, log=tmp_path / "log")
    state = _STATE.model_copy(update={"regions": {"eu": region}}).with_station(sleep)

    try:
        assert observe(state).healthy
        assert not observe(state.with_station(a_station("authority"))).healthy
        assert not observe(
            state.model_copy(update={"regions": {"eu": _REGION}})
        ).healthy
    finally:
        kill(sleep)
