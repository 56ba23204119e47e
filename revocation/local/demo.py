"""Starts everything, plays the story, and leaves nothing behind."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from revocation.local import Embedded, SystemState, demo_story
from revocation.local.demo_issuer import Issuer
from revocation.local.demo_screen import Screen, show_figures
from revocation.local.plan import DEFAULT_PARTITIONS
from revocation.local.process import end, free_ports, spawn, wait_until
from revocation.publisher import Publisher
from revocation.settings import PublisherSettings

_REGIONS: Final = ("eu", "us", "ap")
_SERVICE_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 1.0
"""Between acts, so that people can see each happen."""


def demo() -> None:
    """Run the demo; raises `typer.Exit` with code 1 if something went wrong."""
    console = Console(log_path=False)
    with tempfile.TemporaryDirectory(prefix="revocation-demo-") as name:
        folder = Path(name)
        system = Embedded(
            folder / "system",
            regions=_REGIONS,
            tell=console.log,
        )
        with system, _services(folder, system.state(), console) as (issuer, urls):
            wrong = uvloop.run(_play(console, system.state(), issuer, urls))
    for each in wrong:
        console.print(f"[bold red]wrong:[/bold red] {each}")
    if wrong:
        raise typer.Exit(1)
    console.print(
        "[green]Every stale token was rejected in every region, every fresh token "
        "still passes, and logged-out users log in again at once.[/green]"
    )


@contextlib.contextmanager
def _services(
    folder: Path, state: SystemState, console: Console
) -> Iterator[tuple[Issuer, dict[str, str]]]:
    """Run the protected service of each region; yields the issuer and their URLs."""
    issuer = Issuer()
    jwks = folder / "jwks.json"
    issuer.write_jwks(jwks)
    ports = dict(zip(state.regions, free_ports(len(state.regions)), strict=True))
    processes = []
    try:
        for name, region in state.regions.items():
            env = {
                "DEMO_JWKS": str(jwks),
                "DEMO_SIDECAR_URL": region.sidecar_url,
                "DEMO_PORT": str(ports[name]),
            }
            command = (sys.executable, "-m", "revocation.local.demo_service")
            log = folder / f"service-{name}.log"
            processes.append(spawn(f"service-{name}", command, env=env, log=log))
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        wait_until(
            lambda: all(map(_answers, urls.values())),
            processes,
            seconds=_SERVICE_SECONDS,
        )
        console.log("a protected service answers in each region")
        yield issuer, urls
    finally:
        end(processes)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/data").status_code == httpx.codes.UNAUTHORIZED
    except httpx.TransportError:
        return False


async def _play(
    console: Console, state: SystemState, issuer: Issuer, urls: Mapping[str, str]
) -> list[str]:
    settings = PublisherSettings(
        bootstrap_servers=state.bootstrap_servers, partitions=DEFAULT_PARTITIONS
    )
    wrong: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(Publisher(settings))
        regions = [
            demo_story.DemoRegion(
                name, await stack.enter_async_context(httpx.AsyncClient(base_url=url))
            )
            for name, url in urls.items()
        ]
        acts = demo_story.acts(issuer)
        screen = Screen(console, [act.title for act in acts], list(urls))
        with screen.shown():
            for act in acts:
                await asyncio.sleep(_PAUSE_SECONDS)
                wrong += await demo_story.play(act, regions, publisher, screen.report)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("measuring", total=demo_story.MEASURED)
            took, failures = await demo_story.measure(
                issuer, regions, publisher, lambda: progress.advance(task)
            )
        show_figures(console, took)
    return wrong + failures
