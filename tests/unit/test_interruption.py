"""What Ctrl-C and SIGTERM do. Sibling: connected/test_cli_setup.py."""

import asyncio
import os
import signal

import pytest
import typer

from revocation.cli.interruption import interruptible


async def wait(number: int | None = None) -> None:
    """Wait in a block that a signal ends, after sending one."""
    with interruptible(lambda: "half of it is done"):
        if number is not None:
            os.kill(os.getpid(), number)
        await asyncio.sleep(30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_block_with_a_line_and_its_exit_code(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        await wait(number)
    assert ended.value.exit_code == 128 + number
    assert capsys.readouterr().err == "interrupted: half of it is done\n"


async def test_other_cancellations_are_none_of_its_business(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), timeout=0.01)
    assert capsys.readouterr().err == ""
