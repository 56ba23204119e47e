"""A verifier for services without an event loop, such as Flask's or Django's.

A background thread runs the loop in which the verifier follows its region; checks run
in the caller's thread. A thread does not survive a fork: start it in each worker
process (gunicorn's `post_fork`, uWSGI's `postfork` with `enable-threads`), not before.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from revocation.claims.claims import Claims
from revocation.decision import Verdict
from revocation.entries import Version
from revocation.errors import NotRunningError
from revocation.receipts import Receipt
from revocation.settings import VerifierSettings
from revocation.verifier.verification import Verification
from revocation.verifier.verifier import Verifier

_T = TypeVar("_T")
_STOPPED: Final = "the verifier was stopped while a call waited; start it again"


class ThreadedVerifier:
    """A `Verifier` for threads.

    A context manager:

        with ThreadedVerifier(Verifier.from_settings()) as verifier:
            verification = verifier.verify(token, route="write")

    or, where no `with` can enclose the service's lifetime, `start()`; `stop()` then
    runs when the process exits, if not before.

    Args:
        verifier: not started; nothing else may start or stop it.
        timeout_seconds: the maximum time that a call waits for the background thread.
        start_timeout_seconds: the maximum time of `start`; the verifier's own limit,
            after which it continues without being ready, must be shorter.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        timeout_seconds: float = 10.0,
        start_timeout_seconds: float = 60.0,
    ) -> None:
        self._verifier = verifier
        self._timeout_seconds = timeout_seconds
        self._start_timeout_seconds = start_timeout_seconds
        self._running: _Running | None = None

    @classmethod
    def from_settings(cls, settings: VerifierSettings | None = None) -> Self:
        """Return a verifier for the settings' region.

        Raises:
            SettingsError: names what is missing or wrong.
        """
        return cls(Verifier.from_settings(settings))

    def start(self) -> None:
        """Start the thread and the verifier in it; returns when it has started.

        Raises:
            NotRunningError: it already runs, or did not start in time.
            RevocationError: raised by the verifier's own start.
        """
        if self._running is not None and self._running.pid == os.getpid():
            raise NotRunningError("the verifier already runs; start it once")
        running = _Running(self._verifier)
        running.thread.start()
        concurrent.futures.wait([running.started], self._start_timeout_seconds)
        if not running.started.done():
            running.end(self._timeout_seconds)
            raise NotRunningError(
                f"the verifier did not start within {self._start_timeout_seconds} s; "
                "check its store and its log"
            )
        running.started.result()
        self._running = running
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop the verifier and end the thread; may be called twice."""
        running, self._running = self._running, None
        atexit.unregister(self.stop)
        if running is not None and running.pid == os.getpid():
            running.end(self._timeout_seconds)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def check(
        self,
        claims: Claims,
        *,
        route: str = "read",
        resources: Sequence[str] = (),
        kid: str | None = None,
    ) -> Verdict:
        """Return whether a token with these claims still counts; see `Verifier.check`.

        Makes no request: where the policy says `introspect`, use `verify`.

        Raises:
            NotRunningError: not started, or in another process.
            SettingsError: there is no policy for the route class.
        """
        self._require()
        return self._verifier.check(claims, route=route, resources=resources, kid=kid)

    def verify(
        self,
        token: str,
        *,
        route: str = "read",
        resources: Sequence[str] = (),
        wait: bool = True,
    ) -> Verification:
        """Return whether a compact JWT is genuine, meant for us, and still counts.

        Args:
            token: the compact JWT.
            route: the route class.
            resources: what the request touches, each `type:id`.
            wait: also wait, through the background thread, for an unknown key to be
                fetched and for the fallback, some seconds at most. If False, the answer
                uses only what is in memory.

        Raises:
            NotRunningError: not started, or in another process.
            SettingsError: there is no policy for the route class.
        """
        running = self._require()
        if wait:
            pending = self._verifier.verify_async(
                token, route=route, resources=resources
            )
            try:
                return running.run(pending, self._timeout_seconds)
            except TimeoutError:
                # If the loop hangs, the replica goes stale, and the policy decides.
                pass
        return self._verifier.verify(token, route=route, resources=resources)

    def current_version(self, issuer: str, user: str) -> Version:
        """Return the `ver` claim for a user's new token, from the region's store.

        Raises:
            NotRunningError: not started, or in another process.
            StoreError: the store is unreachable or not complete; retry later.
            TimeoutError: no reply in time.
        """
        return self.run(self._verifier.current_version(issuer, user))

    def wait_applied(
        self, receipts: Iterable[Receipt], *, timeout_seconds: float = 10.0
    ) -> float:
        """Wait until the region's store has applied events; returns the ms it took.

        Raises:
            NotAppliedError: not in time.
            NotRunningError: not started, or in another process.
        """
        waiting = self._verifier.wait_applied(receipts, timeout_seconds=timeout_seconds)
        return self.run(
            waiting, timeout_seconds=timeout_seconds + self._timeout_seconds
        )

    @property
    def ready(self) -> bool:
        """Whether it runs and its replica is complete."""
        return self._running is not None and self._verifier.ready

    def run(
        self,
        coroutine: Coroutine[Any, Any, _T],
        *,
        timeout_seconds: float | None = None,
    ) -> _T:
        """Run a coroutine in the background loop, such as a publisher's.

            verifier.run(publisher.start())
            verifier.run(publisher.publish(event))

        Raises:
            NotRunningError: not started, or in another process.
            TimeoutError: not done in time; the coroutine was cancelled.
        """
        try:
            running = self._require()
        except NotRunningError:
            coroutine.close()
            raise
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        return running.run(coroutine, seconds)

    def _require(self) -> "_Running":
        running = self._running
        if running is None:
            raise NotRunningError(
                "the verifier is not started; use `with` or call `start()`"
            )
        if running.pid != os.getpid():
            raise NotRunningError(
                "the verifier was started before this process was forked, and its "
                "thread exists only in the parent; start it in each worker process"
            )
        return running


class _Running:
    """One run of the thread and its loop."""

    def __init__(self, verifier: Verifier) -> None:
        self.pid = os.getpid()
        self.started: concurrent.futures.Future[None] = concurrent.futures.Future()
        # A daemon, so that a process that forgets to stop it still exits.
        self.thread = threading.Thread(
            target=self._main, name="revocation-verifier", daemon=True
        )
        self._verifier = verifier
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self, coroutine: Coroutine[Any, Any, _T], seconds: float) -> _T:
        if threading.current_thread() is self.thread:
            coroutine.close()
            raise NotRunningError(
                "a call from the verifier's own loop would deadlock; "
                "await the verifier's coroutine there"
            )
        assert self._loop is not None  # noqa: S101 - it has started
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise NotRunningError(_STOPPED) from None
        try:
            return future.result(seconds)
        except concurrent.futures.CancelledError:
            raise NotRunningError(_STOPPED) from None
        except TimeoutError:
            future.cancel()
            raise

    def end(self, seconds: float) -> None:
        """End the loop and the thread; pending calls are cancelled."""
        if self._loop is not None and self._task is not None:
            # A closed loop has already ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)
        self.thread.join(seconds)

    def _main(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            if not self.started.done():
                self.started.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        async with self._verifier:
            self.started.set_result(None)
            await self._loop.create_future()
