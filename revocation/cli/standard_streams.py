"""Standard input as commands read it, even where it is closed."""

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
        what: the name of the input, for the message.
        dash: the argument in its place; it may be a token, so no message quotes it.

    Raises:
        typer.BadParameter: the argument is not `-`, or stdin cannot be read.
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
