"""What operators type. Each module holds the commands of one concern."""

from typing import Annotated, Final

import typer

EXIT_NEGATIVE: Final = 3
"""The exit code of a negative answer: rejected, not applied in time, not well."""

EXIT_DEAD_LETTERS: Final = 4
"""The exit code of `status` where nothing is wrong but that there are dead letters."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
