"""The command line: `revocation`, or `python -m revocation`."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Final

import structlog
import typer

from revocation.cli import (
    EXIT_NEGATIVE,
    admin,
    ask,
    embedded,
    issuers,
    publish,
    rebuild,
    stations,
)
from revocation.cli.status import status
from revocation.errors import NotAppliedError, RevocationError, SettingsError
from revocation.logs import configure_logging

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_STDERR: Final = 2

app = typer.Typer(
    help="Event-driven token revocation with provable freshness.\n\n"
    "Settings come from REVOCATION_* variables and the TOML file that "
    "REVOCATION_CONFIG names. Exit codes: 0 done or active, 1 failed, 2 wrong usage or "
    "settings, 3 a negative answer (token rejected, not applied in time, not ready), "
    "4 ready, but there are dead letters, 130 and 143 interrupted (Ctrl-C, SIGTERM).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(publish.app, name="publish")
app.add_typer(admin.topics, name="topics")
app.add_typer(admin.schemas, name="schemas")
app.add_typer(issuers.app, name="issuers")
app.add_typer(embedded.app, name="embedded")
_COMMANDS: Final[tuple[Callable[..., None], ...]] = (
    *(stations.authority, stations.projector, stations.sidecar),
    *(ask.check, ask.verify, status, rebuild.rebuild, embedded.demo),
)
for command in _COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; errors become one line on stderr and an exit code."""
    _open_standard_streams()
    configure_logging()
    try:
        app()
    except SettingsError as error:
        _fail(error, EXIT_USAGE)
    except NotAppliedError as error:
        _fail(error, EXIT_NEGATIVE)
    except RevocationError as error:
        _fail(error, EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - a bare traceback would not be JSON
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            typer.echo(f"no_space: {error}; free some, and try again", err=True)
            # Python would try to write what is left of it, and say so by a traceback.
            os._exit(EXIT_FAILED)
        structlog.get_logger().exception("unexpected failure")
        sys.exit(EXIT_FAILED)


def _open_standard_streams() -> None:
    """Open what the caller has closed, as by `<&-`.

    Else a socket gets its number, and libuv aborts the process when that is closed.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(number)
    if sys.stderr is None:  # Else what is logged would go to stdout.
        sys.stderr = os.fdopen(_STDERR, "w")


def _fail(error: RevocationError, code: int) -> None:
    typer.echo(f"{error.code}: {error}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
