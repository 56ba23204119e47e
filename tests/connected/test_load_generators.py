"""The load generators of benchmarks send the stated requests and count correctly."""

import asyncio
import contextlib
import importlib
import shutil
from http import HTTPStatus

import orjson
import pytest

from tests.structure.sources import ROOT

GENERATORS = ["_ask.py", *(["wrk"] if shutil.which("wrk") else [])]
TOKENS = [f"token-{number}" for number in range(3)]
TOOK_MS = 20

pytestmark = pytest.mark.parametrize("generator", GENERATORS)


@pytest.fixture
def load(monkeypatch, tmp_path, generator):
    """Return the generator as the benchmark in its folder builds it."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(TOKENS))
    return importlib.import_module("_load").Load(generator, tokens, 0.3)


class Server:
    """Records each request, and answers it after a delay."""

    def __init__(self, status):
        self.status = status
        self.asked = []
        self.answering = []

    async def answer(self, reader, writer):
        self.answering.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                first, *lines = head.strip().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append((first, headers, body))
                await asyncio.sleep(TOOK_MS / 1e3)
                writer.write(
                    f"HTTP/1.1 {self.status} {self.status.phrase}\r\n"
                    "Content-Length: 2\r\n\r\n{}".encode()
                )
        writer.close()


async def asked(load, question, status=HTTPStatus.OK):
    """Return a server's requests with 4 in flight, and the generator's report."""
    server = Server(status)
    async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        try:
            answers = await asyncio.to_thread(load.ask, port, question, 4)
        finally:
            await asyncio.gather(*server.answering)
    return server.asked, answers


async def test_checks_are_sent_and_counted(load):
    requests, answers = await asked(load, "check")
    assert {first for first, _, _ in requests} == {"post /v1/check http/1.1"}
    bodies = {orjson.loads(body)["token"] for _, _, body in requests}
    assert bodies == {*TOKENS}
    assert 0 <= len(requests) - answers.requests <= 4
    assert TOOK_MS <= answers.p50 <= answers.p99
    assert 0 < answers.rate <= 4 * 1_000 / TOOK_MS


async def test_forward_auth_requests_are_sent(load):
    requests, answers = await asked(load, "authz")
    assert {first for first, _, _ in requests} == {"get /v1/authz/traefik http/1.1"}
    every = {(headers["authorization"], body) for _, headers, body in requests}
    assert every == {(f"bearer {token}", b"") for token in TOKENS}
    forwarded = {
        tuple((name, headers[name]) for name in sorted(headers) if "forwarded" in name)
        for _, headers, _ in requests
    }
    assert forwarded == {
        (
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-method", "get"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-uri", "/datasets/42"),
        )
    }
    assert answers.requests > 0


async def test_a_refusal_does_not_count_as_an_answer(load):
    with pytest.raises(SystemExit, match="questions failed"):
        await asked(load, "check", HTTPStatus.UNAUTHORIZED)
