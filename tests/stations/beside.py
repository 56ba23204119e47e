"""An event loop in a thread, for synchronous tests: laws over many examples."""

import asyncio
import contextlib
import threading


@contextlib.contextmanager
def beside(serving, *, seconds=60):
    """Enter an async context manager in a loop of its own, in a thread.

    Yields its value, and a function that runs a coroutine in that loop.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(seconds)

    try:
        given = call(serving.__aenter__())
        try:
            yield given, call
        finally:
            call(serving.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
