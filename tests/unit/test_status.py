"""What `revocation status` judges to be wrong, and whose fault it says it is.

`test_status_output.py` has how it says so; `tests/connected/test_status.py` brings
about the same on a real installation.
"""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from revocation.cli import status
from revocation.cli.status_table import render
from revocation.entries import Offset, Position, UnixMs
from revocation.operate.status_judge import judge
from revocation.operate.status_report import DeadLetters, Found, State
from revocation.settings.station_settings import KafkaSettings
from revocation.updates import Update, encode_update
from tests.unit.findings import (
    COLD,
    EVENTS,
    NO_BROKER,
    NO_STORE,
    NOW,
    PARTITIONS,
    SITUATIONS,
    both,
    findings,
    log,
    region,
)

# The authority ------------------------------------------------------------------------


def test_a_dead_authority_is_no_fault_of_the_regions():
    """What the issue saw: dead for 250 s, 20,000 unread, shown as ready with lag 0."""
    report = judge(SITUATIONS["the authority is dead"])
    authority, eu = report.authority, report.regions["eu"]
    assert (authority.state, eu.state) == (State.STALE, State.STALE)
    assert authority.events_backlog == eu.events_backlog == 20_000
    assert authority.staleness_ms == 250_000
    assert authority.silent_ms == 249_800
    assert eu.lag_records == 0
    assert eu.ready
    assert "4 min 9 s" in authority.problems[0]
    assert "it waits for the authority" in eu.problems[0]


@pytest.mark.parametrize(("age", "state"), [(5_000, "ready"), (5_001, "stale")])
def test_the_bound_itself_is_tolerated(age, state):
    report = judge(findings(log=log(age=age, silent=0), regions=both(age=age)))
    assert report.authority.state == report.regions["eu"].state == state
    assert bool(report.problems) == (state == "stale")


def test_the_oldest_partition_counts():
    """One worker of two is dead: half of the users are not logged out."""
    dead = log(unread=50, age=60_000, silent=60_000).answer
    mixed = {**log().answer, 2: dead[2]}
    report = judge(
        findings(log=Found(UnixMs(NOW), mixed), regions=both(unread=60, age=60_000))
    )
    assert report.authority.staleness_ms == 60_000
    assert report.authority.events_backlog == 53
    assert "nothing for 1 min 0 s in 1 of 4 partitions" in report.authority.problems[0]


def test_an_authority_that_never_concluded_anything():
    untouched = {
        number: each._replace(concluded=None, written_at=None)
        for number, each in log(unread=EVENTS - 1).answer.items()
    }
    report = judge(findings(log=Found(UnixMs(NOW), untouched), regions={"eu": COLD}))
    assert report.authority.state == State.NOT_READY
    assert report.authority.events_backlog == PARTITIONS * EVENTS
    (problem,) = report.authority.problems
    assert "no conclusion for 4 of 4 partitions, with 24,000 events" in problem


def test_events_that_kafka_has_deleted_are_not_awaited():
    cut = {
        number: each._replace(events_begin=Offset(EVENTS - 10), concluded=None)
        for number, each in log().answer.items()
    }
    report = judge(findings(log=Found(UnixMs(NOW), cut), regions={"eu": COLD}))
    assert report.authority.events_backlog == PARTITIONS * 10
    assert report.regions["eu"].events_backlog == PARTITIONS * 10


def test_what_a_region_applied_was_concluded():
    """A new twin fills the log's end with what it concludes once more."""
    report = judge(findings(log=log(unread=5_000, age=3_600_000)))
    assert report.authority.state == State.READY
    assert report.authority.events_backlog == PARTITIONS
    assert not report.problems


def test_a_store_of_another_kafka_does_not_speak_for_the_authority():
    """Its positions are past the end of this one's topic."""
    dead = log(unread=5_000, age=250_000, silent=250_000)
    other = region(unread=-1_000)
    report = judge(findings(log=dead, regions={"eu": other}))
    assert report.authority.events_backlog == 20_000
    assert report.authority.problems


# Regions ------------------------------------------------------------------------------


def test_the_projector_is_named_even_where_the_authority_is_behind_as_well():
    report = judge(
        findings(
            log=log(unread=700, age=21_000),
            regions={
                "eu": region(unread=900, age=90_000),
                "us": region(unread=701, age=21_300),
            },
        )
    )
    assert "revocation projector --region eu" in report.regions["eu"].problems[0]
    assert "it waits for the authority" in report.regions["us"].problems[0]


def test_without_kafka_no_station_is_blamed():
    report = judge(SITUATIONS["Kafka is away"])
    assert "unknown which station is behind" in report.regions["eu"].problems[0]
    assert report.authority.problems == []
    assert not report.kafka.reachable
    assert report.regions["eu"].lag_records is None


