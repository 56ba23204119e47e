"""The verifier for threads, over a stub verifier."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from revocation.decision import Reason
from revocation.errors import NotRunningError, StoreUnavailableError
from revocation.verifier.threaded_verifier import ThreadedVerifier
from tests.stations.verifications import StubVerifier


class Stub(StubVerifier):
    """A verifier that records the threads of its start, calls and stop."""

    ready = True

    def __init__(self, reason=Reason.ACTIVE, *, start_error=None):
        super().__init__(reason)
        self.start_error = start_error
        self.starts = asyncio.Event()
        self.threads = {}
        self.waiting = threading.Event()

    async def __aenter__(self):
        self.threads["start"] = threading.current_thread()
        if isinstance(self.start_error, Exception):
            raise self.start_error
        if self.start_error is not None:
            await self.starts.wait()
        return self

    async def __aexit__(self, *_):
        self.threads["stop"] = threading.current_thread()

    def check(self, claims, *, route="read", resources=(), kid=None):
        self.threads["check"] = threading.current_thread()
        return self.verify(f"{claims} {kid}", route=route, resources=resources).verdict

    async def verify_async(self, token, *, route="read", resources=()):
        self.threads["verify"] = threading.current_thread()
        if token == "slow":
            self.waiting.set()
            await asyncio.get_running_loop().create_future()
        return self.verify(token, route=route, resources=resources)

    async def current_version(self, issuer, user):
        return 7

    async def wait_applied(self, receipts, *, timeout_seconds):
        return 1.5


def own_threads():
    return [t for t in threading.enumerate() if t.name == "revocation-verifier"]


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
def running(stub):
    with ThreadedVerifier(stub) as verifier:
        yield verifier
    assert own_threads() == []


def test_it_runs_in_one_thread_of_its_own_until_it_is_stopped(stub):
    with ThreadedVerifier(stub) as verifier:
        (thread,) = own_threads()
        assert thread.daemon
        assert verifier.ready
    assert own_threads() == []
    assert not verifier.ready
    assert stub.threads == {"start": thread, "stop": thread}


def test_a_check_is_made_in_the_thread_that_asks(stub, running):
    verdict = running.check("claims", route="write", resources=["a:b"], kid="k")
    assert verdict.active
    assert stub.calls == [("claims k", "write", ("a:b",))]
    assert stub.threads["check"] is threading.current_thread()


def test_a_verification_may_wait_in_the_background(stub, running):
    assert running.verify("token", route="write", resources=["a:b"])
    assert stub.calls == [("token", "write", ("a:b",))]
    assert stub.threads["verify"] in own_threads()


def test_a_verification_need_not_wait(stub, running):
    assert running.verify("slow", wait=False)
    assert "verify" not in stub.threads


def test_a_verification_that_waits_too_long_uses_cached_keys(stub):
    stub.reason = Reason.KEY_UNKNOWN
    with ThreadedVerifier(stub, timeout_seconds=0.05) as verifier:
        verification = verifier.verify("slow")
    assert verification.verdict.reason is Reason.KEY_UNKNOWN
    assert stub.waiting.is_set()


def test_many_threads_ask_at_once(running):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(running.verify, map(str, range(200))))
    assert all(answers)


def test_issuers_read_versions_and_await_receipts(running):
    assert running.current_version("https://idp.example/", "alice") == 7
    assert running.wait_applied([], timeout_seconds=1) == 1.5


def test_any_coroutine_runs_in_its_loop(running):
    async def where():
        return threading.current_thread()

    assert running.run(where()) in own_threads()


def test_an_error_of_a_coroutine_is_raised_in_the_caller(running):
    async def failing():
        raise ValueError("of the coroutine")

    with pytest.raises(ValueError, match="of the coroutine"):
        running.run(failing())


def test_a_coroutine_that_takes_too_long_is_cancelled(running):
    cancelled = threading.Event()

    async def forever():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        running.run(forever(), timeout_seconds=0.05)
    assert cancelled.wait(5)


# Life ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda verifier: verifier.check({}),
        lambda verifier: verifier.verify("token"),
        lambda verifier: verifier.verify("token", wait=False),
        lambda verifier: verifier.current_version("issuer", "user"),
    ],
)
def test_without_a_running_loop_the_error_says_what_to_do(stub, ask):
    verifier = ThreadedVerifier(stub)
    with pytest.raises(NotRunningError, match="start"):
        ask(verifier)
    with verifier:
        ask(verifier)
    with pytest.raises(NotRunningError, match="start"):
        ask(verifier)
    gc.collect()  # A coroutine that is never awaited would warn.


def test_an_error_of_the_start_is_raised_and_leaves_no_thread():
    stub = Stub(start_error=StoreUnavailableError("no store"))
    verifier = ThreadedVerifier(stub)
    with pytest.raises(StoreUnavailableError, match="no store"):
        verifier.start()
    verifier.stop()
    assert own_threads() == []


def test_a_start_that_hangs_times_out():
    stub = Stub(start_error="never")
    verifier = ThreadedVerifier(stub, start_timeout_seconds=0.05)
    with pytest.raises(NotRunningError, match=r"within 0\.05 s"):
        verifier.start()
    assert own_threads() == []


def test_it_is_started_once_and_may_be_stopped_twice_and_started_again(stub):
    verifier = ThreadedVerifier(stub)
    verifier.start()
    with pytest.raises(NotRunningError, match="already runs"):
        verifier.start()
    verifier.stop()
    verifier.stop()
    with verifier:
        assert verifier.verify("token")


def test_a_caller_waiting_during_the_stop_gets_an_error(stub):
    verifier = ThreadedVerifier(stub)
    verifier.start()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(verifier.verify, "slow")
        assert stub.waiting.wait(5)
        verifier.stop()
        with pytest.raises(NotRunningError, match="stopped"):
            asked.result(5)


def test_its_own_loop_may_not_wait_for_itself(running):
    async def nested():
        running.verify("token")

    with pytest.raises(NotRunningError, match="own loop"):
        running.run(nested())
    gc.collect()


def test_a_forked_process_must_start_its_own(running, monkeypatch):
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(NotRunningError, match="forked"):
        running.verify("token")
    with pytest.raises(NotRunningError, match="forked"):
        running.check({})
    monkeypatch.undo()
    assert running.verify("token")


def test_in_a_forked_process_it_can_be_started_again(stub, monkeypatch):
    verifier = ThreadedVerifier(stub)
    verifier.start()
    parents = verifier._running
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with verifier:
        assert verifier.verify("token")
    monkeypatch.undo()
    parents.end(5)
    assert own_threads() == []


FORGETFUL = """
from revocation.verifier.threaded_verifier import ThreadedVerifier
from tests.stations.test_threaded import Stub

class Talking(Stub):
    async def __aexit__(self, *_):
        print("stopped")

verifier = ThreadedVerifier(Talking())
verifier.start()
assert verifier.verify("token")
"""


def test_a_process_that_does_not_stop_it_still_exits_cleanly():
    ended = subprocess.run(
        [sys.executable, "-c", FORGETFUL],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped\n", "")
