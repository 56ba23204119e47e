"""`make demo-proxies`: starts everything, lets it happen, and leaves nothing behind."""

import contextlib
import shutil
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import httpx
import typer
import uvloop
from rich.console import Console

from examples.behind_proxies.screen import Screen, summary
from examples.behind_proxies.services import installed
from examples.behind_proxies.story import Visitor, judge, play
from examples.behind_proxies.system import System, running
from revocation.errors import RevocationError
from revocation.logs import configure_logging
from revocation.publisher import Publisher

RULES = Path(__file__).with_name("rules.toml")

# Its own tracebacks would show tokens.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    *,
    rules: Annotated[
        Path, typer.Option(help="What the sidecar asks for.", exists=True)
    ] = RULES,
) -> None:
    """Watch every proxy refuse a token after one logout; exit code 0 if all went right.

    Starts a real Kafka broker, a region with its stations, a sidecar, Envoy, nginx,
    Traefik and the services behind them. Ctrl-C at any time ends everything.
    """
    console = Console(log_path=False)
    languages, missing = installed()
    for each in missing:
        console.print(f"[yellow]{each}[/yellow]")
    with _folder(console) as folder:
        with running(folder, languages, rules=rules, tell=console.log) as system:
            visitors = uvloop.run(_play(console, system))
            wrong = judge(visitors, system.services)
            right = "" if wrong else summary(visitors, system.services)
        if wrong:
            for each in wrong:
                console.print(f"[bold red]wrong:[/bold red] {each}")
            raise typer.Exit(1)
        console.print(f"[green]{right}[/green]")


async def _play(console: Console, system: System) -> list[Visitor]:
    trust = ssl.create_default_context(cafile=system.authority)
    async with contextlib.AsyncExitStack() as stack:
        visitors = []
        for door in system.doors:
            client = httpx.AsyncClient(base_url=door.url, verify=trust, trust_env=False)
            await stack.enter_async_context(client)
            visitors.append(Visitor(door, client, system.issuer))
        publisher = await stack.enter_async_context(Publisher(system.publishing))
        screen = Screen(console, visitors)
        with screen.shown():
            await play(visitors, publisher, screen.tell)
    return visitors


@contextlib.contextmanager
def _folder(console: Console) -> Iterator[Path]:
    """Make a folder for everything; when something is wrong it stays, with all logs."""
    folder = Path(tempfile.mkdtemp(prefix="behind-proxies-"))
    try:
        yield folder
    except Exception:
        console.print(f"The logs of everything are below {folder}", soft_wrap=True)
        raise
    except BaseException:  # Ctrl-C
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    configure_logging()
    try:
        app()
    except RevocationError as error:
        typer.echo(f"{error.code}: {error}", err=True)
        sys.exit(1)
