"""What operators type. Each module holds the commands of one concern."""

from typing import Annotated, Final

import typer

EXIT_NEGATIVE: Final = 3
"""The exit code of a negative answer: rejected, not applied in time, not well."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
