"""The demo's output fits a terminal of 80 columns."""

import io

from rich.console import Console

from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.local.demo_screen import Screen
from revocation.local.demo_story import Seen

REGIONS = ("eu", "us", "ap")


def test_no_reason_is_cut_off() -> None:
    console = Console(file=io.StringIO(), width=80)
    screen = Screen(console, ["logout everywhere"], REGIONS)
    seen = Seen(41.3, Reason.VERSION_SUPERSEDED, UnixMs(1_796_037_552_821))
    with screen.shown():
        for region in REGIONS:
            screen.report("logout everywhere", region, seen)
    console.print(screen._table())
    shown = console.file.getvalue()
    assert "…" not in shown
    assert shown.count("version_superseded") >= len(REGIONS)
