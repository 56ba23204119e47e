"""How `revocation status` says what it found: in docs/status.md, and for machines.

`test_status.py` has what it judges to be wrong.
"""

import re

import orjson
import pytest

from revocation.cli.status_table import render
from revocation.operate.status_judge import judge
from revocation.operate.words import counted, in_words
from tests.structure.sources import ROOT
from tests.unit.findings import ENTRIES, EVENTS, NOW, SITUATIONS

EXAMPLES = re.findall(
    r"^    .*(?:\n+    .*)*", (ROOT / "docs" / "status.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_situation_is_shown_in_the_docs_as_it_is(situation):
    text = render(judge(SITUATIONS[situation]))
    assert text in [re.sub("^    ", "", each, flags=re.MULTILINE) for each in EXAMPLES]


def test_the_docs_show_nothing_else():
    shown = [each for each in EXAMPLES if each.lstrip().startswith("state")]
    assert len(shown) == len(SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_there_are_problems_unless_all_is_well(situation):
    report = judge(SITUATIONS[situation])
    assert bool(report.problems) == (situation != "well")
    assert report.to_json()["ok"] == (situation == "well")


def test_names_and_units_for_machines():
    report = orjson.loads(orjson.dumps(judge(SITUATIONS["well"]).to_json()))
    region_report = report["regions"]["eu"]
    assert report.keys() == {
        *("ok", "bound_ms", "bound_route", "kafka", "authority", "regions"),
        "dead_letters",
    }
    assert (report["bound_ms"], report["bound_route"]) == (5_000, "write")
    assert report["kafka"] == {
        "bootstrap_servers": "kafka:9092",
        "reachable": True,
        "problems": [],
    }
    assert report["authority"] == {
        "state": "ready",
        "as_of": NOW - 100,
        "staleness_ms": 100,
        "silent_ms": 100,
        "events_backlog": 4,
        "problems": [],
    }
    assert report["dead_letters"] == {
        "count": 0,
        "codes": {},
        "since": None,
        "problems": [],
    }
    assert region_report.pop("partitions")["3"] == {
        "next_offset": ENTRIES - 1,
        "source_offset": EVENTS - 2,
        "as_of": NOW - 110,
        "applied_offset": EVENTS - 2,
        "rebuilt": True,
        "forwarded": -1,
        "lag_records": 1,
    }
    assert region_report == {
        "state": "ready",
        "ready": True,
        "epoch": "epoch",
        "as_of": NOW - 110,
        "staleness_ms": 110,
        "events_backlog": 4,
        "lag_records": 4,
        "partitions_rebuilt": 4,
        "problems": [],
    }


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_name_for_machines_is_in_the_docs(situation):
    document = (ROOT / "docs" / "status.md").read_text()
    report = judge(SITUATIONS[situation]).to_json()
    eu = report["regions"]["eu"]
    parts = (report["kafka"], report["authority"], report["dead_letters"], eu)
    for part in (report, *parts):
        for name in part:
            assert f"`{name}`" in document
    for part in (report["authority"], *report["regions"].values()):
        assert f"`{part['state']}`" in document


def test_only_the_states_are_painted():
    painted = render(
        judge(SITUATIONS["a store is away"]),
        lambda state, text: f"<{state}>{text.rstrip()}</>",
    )
    assert re.findall(r"<(\w+)>(\w+)</>", painted) == [
        *(("ready", "ready"), ("ready", "ready")),
        ("unreachable", "unreachable"),
    ]


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 s"),
        (40, "0 s"),
        (320, "0.3 s"),
        (5_000, "5 s"),
        (9_940, "9.9 s"),
        (10_000, "10 s"),
        (59_999, "59 s"),
        (60_000, "1 min 0 s"),
        (250_000, "4 min 10 s"),
        (3_599_999, "59 min 59 s"),
        (11_100_000, "3 h 5 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_a_duration_in_words(milliseconds, words):
    assert in_words(milliseconds) == words


def test_counts_in_words():
    assert counted(1, "event") == "1 event"
    assert counted(20_000, "event") == "20,000 events"
