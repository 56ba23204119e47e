"""The commands that ask: whether a token counts, and how the regions are."""

import base64
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
import typer
import uvloop
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from revocation.cli.regions import open_regions
from revocation.cli.stations import RegionOption, chosen
from revocation.decision import Verdict
from revocation.errors import StoreUnavailableError, TopicError
from revocation.kafka import new_consumer
from revocation.settings import RegionsSettings, VerifierSettings
from revocation.store import Region
from revocation.verifier import RemoteVerifier

_EXIT_NEGATIVE = 3

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


RouteOption = Annotated[str, typer.Option(help="Route class.")]
ResourceOption = Annotated[
    list[str] | None, typer.Option(help="What is touched, `type:id`; repeatable.")
]


def check(
    region: RegionOption = None,
    route: RouteOption = "read",
    resource: ResourceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say whether a token was revoked; exit code 0 if it still counts, else 3.

    Reads a claims set (JSON) or a compact JWT from stdin. The signature of a JWT is NOT
    verified: this command answers about revocation only; see `verify`.
    """
    claims, kid = _read_claims(sys.stdin.buffer.read())

    async def ask(verifier: RemoteVerifier) -> Verdict:
        return await verifier.check_async(
            claims, route=route, kid=kid, resources=resource or ()
        )

    _answer(region, ask, as_json=as_json)


def verify(
    region: RegionOption = None,
    route: RouteOption = "read",
    resource: ResourceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say whether a compact JWT is genuine and still counts; exit code 0, else 3.

    Reads the token from stdin, so that it is in no shell history and no list of
    processes. REVOCATION_ISSUERS says whose tokens are trusted.
    """
    token = sys.stdin.read().strip()

    async def ask(verifier: RemoteVerifier) -> Verdict:
        verification = await verifier.verify_async(
            token, route=route, resources=resource or ()
        )
        return verification.verdict

    _answer(region, ask, as_json=as_json)


def _answer(
    region: str | None,
    ask: Callable[[RemoteVerifier], Awaitable[Verdict]],
    *,
    as_json: bool,
) -> None:
    settings = VerifierSettings(**chosen(region))

    async def run() -> Verdict:
        async with RemoteVerifier.from_settings(settings) as verifier:
            return await ask(verifier)

    verdict = uvloop.run(run())
    if as_json:
        typer.echo(orjson.dumps({**verdict.to_json(), "region": settings.region}))
    else:
        word = "active" if verdict else f"REJECTED: {verdict.reason}"
        typer.echo(f"{word} in {settings.region}, {_age(verdict.staleness_ms)}")
        for name in ("detail", "receipt"):
            if value := getattr(verdict, name):
                typer.echo(f"  {name}: {value}")
    raise typer.Exit(0 if verdict else _EXIT_NEGATIVE)


def _read_claims(given: bytes) -> tuple[dict[str, Any], str | None]:
    text = given.strip()
    try:
        if text.startswith(b"{"):
            return orjson.loads(text), None
        header, payload, _ = text.split(b".")
        kid = orjson.loads(_unpadded(header)).get("kid")
        claims = orjson.loads(_unpadded(payload))
        claims.keys()
    except (ValueError, AttributeError) as error:
        raise typer.BadParameter(
            "stdin holds neither a JSON claims set nor a compact JWT"
        ) from error
    return claims, kid


def _unpadded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _age(milliseconds: int) -> str:
    return f"as of {milliseconds / 1_000:.3f} s ago"


def status(*, as_json: JsonOption = False) -> None:
    """Show each region's freshness, positions and lag; code 3 if one is not ready."""
    settings = RegionsSettings()
    report = uvloop.run(_report(settings))
    if as_json:
        typer.echo(orjson.dumps(report))
    else:
        _print_report(report)
    if not all(region["ready"] for region in report["regions"].values()):
        raise typer.Exit(_EXIT_NEGATIVE)


async def _report(settings: RegionsSettings) -> dict[str, Any]:
    ends = await _end_offsets(settings)
    regions = {}
    async with open_regions(settings) as readers:
        for name, reader in readers.items():
            try:
                regions[name] = _describe(await reader.region(), ends)
            except StoreUnavailableError as error:
                regions[name] = {"ready": False, "error": str(error)}
    return {"regions": regions}


async def _end_offsets(settings: RegionsSettings) -> dict[int, int]:
    consumer = new_consumer(settings, client_id="revocation-status")
    try:
        await consumer.start()
        topic, numbers = settings.topics.entries, range(settings.partitions)
        ends = await consumer.end_offsets(
            [TopicPartition(topic, number) for number in numbers]
        )
        return {tp.partition: end for tp, end in ends.items()}
    except KafkaError as error:
        raise TopicError(
            f"cannot read the ends of {settings.topics.entries} at "
            f"{settings.bootstrap_servers}: {error!r}; check "
            "REVOCATION_BOOTSTRAP_SERVERS, and whether `revocation topics init` ran"
        ) from error
    finally:
        await consumer.stop()


def _describe(region: Region, ends: dict[int, int]) -> dict[str, Any]:
    as_of = region.freshness.as_of
    age = time.time_ns() // 1_000_000 - as_of
    marks = region.marks
    lag = {
        at: max(0, ends[at] - mark.next_offset)
        for at, mark in marks.items()
        if at in ends
    }
    return {
        "ready": region.freshness.ready,
        "epoch": region.epoch,
        "as_of": as_of,
        "staleness_ms": age if as_of else None,
        "lag_records": sum(lag.values()),
        "partitions_rebuilt": sum(mark.rebuilt for mark in marks.values()),
        "partitions": {
            str(at): {**mark._asdict(), "lag_records": lag.get(at)}
            for at, mark in sorted(marks.items())
        },
    }


def _print_report(report: dict[str, Any]) -> None:
    table = Table("region", "state", "as of", "lag", "rebuilt", title="Regions")
    for name, region in report["regions"].items():
        if "error" in region:
            table.add_row(name, "[red]unreachable[/red]", region["error"])
            continue
        state = "[green]ready[/green]" if region["ready"] else "[red]not ready[/red]"
        age = region["staleness_ms"]
        table.add_row(
            name,
            state,
            "unknown" if age is None else f"{age / 1_000:.3f} s ago",
            f"{region['lag_records']} records",
            f"{region['partitions_rebuilt']} partitions",
        )
    Console().print(table)
