"""The report of `revocation status`, for the terminal."""

from collections.abc import Callable, Iterable
from typing import Final

from revocation.operate.status_report import (
    AuthorityReport,
    RegionReport,
    Report,
    State,
)
from revocation.operate.words import in_words

_COLUMNS: Final = ("", "state", "as of", "events behind", "records behind")
_ALIGNMENT: Final = (str.ljust, str.ljust, str.ljust, str.rjust, str.rjust)
_UNKNOWN: Final = "-"

_Part = AuthorityReport | RegionReport


def render(
    report: Report, paint: Callable[[State, str], str] = lambda _, text: text
) -> str:
    """Return a table, the bound that it is judged by, and each problem on a line.

    `paint` may colour the word of a state.
    """
    parts: list[tuple[str, _Part]] = [
        ("authority", report.authority),
        *report.regions.items(),
    ]
    rows = [_COLUMNS, *(_row(name, part) for name, part in parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(_pad(_COLUMNS, widths))]
    for row, (_, part) in zip(rows[1:], parts, strict=True):
        name, state, *others = _pad(row, widths)
        lines.append(_line([name, paint(part.state, state), *others]))
    route, milliseconds = report.bound
    lines += [
        "",
        f"The tightest bound is {in_words(milliseconds)}, of route class {route}.",
    ]
    problems = [f"- {name}: {problem}" for name, problem in report.problems]
    return "\n".join(
        [*lines, "Problems:", *problems] if problems else [*lines, "No problems."]
    )


def _row(name: str, part: _Part) -> tuple[str, ...]:
    age = part.staleness_ms
    lag = _number(part.lag_records) if isinstance(part, RegionReport) else ""
    return (
        name,
        part.state.replace("_", " "),
        # A clock may be ahead, within the allowance.
        _UNKNOWN if age is None else f"{in_words(max(0, age))} ago",
        _number(part.events_backlog),
        lag,
    )


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _pad(row: Iterable[str], widths: Iterable[int]) -> list[str]:
    cells = zip(row, widths, _ALIGNMENT, strict=True)
    return [align(cell, width) for cell, width, align in cells]


def _line(cells: Iterable[str]) -> str:
    return "  ".join(cells).rstrip()
