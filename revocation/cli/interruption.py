"""Ctrl-C and SIGTERM: a command ends with one line that says what it has done."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

import typer

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible(describe: Callable[[], str]) -> Iterator[None]:
    """Let the first signal cancel the task that runs the block, and report progress.

    The exit code is 128 plus the signal's number, as in a shell. A second signal has
    its previous effect.

    Args:
        describe: called once the block has ended; returns the line to print.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    came: list[signal.Signals] = []
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def interrupt(number: signal.Signals) -> None:
        came.append(number)
        release()
        if task is not None:
            task.cancel()

    def release() -> None:
        for number, handler in handlers.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield
    except asyncio.CancelledError:
        if not came:
            raise
        typer.echo(f"interrupted: {describe()}", err=True)
        raise typer.Exit(128 + came[0]) from None
    finally:
        release()
