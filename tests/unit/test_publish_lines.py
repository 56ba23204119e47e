"""`publish --file` when it ends early. Sibling: connected/test_cli.py."""

import asyncio
import os
import signal
from typing import Self

import pytest
import typer

from revocation.cli import publish_lines
from revocation.cli.publish_lines import publish_lines as publish
from revocation.entries import Offset
from revocation.errors import PublishError
from revocation.events import Event, encode
from revocation.receipts import Receipt
from tests.traffic import logged_out

LINES = [encode(logged_out(f"user-{number}")) for number in range(5)]


class FakePublisher:
    """Acknowledges so many events, and calls `then` instead of the next."""

    acknowledges = 3

    def __init__(self, _: object) -> None:
        self.abandoned = False
        self.waiting: list[asyncio.Future[tuple[Receipt, ...]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""

    async def send(self, _: Event) -> asyncio.Future[tuple[Receipt, ...]]:
        sent = asyncio.get_running_loop().create_future()
        self.waiting.append(sent)
        if len(self.waiting) <= self.acknowledges:
            sent.set_result((Receipt(0, Offset(len(self.waiting))),))
        elif len(self.waiting) == len(LINES):
            self.end(sent)
        return sent

    def end(self, sent: asyncio.Future[tuple[Receipt, ...]]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async def abandon(self) -> None:
        for each in self.waiting:
            if not each.done():
                each.set_exception(PublishError("left"))


class Unlucky(FakePublisher):
    """One whose last event is not acknowledged."""

    def end(self, sent: asyncio.Future[tuple[Receipt, ...]]) -> None:
        sent.set_exception(PublishError("not acknowledged"))


async def test_an_interrupted_command_says_what_was_acknowledged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what may have been, and that to repeat it is harmless, and why."""
    monkeypatch.setattr(publish_lines, "Publisher", FakePublisher)
    monkeypatch.setattr(publish_lines, "_PATIENCE_SECONDS", 0.05)
    with pytest.raises(typer.Exit) as ended:
        await publish(LINES)
    said = capsys.readouterr().err
    assert ended.value.exit_code == 128 + signal.SIGTERM
    assert "interrupted: 3 events were acknowledged. 2 more may be in the log." in said
    assert "events keep their ids, so none counts twice" in said
    assert len(said.splitlines()) == 1


async def test_a_command_that_fails_says_what_was_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish_lines, "Publisher", Unlucky)
    monkeypatch.setattr(publish_lines, "_PATIENCE_SECONDS", 0.05)
    with pytest.raises(
        PublishError, match=r"^not acknowledged\. 3 events were"
    ) as told:
        await publish(LINES)
    assert "2 more may be in the log" in str(told.value)
