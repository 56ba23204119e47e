"""The explanation of a token as people read it."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from revocation.entries import UnixMs
from revocation.jwt.explain import Explanation, Point, PointState

_STYLES = {
    PointState.PASSES: "green",
    PointState.FAILS: "bold red",
    PointState.NOT_LOOKED_AT: "yellow",
}


def show(told: Explanation, now: UnixMs, assumed: Iterable[str]) -> None:
    """Print each point, what reaches the token, and the whole of it in a sentence."""
    console = Console(highlight=False, markup=False, emoji=False)
    moment = datetime.fromtimestamp(now / 1_000, UTC)
    console.print(f"Now is {moment:%Y-%m-%d %H:%M:%S} UTC by the clock here.")
    for assumption in assumed:
        console.print(f"Assumed: {assumption}.")
    console.print()
    points = _table(columns=3)
    for point in told.points:
        state = Text(point.state, _STYLES[point.state])
        points.add_row(Text(point.about), state, Text(_said(point)))
    console.print(points)
    if told.named:
        console.print("\nWhich events reach it, by what:\n")
        named = _table(columns=2)
        for each in told.named:
            for event in each.events:
                named.add_row(Text(event), Text(each.found))
        named.add_row(Text("version"), Text(told.version))
        console.print(named)
    console.print(f"\n{_conclude(told)}", soft_wrap=True)


def _table(columns: int) -> Table:
    """Return a table that breaks long values and leaves nothing out of them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table


def _said(point: Point) -> str:
    if point.fault is None:
        return point.found
    found = f" ({point.found})" if point.found else ""
    return f"{point.fault.detail}{found}"


def _conclude(told: Explanation) -> str:
    if told.fault is not None:
        return f"It does not pass: {told.fault.reason}, {told.fault.detail}."
    states = {each.state for each in told.points}
    if PointState.NOT_LOOKED_AT in states:
        return "It passes as far as it was looked at; --fetch also reads the keys."
    return "It passes."