def test_an_age_is_measured_when_the_region_answered():
    """Not after Kafka was given up: five seconds later, all would be stale."""
    answer = region(age=300)._replace(at=UnixMs(NOW - 100))
    late = Found(UnixMs(NOW + 5_000), NO_BROKER)
    report = judge(findings(log=late, regions={"eu": answer}))
    assert report.regions["eu"].staleness_ms == 200
    assert report.regions["eu"].problems == []


def test_what_comes_from_the_future_is_not_fresh():
    report = judge(
        findings(log=log(age=-9_000), regions={"eu": region(unread=2, age=-5_001)})
    )
    assert "what happens 9 s from now" in report.authority.problems[0]
    assert "with the same NTP servers" in report.regions["eu"].problems[0]
    within = judge(findings(log=log(age=-5_000), regions=both(age=-5_000)))
    assert not within.problems
    assert "0 s ago" in render(within)


@pytest.mark.parametrize("name", ["kafka", "authority"])
def test_a_region_may_be_called_like_another_part(name):
    report = judge(findings(regions={name: Found(UnixMs(NOW), NO_STORE)}))
    assert report.problems == [(name, NO_STORE)]
    assert render(report).count("\nauthority  ready") == 1


# What is asked ------------------------------------------------------------------------


def test_the_latest_conclusion_is_not_the_last_record():
    """Standing entries are emitted again, and name the old event that caused them."""
    offsets = [7, 11, 3, 10]
    values = [
        encode_update(Update(Position(2, Offset(offset), UnixMs(offset * 100))))
        for offset in offsets
    ]
    records = [SimpleNamespace(value=each) for each in [*values, b"{}", None]]
    concluded = {}
    status._note_concluded(concluded, 2, records)
    assert concluded == {2: Position(2, Offset(11), UnixMs(1_100))}


async def test_a_store_that_never_answers_is_given_up(monkeypatch):
    """However many Sentinels or nodes there are to try."""

    class Hanging:
        async def region(self):
            await asyncio.Event().wait()

    monkeypatch.setattr(status, "_PATIENCE_SECONDS", 0.01)
    found = await status._ask_store(Hanging())
    assert found.answer == "its store did not answer within 0.01 s"


def test_a_region_of_other_settings_is_not_ready_whatever_it_says_of_itself():
    said = "the region eu and this process disagree: leeway_seconds is 60 and 90 here"
    found = replace(findings(), disagreements={"eu": said})
    eu, us = (judge(found).regions[name] for name in ("eu", "us"))
    assert (eu.state, eu.problems) == (State.NOT_READY, [said])
    assert us.problems == []


# Dead letters -------------------------------------------------------------------------


def test_dead_letters_are_a_problem_of_their_own():
    report = judge(SITUATIONS["records were parked"])
    ((name, problem),) = report.problems
    assert (name, report.works) == ("dead letters", True)
    assert "33 records parked, the oldest 3 h 5 min ago" in problem
    assert "(invalid_event 30, token_as_id 3)" in problem
    assert report.authority.state == State.READY


def test_what_was_not_read_of_many_dead_letters_is_not_claimed():
    many = DeadLetters(5_000, {"malformed_event": 400}, UnixMs(NOW))
    ((_, problem),) = judge(findings(dead_letters=many)).problems
    assert "5,000 records parked" in problem
    assert "(of the first 400: malformed_event 400)" in problem
    ((_, problem),) = judge(findings(dead_letters=DeadLetters(1))).problems
    assert "1 record parked (of the first 0: )" not in problem


def test_worse_problems_precede_dead_letters():
    parked = findings(dead_letters=DeadLetters(1), regions={"eu": COLD})
    report = judge(parked)
    assert not report.works
    assert [name for name, _ in report.problems] == ["eu", "dead letters"]


def test_without_kafka_dead_letters_are_unknown():
    report = judge(SITUATIONS["Kafka is away"])
    assert report.dead_letters.count is None
    assert not report.works


async def test_dead_letters_that_may_not_be_read_hide_nothing_else(monkeypatch):
    """Without rights to that topic alone, the report said that no broker answers."""

    async def refuse(*_):
        raise TopicAuthorizationFailedError

    monkeypatch.setattr(status, "find_dead_letters", refuse)
    found = await status._ask_dead_letters(None, KafkaSettings())
    report = judge(findings(dead_letters=found))
    ((name, problem),) = report.problems
    assert (name, report.works) == ("dead letters", True)
    assert "revocation.dead-letters cannot be read" in problem
    assert report.dead_letters.count is None


def test_all_well_works():
    assert judge(SITUATIONS["well"]).works
