"""What the demo shows: a row for each proxy, while it happens, and the end of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.behind_proxies.services import Service
from examples.behind_proxies.story import (
    NOBODY,
    PRIVATE,
    STRANGER,
    USER,
    Logout,
    Visitor,
)

# Each with its width at the end, so that the table does not jump.
_COLUMNS = {
    "proxy": 11,
    "first token": 11,
    "after logout": 18,
    "new login": 9,
    "x-auth-subject\nat the service": 14,
}


class Screen:
    """The table of proxies, drawn anew from what the visitors have seen."""

    def __init__(self, console: Console, visitors: Sequence[Visitor]) -> None:
        self._console = console
        self._visitors = visitors
        self._logout: Logout | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the table on the screen meanwhile."""
        live = Live(
            get_renderable=self._table, console=self._console, refresh_per_second=12
        )
        try:
            with live:
                yield
        finally:
            if not self._console.is_terminal:
                self._console.line()  # which Live does on a terminal only

    def tell(self, logout: Logout) -> None:
        """Show when the logout was published."""
        self._logout = logout

    def _table(self) -> Table:
        title = f"One logout, {len(self._visitors)} proxies"
        table = Table(title=title, caption=self._caption(), show_lines=True)
        for name, width in _COLUMNS.items():
            table.add_column(name, min_width=width)
        for visitor in self._visitors:
            table.add_row(*_cells(visitor))
        return table

    def _caption(self) -> str:
        lines = [f"every request claims x-auth-subject: {STRANGER}"]
        if self._logout is None:
            lines.append(f"{USER} has logged in")
        else:
            at = datetime.fromtimestamp(self._logout.time, UTC)
            lines.append(
                f"{USER} logged out at {at:%H:%M:%S.%f}"[:-3]
                + f" UTC; Kafka acknowledged after {self._logout.acknowledged:.1f} ms"
            )
        return "\n".join(lines)


def summary(visitors: Sequence[Visitor], services: Sequence[Service]) -> str:
    """Return in a few words what was seen, where all was as it must be."""
    took = [each.refusal.milliseconds for each in visitors if each.refusal]
    pace = max(each.pace_ms for each in visitors)
    seen = ", ".join(
        f"{service.arrived()[PRIVATE, USER]} times in {service.language}"
        for service in services
    )
    when = f"{min(took):.0f} to {max(took):.0f} ms after her logout"
    return (
        f"{len(took)} proxies refused {USER}'s token {when} (each was asked every "
        f"{pace:.0f} ms or sooner, on average) and never let it pass again; her new "
        f"login passed at the first try. The services saw {USER} ({seen}), {NOBODY} "
        f"where no token is needed, and never {STRANGER}."
    )


def _cells(visitor: Visitor) -> tuple[str, ...]:
    first = "[dim]passed[/dim]" if visitor.refusal else "[green]passes[/green]"
    right = "green" if visitor.caller == USER else "red"
    spoofed = [each for each in visitor.callers if STRANGER in each]
    claim = f"[bold red]WAS {STRANGER}[/]" if spoofed else f"[dim]never {STRANGER}[/]"
    return (
        f"{visitor.door.proxy}\n[dim]→ {visitor.door.service.language}[/dim]",
        f"{first}\n{visitor.passed} times" if visitor.passed else "",
        _after_logout(visitor),
        f"[green]passes[/green]\n{visitor.came_back} times"
        if visitor.came_back
        else "",
        f"[{right}]{visitor.caller}[/]\n{claim}" if visitor.caller else "",
    )


def _after_logout(visitor: Visitor) -> str:
    if visitor.refusal is not None:
        milliseconds, told = visitor.refusal
        return (
            f"[red]{told.status}[/red] after [bold]{milliseconds:.1f} ms[/bold]\n"
            f"{told.error}"
        )
    passes = visitor.logout and visitor.latest.status == httpx.codes.OK
    return "[bold red]STILL PASSES[/bold red]" if passes else ""
