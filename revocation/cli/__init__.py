"""The command line. Each module holds the commands of one concern."""

import math
from typing import Annotated, Final

import typer

EXIT_NEGATIVE: Final = 3
"""The exit code of a negative answer: rejected, not applied in time, unhealthy."""

EXIT_DEAD_LETTERS: Final = 4
"""The exit code of `status` where the only problem is that there are dead letters."""


def read_seconds(text: str) -> float:
    """Read how long to wait.

    Raises:
        typer.BadParameter: it is not a positive, finite number.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise typer.BadParameter("give a number of seconds above 0, such as 10")
    return seconds


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
