"""The picture of a soak, drawn with matplotlib, which nothing else here needs.

    python benchmarks/_soak_picture.py RECORD.json FILE.svg

draws again what `soak.py --record` has kept.
"""

import importlib
import sys
import textwrap
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson
from _soak_record import Event, Record, Second, memory

_INK: Final = "#22313f"
_FAINT: Final = "#8795a1"
_SHADE: Final = "#f4e3d7"
_LINES: Final = (
    ("longest", "longest", "#e6a08c", 0.8),
    ("p99", "99 %", "#c8553d", 1.1),
    ("p50", "median", "#2f6690", 1.4),
)
_STALE: Final = "#7a5195"
_MEMORY: Final = "#3a7d44"
_BOUND_SECONDS: Final = 5
_OVER_LINES: Final = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
_ROOM: Final = 0.13
"""Of the width: what the name of an event takes."""
_STYLE: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": "#e3e8ec",
    "grid.linewidth": 0.6,
    # The same record is the same file.
    "svg.hashsalt": "soak",
}


def require_matplotlib() -> None:
    """Say what is missing before a run of ten minutes rather than after it."""
    if find_spec("matplotlib") is None:
        raise SystemExit(
            "no matplotlib, which draws the picture; pip install 'matplotlib>=3.10,<4' "
            "brings it, or run without --picture"
        )


def draw(record: Record, path: Path) -> None:
    """Write the picture, as SVG."""
    require_matplotlib()
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(
            *(3, 1),
            figsize=(10, 7.2),
            sharex=True,
            height_ratios=(3.4, 1.2, 1.2),
            layout="constrained",
        )
        _title(figure, record)
        _draw_latency(axes[0], record.seconds)
        _draw_staleness(axes[1], record.seconds)
        _draw_memory(axes[2], record.seconds)
        for axis in axes:
            _mark(axis, record.events)
            axis.grid(axis="y")
            axis.set_axisbelow(True)
        _name(axes[0], record.events, record.seconds[-1].at)
        _draw_time(axes[2], record.seconds[-1].at)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _title(figure: Any, record: Record) -> None:
    minutes = record.seconds[-1].at / 60
    millions = sum(each.answers for each in record.seconds) / 1e6
    figure.suptitle(
        f"One sidecar for {minutes:g} min, asked {record.rate:,.0f} times a second\n",
        x=0.008,
        ha="left",
        fontsize=14,
        fontweight="bold",
    )
    figure.text(
        *(0.008, 0.945),
        f"{millions:.1f} million forward-auth requests over 32 connections of a unix "
        "socket, each due at a fixed time, from which its latency counts; every answer "
        "was judged",
        fontsize=9,
        color="#52616b",
    )


def _draw_latency(axis: Any, seconds: Sequence[Second]) -> None:
    at = [each.at for each in seconds]
    for name, label, colour, width in _LINES:
        ms = [getattr(each, name) for each in seconds]
        axis.plot(at, ms, color=colour, linewidth=width, label=label)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda ms, _: f"{ms:,g}")
    axis.set_ylabel("latency in each second, ms")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
    # Room for the events' names above the curves.
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.3)


def _draw_staleness(axis: Any, seconds: Sequence[Second]) -> None:
    axis.plot(
        [each.at for each in seconds],
        [each.stale_s for each in seconds],
        color=_STALE,
        linewidth=1.2,
    )
    axis.axhline(_BOUND_SECONDS, color=_STALE, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.annotate(
        "beyond this, writes are told 503",
        (seconds[-1].at, _BOUND_SECONDS),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=_STALE,
        fontsize=8,
        bbox=_OVER_LINES,
    )
    axis.set_ylim(bottom=0)
    axis.set_ylabel("age of what\nit knows, s")


def _draw_memory(axis: Any, seconds: Sequence[Second]) -> None:
    axis.plot(
        [each.at for each in seconds],
        [each.memory_mb for each in seconds],
        color=_MEMORY,
        linewidth=1.4,
    )
    most = max(each.memory_mb for each in seconds)
    found = memory(seconds)
    axis.annotate(
        f"{found.first:.1f} MB when warm, {found.last:.1f} MB at the end",
        (seconds[-1].at, 0),
        xytext=(0, 6),
        textcoords="offset points",
        ha="right",
        color=_MEMORY,
        fontsize=8,
        bbox=_OVER_LINES,
    )
    axis.set_ylim(0, most * 1.25)
    axis.set_ylabel("memory of the\nsidecar, MB")


def _draw_time(axis: Any, last: float) -> None:
    step = 60 if last > 3 * 60 else 10
    axis.set_xlim(0, last)
    axis.set_xticks(range(0, int(last) + 1, step))
    axis.xaxis.set_major_formatter(lambda at, _: f"{int(at) // 60}:{int(at) % 60:02}")
    axis.set_xlabel("time since the beginning, min:s")


def _mark(axis: Any, events: Sequence[Event]) -> None:
    for each in events:
        if each.until > each.since:
            axis.axvspan(each.since, each.until, color=_SHADE, linewidth=0)
        axis.axvline(each.since, color=_FAINT, linewidth=0.8, linestyle=(0, (2, 2)))


def _name(axis: Any, events: Sequence[Event], last: float) -> None:
    """Write the events' names beside their lines, above the curves."""
    before, level = -last, 0
    for each in events:
        level = (level + 1) % 3 if each.since - before < last * _ROOM else 0
        before = each.since
        axis.annotate(
            textwrap.fill(each.name, 18),
            (each.since, 0.97 - 0.09 * level),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
        )


if __name__ == "__main__":
    draw(Record.read(orjson.loads(Path(sys.argv[1]).read_bytes())), Path(sys.argv[2]))
