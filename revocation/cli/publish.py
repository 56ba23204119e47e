"""`revocation publish`: one subcommand per event type, and JSON lines from a file."""

import asyncio
import inspect
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import orjson
import typer
import uvloop
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.progress import Progress

from revocation import events
from revocation.cli.regions import open_regions
from revocation.errors import ContractError
from revocation.events import EVENT_TYPES, CloudEvent, Event
from revocation.publisher import Publisher
from revocation.receipts import Receipt, wait_applied
from revocation.settings import PublisherSettings, RegionsSettings

_IN_FLIGHT = 2_000

app = typer.Typer(help="Publish events.", invoke_without_command=True)

FileOption = Annotated[
    Path | None,
    typer.Option(
        help="CloudEvents as JSON lines; - reads stdin.",
        exists=True,
        allow_dash=True,
        dir_okay=False,
    ),
]
WaitOption = Annotated[
    str | None,
    typer.Option(
        help="Wait until all regions of REVOCATION_REGIONS have applied it, or one.",
        metavar="applied[:all|:REGION]",
    ),
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds that --wait may take.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.callback()
def publish(
    context: typer.Context,
    file: FileOption = None,
    wait: WaitOption = None,
    timeout: TimeoutOption = 10.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Publish one event (see the subcommands), or many with --file."""
    if context.invoked_subcommand is not None:
        if file is not None:
            raise typer.BadParameter("give either --file or a subcommand")
        return
    if file is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    lines = _read(file).splitlines()
    report = uvloop.run(_publish_lines(lines))
    report["applied_ms"] = _wait(report.pop("last"), wait, timeout)
    _print(report, as_json=as_json)
    raise typer.Exit(1 if report["refused"] else 0)


def _read(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def _add_command(model: type[CloudEvent]) -> None:
    """Add the subcommand of an event type; its options are the members of `data`."""
    data = cast("Any", model.model_fields["data"].annotation)
    members = cast("dict[str, FieldInfo]", data.model_fields)

    def command(
        *,
        source: str | None,
        time: datetime | None,
        wait: str | None,
        timeout: float,
        as_json: bool,
        **given: Any,
    ) -> None:
        event = _build(
            model,
            source=source or PublisherSettings().source,
            time=None if time is None else time.replace(tzinfo=time.tzinfo or UTC),
            **{name: value for name, value in given.items() if value is not None},
        )
        receipts = uvloop.run(_publish_one(event))
        applied = _wait(receipts, wait, timeout)
        printed = {"id": event.id, "receipts": list(map(str, receipts))}
        _print({**printed, "applied_ms": applied}, as_json=as_json)

    options = [_option_of(name, field) for name, field in members.items()]
    cast("Any", command).__signature__ = inspect.Signature([*options, *_COMMON_OPTIONS])
    command.__doc__ = model.__doc__
    name = model.model_fields["type"].default.removeprefix("revocation.")
    app.command(name.replace(".", "-").replace("_", "-"))(command)


def _option_of(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the option of a member; the model itself checks the value."""
    kind: Any = {"exp": int, "version": int, "disable": bool, "users": list[str]}.get(
        name, str
    )
    default: Any = inspect.Parameter.empty
    if not field.is_required():
        kind, default = kind | None, None
    option = typer.Option(help=field.description)
    return _keyword(name, Annotated[kind, option], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


_COMMON_OPTIONS = (
    _keyword("source", Annotated[str | None, typer.Option(help="Who says so.")], None),
    _keyword(
        "time",
        Annotated[
            datetime | None,
            typer.Option(help="When it happened (UTC); else when Kafka appends it."),
        ],
        None,
    ),
    _keyword("wait", WaitOption, None),
    _keyword("timeout", TimeoutOption, 10.0),
    _keyword("as_json", JsonOption, default=False),
)

for _model in EVENT_TYPES.values():
    _add_command(_model)


def _build(model: type[CloudEvent], **members: Any) -> Event:
    try:
        return cast("Event", model.new(**members))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise typer.BadParameter(f"{place}: {first['msg']}") from None


async def _publish_one(event: Event) -> tuple[Receipt, ...]:
    async with Publisher() as publisher:
        return await publisher.publish(event)


async def _publish_lines(lines: list[bytes]) -> dict[str, Any]:
    """Publish every line that is an event; report those that are not, with numbers."""
    refused: list[dict[str, Any]] = []
    latest: dict[int, Receipt] = {}
    published = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("publishing", total=len(lines))
        async with Publisher() as publisher:
            for batch in _batches(_parse(lines, refused)):
                sent = [await publisher.send(event) for event in batch]
                for receipts in await asyncio.gather(*sent):
                    latest.update({each.partition: each for each in receipts})
                published += len(batch)
                progress.update(task, completed=published + len(refused))
    for each in refused:
        typer.echo(f"line {each['line']}: {each['code']}: {each['message']}", err=True)
    return {"published": published, "refused": refused, "last": tuple(latest.values())}


def _parse(lines: list[bytes], refused: list[dict[str, Any]]) -> Iterator[Event]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield events.decode(line)
        except ContractError as error:
            found = {"line": number, "code": error.code, "message": str(error)}
            refused.append(found)


def _batches(parsed: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for event in parsed:
        batch.append(event)
        if len(batch) == _IN_FLIGHT:
            yield batch
            batch = []
    if batch:
        yield batch


def _wait(
    receipts: tuple[Receipt, ...], wait: str | None, timeout: float
) -> dict[str, float] | None:
    """Wait as --wait asks; returns milliseconds per region."""
    if wait is None:
        return None
    word, _, region = wait.partition(":")
    if word != "applied":
        raise typer.BadParameter("--wait takes applied, applied:all or applied:REGION")
    settings = RegionsSettings()
    if region not in ("", "all") and region not in settings.regions:
        known = ", ".join(sorted(settings.regions))
        raise typer.BadParameter(
            f"no region {region!r}; REVOCATION_REGIONS has {known}"
        )

    async def run() -> dict[str, float]:
        async with open_regions(settings) as readers:
            everywhere = region in ("", "all")
            chosen = readers if everywhere else {region: readers[region]}
            return await wait_applied(receipts, chosen, timeout_seconds=timeout)

    return uvloop.run(run())


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(report))
        return
    for name, value in report.items():
        match value:
            case None | []:
                continue
            case dict():
                shown = ", ".join(f"{key} {ms:.1f} ms" for key, ms in value.items())
            case list() if name == "refused":
                shown = f"{len(value)} lines"
            case list():
                shown = ", ".join(value)
            case _:
                shown = str(value)
        typer.echo(f"{name.replace('_', ' ')}: {shown}")
