"""The picture of benchmarks/reconnects.py, drawn with matplotlib."""

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple


class Line(NamedTuple):
    """One variant; seconds since the store was back, in order."""

    label: str
    connected: Sequence[float]
    fresh: Sequence[float]


_COLOURS: Final = ("#1b6ca8", "#c8553d")
_BIN_SECONDS: Final = 0.1


def draw(panels: Mapping[str, Sequence[Line]], count: int, path: Path) -> None:
    """Draw a column for each way in which the store came back."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    # The same figures make the same file.
    matplotlib.rcParams["svg.hashsalt"] = "reconnects"
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, rows = pyplot.subplots(
        2, len(panels), figsize=(9, 5), sharex="col", layout="constrained"
    )
    for (title, lines), connections, fresh in zip(panels.items(), *rows, strict=True):
        connections.set_title(title, fontsize=11)
        end = max(max(line.fresh, default=0.0) for line in lines) * 1.05
        for line, colour in zip(lines, _COLOURS, strict=True):
            _draw_connections(connections, line, colour)
            _draw_fresh(fresh, line, colour, end)
        fresh.set_ylim(0, count * 1.05)
        fresh.set_xlabel("seconds since then", fontsize=9)
    rows[0][0].set_ylabel("connections in 100 ms", fontsize=9)
    rows[1][0].set_ylabel("sidecars fresh again", fontsize=9)
    rows[0][0].legend(frameon=False, fontsize=9)
    for axes in rows.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.margins(x=0)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _draw_connections(axes: Any, line: Line, colour: str) -> None:
    bins = Counter(int(at / _BIN_SECONDS) for at in line.connected if at >= 0)
    counts = [bins[each] for each in range(max(bins, default=0) + 1)]
    edges = [each * _BIN_SECONDS for each in range(len(counts) + 1)]
    axes.stairs(counts, edges, color=colour, fill=True, alpha=0.75, label=line.label)


def _draw_fresh(axes: Any, line: Line, colour: str, end: float) -> None:
    known = len(line.fresh)
    axes.step(
        [0.0, *line.fresh, end],
        [*range(known + 1), known],
        where="post",
        color=colour,
        linewidth=2,
    )
