"""The load of benchmarks/soak.py, in a process of its own: asks on time, judges all.

An open loop: each question is due at a fixed time, whatever became of those before, and
its latency counts from then. Who waits for an answer before asking again would not see
how many waited with it (coordinated omission). The kernel's timer keeps the time: event
loops round to milliseconds, five questions at 5,000 a second.

Orders come by a pipe, and what was counted goes back by it each second:

    ("turn", course, status, since), ("close", course, until)    see `_soak_oracle.py`
    ("begin",), ("end",)                                         count from now; no more
    ("took",)                                                    all of `Course.took`
"""

import asyncio
import ctypes
import gc
import os
import struct
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop
from _soak_oracle import PASSED, Wrong, judge
from _soak_questions import MEANWHILE, CheckRequest, Questions
from _soak_record import Buckets, bucket_of

CONNECTIONS: Final = 32
_SLOTS: Final = 50_000
_COMING: Final = 5
"""So many of those that are revoked next are asked about already."""
_OFTEN: Final = 4
"""All but every fourth time, a token is chosen that is about to be refused."""
_LAST_ANSWERS_SECONDS: Final = 10
_NS: Final = 1_000_000_000
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class Load(NamedTuple):
    """What to ask, of whom, how often and on which cores."""

    socket: Path
    rate: float
    cores: Sequence[int]
    questions: Questions


@dataclass(slots=True)
class Counted:
    """Since the beginning, or since a second ago. Latencies and lateness in us."""

    answers: int = 0
    longest: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    late: Counter[int] = field(default_factory=Counter)
    """How long after they were due questions were looked at: our own fault."""
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[tuple[str, int]] = field(default_factory=Counter)


class LoadReport(NamedTuple):
    """What was counted in a second. What is wrong or lost is all since the start.

    `details`: of each kind of question and each status, the first that was wrong.
    """

    at: float
    answers: int
    longest: int
    latencies: Buckets
    late: Buckets
    statuses: dict[int, int]
    kinds: dict[tuple[str, int], int]
    wrong: int
    details: list[Wrong]
    lost: int


