"""The demo's screen: a table that fills as tokens die, and the figures at the end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import quantiles

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from revocation.decision import Reason
from revocation.local.demo_story import Seen

_WAITING = "[green]accepted[/green]"
_REASON_WIDTH = len(Reason.VERSION_SUPERSEDED)


class Screen:
    """The table of acts and regions."""

    def __init__(
        self, console: Console, titles: Sequence[str], regions: Sequence[str]
    ) -> None:
        self._console = console
        self._regions = regions
        self._cells = {(act, region): _WAITING for act in titles for region in regions}
        self._titles = titles
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the table on the screen inside the block."""
        with Live(self._table(), console=self._console, refresh_per_second=12) as live:
            self._live = live
            yield
            live.update(self._table())

    def report(self, act: str, region: str, seen: Seen | None) -> None:
        """Show that a region rejected the stale token, or never did."""
        self._cells[act, region] = _describe(seen)
        if self._live is not None:
            self._live.update(self._table())

    def _table(self) -> Table:
        title = "The moment each token dies"
        reasons = [
            Column(name, min_width=_REASON_WIDTH, overflow="fold")
            for name in self._regions
        ]
        table = Table("event", *reasons, title=title, show_lines=True)
        for act in self._titles:
            table.add_row(act, *(self._cells[act, region] for region in self._regions))
        return table


def _describe(seen: Seen | None) -> str:
    if seen is None:
        return "[bold red]STILL ACCEPTED[/bold red]"
    as_of = datetime.fromtimestamp(seen.as_of / 1_000, UTC)
    return (
        f"[red]rejected[/red] after [bold]{seen.milliseconds:.1f} ms[/bold]\n"
        f"{seen.reason}\n[dim]as of {as_of:%H:%M:%S}.{seen.as_of % 1_000:03} UTC[/dim]"
    )


def show_figures(console: Console, took: Mapping[str, list[float]]) -> None:
    """Show the distribution of publish to reject, per region."""
    count = max(map(len, took.values()))
    title = f"Publish to reject, {count} revocations, in ms"
    table = Table("region", "p50", "p99", "max", title=title)
    for region, values in took.items():
        cuts = quantiles(values, n=100)
        table.add_row(
            region, *(f"{value:.1f}" for value in (cuts[49], cuts[98], max(values)))
        )
    console.print(table)
