"""Runs a station whose background tasks can be ended or hung from outside, by a signal.

Usage: `python -m tests.connected.broken_stations FILE [--unwatched] STATION`. At
SIGRTMIN the station runs the command in the file and writes the result to FILE.done:

    kill NAME    cancels a task
    hang NAME    replaces a client's task with one that does nothing
    block        blocks the event loop for good
    list         names the tasks that run

A name is that of a client and its task, such as `consumer heartbeat`, or a part of the
name of a coroutine that runs as a task, such as `OrderedProducer._hand_over`.
"""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from revocation import __main__
from revocation.authority.faust_app import Authority
from revocation.kafka import clients
from revocation.projector.projector import Projector
from revocation.sidecar.sidecar import Sidecar
from revocation.watchdog import Watchdog

PLACES = {
    "metadata": lambda client: (clients._client_of(client), "_sync_task"),
    "sender": lambda client: (client._sender, "_sender_task"),
    "fetcher": lambda client: (client._fetcher, "_fetch_task"),
    "coordinator": lambda client: (client._coordinator, "_coordination_task"),
    "heartbeat": lambda client: (client._coordinator, "_heartbeat_task"),
    "commit refresh": lambda client: (client._coordinator, "_commit_refresh_task"),
}
_stations: list[Any] = []


def catch(station: type[Any], method: str) -> None:
    """Keep the station once it starts."""
    start = getattr(station, method)

    async def started(self: Any, *arguments: Any) -> None:
        _stations[:] = [self, asyncio.get_running_loop()]
        await start(self, *arguments)

    setattr(station, method, started)


def tasks() -> Iterator[tuple[str, asyncio.Task[Any]]]:
    """Yield every task of the station with its name, in all loops."""
    station, loop = _stations
    loops = [loop]
    consumer = getattr(station, "clients", {}).get("consumer")
    if consumer is not None and consumer._loop is not loop:
        loops.append(consumer._loop)
    for each in loops:
        for task in list(asyncio.all_tasks(each)):
            coroutine = task.get_coro()
            inner = getattr(coroutine, "cr_await", None)  # what Faust wraps
            yield (
                f"{coroutine.__qualname__} > {getattr(inner, '__qualname__', '')}",
                task,
            )


def find(name: str) -> asyncio.Task[Any]:
    """Return the task with a name."""
    kind, _, task = name.partition(" ")
    clients = getattr(_stations[0], "clients", {})
    if kind in clients and task in PLACES:
        owner, attribute = PLACES[task](clients[kind])
        return getattr(owner, attribute)
    return next(found for described, found in tasks() if name in described)


def hang(name: str) -> None:
    """Replace a client's task with one that does nothing."""
    kind, _, task = name.partition(" ")
    owner, attribute = PLACES[task](_stations[0].clients[kind])
    before = getattr(owner, attribute)
    loop = before.get_loop()

    def replace() -> None:
        before.cancel()
        setattr(owner, attribute, loop.create_task(asyncio.Event().wait()))

    loop.call_soon_threadsafe(replace)


def obey(path: Path) -> None:
    """Execute the command in the file."""
    word, _, name = path.read_text().strip().partition(" ")
    done = "done"
    match word:
        case "list":
            done = "\n".join(sorted(name for name, _ in tasks()))
        case "kill":
            task = find(name)
            task.get_loop().call_soon_threadsafe(task.cancel)
        case "hang":
            hang(name)
        case "block":
            threading.Timer(0.1, say, (path, done)).start()
            time.sleep(3_600)
    say(path, done)


def say(path: Path, done: str) -> None:
    """Write the result, atomically."""
    scratch = path.with_suffix(".scratch")
    scratch.write_text(done)
    scratch.rename(path.with_suffix(".done"))


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    if sys.argv[1] == "--unwatched":
        sys.argv.pop(1)
        Watchdog.start = lambda _: None  # type: ignore[method-assign]
    catch(Projector, "start")
    catch(Authority, "on_start")
    catch(Sidecar, "start")
    signal.signal(signal.SIGRTMIN, lambda *_: obey(file))
    __main__.main()