class _Line(asyncio.Protocol):
    """One connection that is kept alive, with one question at a time."""

    def __init__(self, asker: "Asker") -> None:
        self._asker = asker
        self._buffer = b""
        self._question: CheckRequest | None = None
        self._due = self._asked = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._asker.idle(self)

    def ask(self, question: CheckRequest, due: int) -> None:
        self._question, self._due = question, due
        self._asked = time.monotonic_ns()
        self._transport.write(question.request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(_END_OF_HEAD)
        length = data.find(_LENGTH, 0, end)
        if end < 0 or length < 0:
            self._buffer = data
            return
        length += len(_LENGTH)
        body = int(data[length : data.index(b"\r", length)])
        if len(data) < end + len(_END_OF_HEAD) + body:
            self._buffer = data
            return
        self._buffer = b""
        question, self._question = self._question, None
        assert question is not None
        self._asker.take(question, data, self._due, self._asked)
        self._asker.idle(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._asker.lose(self)


class Asker:
    """Asks, and counts."""

    def __init__(self, load: Load, pipe: Pipe) -> None:
        self._load = load
        self._pipe = pipe
        self._courses = load.questions.courses
        self._slots = cycle(load.questions.schedule(_SLOTS))
        questions = load.questions
        self._ending = [each.question for each in questions.revocable]
        self._gaps = [each.question for each in questions.in_gaps]
        self._revocable = {each.course: each for each in (*self._ending, *self._gaps)}
        self._pending: dict[str, CheckRequest] = {}
        self._ended = self._turn = self._round = 0
        self._begun = False
        self._idle: deque[_Line] = deque()
        self._waiting: deque[tuple[CheckRequest, int]] = deque()
        self._step = int(_NS / load.rate)
        self._wrong: dict[tuple[str, int], Wrong] = {}
        self._wrongs = self._lost = 0
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._count_from(time.monotonic_ns())

    async def run(self) -> None:
        """Send requests until the end message."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await self._connect()
        loop.add_reader(self._pipe.fileno(), self._obey)
        # Not as uvloop left it: a message longer than its buffer would be cut short.
        os.set_blocking(self._pipe.fileno(), True)
        timer = _timer(self._step)
        self._due = time.monotonic_ns()
        gc.collect()
        gc.freeze()
        loop.add_reader(timer, self._tick, timer)
        await self._over.wait()
        loop.remove_reader(timer)
        end = time.monotonic() + _LAST_ANSWERS_SECONDS
        while len(self._idle) < CONNECTIONS and time.monotonic() < end:  # noqa: ASYNC110 - an event would cost each answer
            await asyncio.sleep(0.01)
        self._lost += CONNECTIONS - len(self._idle) + len(self._waiting)
        self._tell()
        self._pipe.send(None)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        path = str(self._load.socket)
        await loop.create_unix_connection(lambda: _Line(self), path)

    # Asking --------------------------------------------------------------------------

    def _tick(self, timer: int) -> None:
        os.read(timer, 8)
        now = time.monotonic_ns()
        while self._due <= now:
            question = next(self._slots) or self._choose()
            self._now.late[bucket_of((now - self._due) // 1_000)] += 1
            if self._idle:
                self._idle.popleft().ask(question, self._due)
            else:
                self._waiting.append((question, self._due))
            self._due += self._step
        if now >= self._began + (self._seconds + 1) * _NS:
            self._tell()

    def _choose(self) -> CheckRequest:
        """Return a token that is just being revoked, or that was or will be."""
        self._turn += 1
        if self._pending and self._turn % _OFTEN:
            near = list(self._pending.values())
            return near[self._turn % len(near)]
        # All of them while it warms up: the sidecar remembers tokens that it verified.
        every = self._ended + _COMING if self._begun else len(self._ending)
        self._round += 1
        at = self._round % (every + len(self._gaps))
        return self._ending[at] if at < every else self._gaps[at - every]

    def idle(self, line: _Line) -> None:
        """Take a connection on which nothing is asked."""
        if self._waiting:
            line.ask(*self._waiting.popleft())
        else:
            self._idle.append(line)

    def lose(self, line: _Line) -> None:
        """Note that a connection was closed, and make another."""
        self._lost += 1
        if line in self._idle:
            self._idle.remove(line)
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Counting ------------------------------------------------------------------------

    def take(self, question: CheckRequest, answer: bytes, due: int, asked: int) -> None:
        """Judge and count an answer."""
        answered = time.monotonic_ns()
        status = int(answer[9:12])
        us = (answered - due) // 1_000
        now = self._now
        now.answers += 1
        now.longest = max(now.longest, us)
        now.latencies[bucket_of(us)] += 1
        now.statuses[status] += 1
        now.kinds[question.kind, status] += 1
        if question.kind == MEANWHILE and status != PASSED:
            self._pending.pop(question.course, None)
        wrong = judge(
            *(question.kind, self._courses[question.course], question.told),
            status=status,
            answer=answer,
            asked=asked / _NS,
            answered=answered / _NS,
        )
        if wrong is not None:
            self._wrongs += 1
            self._wrong.setdefault((wrong.kind, status), wrong)

    def _count_from(self, began: int) -> None:
        self._began, self._seconds = began, 0
        self._now = Counted()

    def _tell(self) -> None:
        now, self._now = self._now, Counted()
        self._seconds += 1
        told = LoadReport(
            self._seconds,
            *(now.answers, now.longest, dict(now.latencies), dict(now.late)),
            *(dict(now.statuses), dict(now.kinds)),
            *(self._wrongs, list(self._wrong.values()), self._lost),
        )
        self._pipe.send(told)

    # Orders --------------------------------------------------------------------------

    def _obey(self) -> None:
        while self._pipe.poll():
            match self._pipe.recv():
                case "turn", name, status, since:
                    self._courses[name].turn(status, since)
                    if name in self._revocable:
                        self._pending[name] = self._revocable[name]
                        self._ended += name.startswith(MEANWHILE)
                    self._pipe.send("done")
                case "close", name, until:
                    self._courses[name].close(until)
                case ("begin",):
                    self._begun = True
                    self._count_from(time.monotonic_ns())
                case ("took",):
                    every = self._courses.values()
                    self._pipe.send({each.name: each.took for each in every})
                case _:
                    self._over.set()


def _timer(step: int) -> int:
    """Return a file that is readable every so many ns (timerfd_create(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    interval = divmod(step, _NS)
    if file < 0 or libc.timerfd_settime(
        file, 0, struct.pack("@4l", *interval, *interval), None
    ):
        raise OSError(ctypes.get_errno(), "no timer; timerfd_create(2) of Linux")
    return file


def ask(load: Load, pipe: Pipe) -> None:
    """Run an asker; the process' first function."""
    os.sched_setaffinity(0, load.cores)
    asker = Asker(load, pipe)
    uvloop.run(asker.run())
