"""The explanation of a token, for the terminal."""

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


def show(explanation: Explanation, now: UnixMs, assumed: Iterable[str]) -> None:
    """Print each point, the events that reach the token, and a conclusion."""
    console = Console(highlight=False, markup=False, emoji=False)
    moment = datetime.fromtimestamp(now / 1_000, UTC)
    console.print(f"Now is {moment:%Y-%m-%d %H:%M:%S} UTC by the clock here.")
    for assumption in assumed:
        console.print(f"Assumed: {assumption}.")
    console.print()
    points = _table(columns=3)
    for point in explanation.points:
        state = Text(point.state, _STYLES[point.state])
        points.add_row(Text(point.about), state, Text(_describe(point)))
    console.print(points)
    if explanation.named:
        console.print("\nWhich events reach it, by what:\n")
        named = _table(columns=2)
        for each in explanation.named:
            for event in each.events:
                named.add_row(Text(event), Text(each.found))
        named.add_row(Text("version"), Text(explanation.version))
        console.print(named)
    console.print(f"\n{_conclude(explanation)}", soft_wrap=True)


def _table(columns: int) -> Table:
    """Return a table that wraps long values instead of truncating them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table


def _describe(point: Point) -> str:
    if point.fault is None:
        return point.found
    found = f" ({point.found})" if point.found else ""
    return f"{point.fault.detail}{found}"


def _conclude(explanation: Explanation) -> str:
    if (fault := explanation.fault) is not None:
        return f"It does not pass: {fault.reason}, {fault.detail}."
    states = {each.state for each in explanation.points}
    if PointState.NOT_LOOKED_AT in states:
        return "It passes as far as it was looked at; --fetch also reads the keys."
    return "It passes."
