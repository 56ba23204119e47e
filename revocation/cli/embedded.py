"""`revocation embedded`: the whole system on this machine, from the command line.

Progress and advice go to stderr, results to stdout, as JSON with `--json`. Exit codes:
0 done or healthy, 1 failed or unhealthy, 2 wrong usage.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from revocation.extras import require_extra
from revocation.local import jars
from revocation.local.embedded_system import DEFAULT_FOLDER, Embedded
from revocation.local.plan import DEFAULT_PARTITIONS, DEFAULT_REGIONS
from revocation.local.system_state import SystemState, SystemStatus

app = typer.Typer(
    help="The whole system on this machine without Docker: real Kafka, real Valkey.\n\n"
    "Java and Valkey are packages; Kafka is fetched once. What `up` starts runs on "
    "after the command ends, until `down`.",
    no_args_is_help=True,
)

FolderOption = Annotated[
    Path, typer.Option("--folder", help="Holds all state.", show_default=True)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout.", show_default=False)
]
NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="kafka, authority, store-REGION, projector-REGION or sidecar-REGION.",
    ),
]

_REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@app.command()
def up(
    *,
    regions: Annotated[
        str, typer.Option(help="The regions, separated by commas.")
    ] = ",".join(DEFAULT_REGIONS),
    partitions: Annotated[
        int,
        typer.Option(min=1, max=1_024, help="Of each topic; then fixed."),
    ] = DEFAULT_PARTITIONS,
    folder: FolderOption = DEFAULT_FOLDER,
    json: JsonOption = False,
) -> None:
    """Start everything; return when every region gives verdicts.

    If it fails or is interrupted, it ends what it started.
    """
    require_extra("embedded", "revocation embedded up")
    system = Embedded(
        folder, regions=_split(regions), partitions=partitions, tell=_progress()
    )
    state = system.up()
    if json:
        typer.echo(state.model_dump_json(indent=2))
    else:
        _show_state(state)


@app.command()
def down(*, folder: FolderOption = DEFAULT_FOLDER) -> None:
    """End exactly what `up` and `start` started; the data stays in the folder."""
    Embedded(folder, tell=_progress()).down()


@app.command()
def status(*, folder: FolderOption = DEFAULT_FOLDER, json: JsonOption = False) -> None:
    """Show every process and how fresh each region is; exit 1 if anything is wrong."""
    seen = Embedded(folder).status()
    if json:
        typer.echo(seen.model_dump_json(indent=2))
    else:
        _show_status(seen)
    raise typer.Exit(0 if seen.healthy else 1)


@app.command()
def start(name: NameArgument, *, folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Restart a station that is not running, on the same port and with its data."""
    Embedded(folder, tell=_progress()).start(name)


@app.command()
def stop(
    name: NameArgument,
    *,
    folder: FolderOption = DEFAULT_FOLDER,
    kill: Annotated[
        bool, typer.Option("--kill", help="With SIGKILL, as in a crash.")
    ] = False,
) -> None:
    """End one station; `start` brings it back."""
    if not Embedded(folder, tell=_progress()).stop(name, kill=kill):
        typer.echo(f"{name} was not running", err=True)


@app.command()
def fetch() -> None:
    """Get Kafka's jars now, so that `up` needs no network."""
    require_extra("embedded", "revocation embedded fetch")
    jars.java()
    typer.echo(jars.fetch(_progress()))


def _split(regions: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(regions.split(",")))
    for name in names:
        if not _REGION.fullmatch(name):
            raise typer.BadParameter(
                f"{name!r} is no region: up to 32 of a-z, 0-9 and -, not - first",
                param_hint="--regions",
            )
    return names


def _progress() -> Callable[[str], None]:
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()

    def report(line: str) -> None:
        seconds = time.monotonic() - began
        console.print(f"[dim]{seconds:6.1f} s[/]  {line}", soft_wrap=True)

    return report


def _show_state(state: SystemState) -> None:
    table = Table("region", "sidecar", "store", box=None)
    for name, region in state.regions.items():
        table.add_row(name, region.sidecar_url, region.store_url)
    console = Console()
    console.print(table)
    console.print(f"Kafka at {state.bootstrap_servers}; for commands in this shell:")
    console.print(f"  export REVOCATION_CONFIG={state.config_file}", soft_wrap=True)


def _show_status(seen: SystemStatus) -> None:
    console = Console()
    log = Column("log", overflow="fold")
    stations = Table("station", "pid", "state", log, box=None)
    for each in seen.stations:
        state = "[green]runs[/]" if each.alive else "[red]dead[/]"
        stations.add_row(each.name, str(each.pid), state, str(each.log))
    console.print(stations)
    regions = Table("region", "state", "behind", box=None)
    for name, region in seen.regions.items():
        ready = "[green]ready[/]" if region.ready else f"[red]{region.detail}[/]"
        known = region.staleness_ms is not None
        regions.add_row(
            name, ready, f"{region.staleness_ms} ms" if known else "unknown"
        )
    console.print(regions)


def demo() -> None:
    """Watch real tokens die in three regions; exit code 0 only if all went well.

    Starts a real Kafka broker, three stores and every station in a temporary folder,
    plays five revocations and then measures 200. Ctrl-C at any time ends everything.
    """
    require_extra("demo", "revocation demo")
    from revocation.local.demo import demo as run  # noqa: PLC0415 - needs its extra

    run()
