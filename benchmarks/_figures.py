"""The report of every benchmark: a table, then a JSON line for each figure."""

from collections.abc import Sequence
from statistics import quantiles
from typing import NamedTuple

import orjson
from rich.console import Console
from rich.table import Table


class Figure(NamedTuple):
    """One figure: ours beside a named alternative's, and the limit it must keep."""

    name: str
    ours: float
    alternative: float | None
    limit: float | None
    unit: str

    @property
    def ratio(self) -> float | None:
        """Ours divided by the alternative's."""
        if not self.alternative:
            return None
        return round(self.ours / self.alternative, 3)


def report(title: str, figures: Sequence[Figure]) -> None:
    """Print the table, then the lines."""
    table = Table("figure", "ours", "alternative", "ratio", "limit", title=title)
    for figure in figures:
        shown = (figure.ours, figure.alternative, figure.ratio, figure.limit)
        cells = ("" if value is None else f"{value:,.6g}" for value in shown)
        table.add_row(f"{figure.name} ({figure.unit})", *cells)
    Console().print(table)
    for figure in figures:
        line = {**figure._asdict(), "ratio": figure.ratio}
        print(orjson.dumps(line).decode())


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p99 and the maximum, rounded to 0.1."""
    cuts = quantiles(values, n=100, method="inclusive")
    return round(cuts[49], 1), round(cuts[98], 1), round(max(values), 1)
