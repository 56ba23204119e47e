"""Standard input as commands read it, also where it is closed."""

import sys
from typing import Annotated

import typer

DashArgument = Annotated[
    str,
    typer.Argument(
        metavar="[-]",
        help="Stands for stdin, which is read in any case.",
        show_default=False,
    ),
]


def read_stdin(what: str, dash: str = "-") -> bytes:
    """Return all of stdin.

    Args:
        what: should be piped in, for the message.
        dash: what was typed in its place; it may be a token and is never quoted.

    Raises:
        typer.BadParameter: something else than `-` was typed, or stdin cannot be read.
    """
    if dash != "-":
        raise typer.BadParameter(
            f"pipe {what} in: an argument would be in the shell's history and in the "
            "list of processes"
        )
    if sys.stdin is None:  # By `<&-`.
        raise typer.BadParameter(f"stdin is closed; pipe {what} in")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise typer.BadParameter(
            f"cannot read stdin: {error}; pipe {what} in"
        ) from None
