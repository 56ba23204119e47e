"""What an authority counts and logs about irregular events."""

import pytest
from structlog.testing import capture_logs

from revocation import metrics
from revocation.authority import conclusion_notes
from revocation.authority.conclusion_notes import note
from revocation.events import TokenRevoked, encode
from revocation.settings import AuthoritySettings
from tests.stations.fed import ALICE, HOME, Fed
from tests.stations.log import PARTITIONS, record
from tests.stations.test_conclude import arrived, concluded, elsewhere
from tests.unit.histories import event, user_event
from tests.unit.strategies import ISSUER, NOW
from tests.unit.structured import to_json

TRUSTED = frozenset({f"{ISSUER}/", "https://other.example/"})
LATE = to_json(time="Mon, 30 Nov 2026 04:00:00 GMT")


def counted(metric, *labels):
    return (metric.labels(*labels) if labels else metric)._value.get()


def noted(what, issuers=()):
    """Conclude on a record; return its log lines, and the change of both counts."""
    unread = counted(metrics.LEFT_OUT, "time")
    unknown = counted(metrics.UNKNOWN_ISSUERS)
    with capture_logs() as logs:
        note(concluded(what), what.at, issuers)
    unread = counted(metrics.LEFT_OUT, "time") - unread
    return logs, (unread, counted(metrics.UNKNOWN_ISSUERS) - unknown)


def test_omitted_data_is_reported_by_name_and_position_only():
    logs, counts = noted(record(ALICE)._replace(value=LATE))
    (line,) = logs
    assert counts == (1, 0)
    assert line["event"] == "members left out"
    assert line["members"] == ("time",)
    assert line["receipt"] == f"{HOME}-7"
    assert not {"alice", "GMT", ISSUER} & {*str(line).split("'")}


def test_an_unknown_issuer_is_reported_with_the_probable_one():
    """The issuer itself is not logged: anyone may have written it."""
    logs, counts = noted(record(ALICE), TRUSTED)
    (line,) = logs
    assert counts == (0, 1)
    assert (line["event"], line["nearest"]) == ("issuer unknown", f"{ISSUER}/")
    assert ISSUER not in line.values()


def test_the_probable_issuer_is_searched_once(monkeypatch):
    """A producer with the wrong issuer sends many events, and the search takes time."""
    looked = []
    monkeypatch.setattr(
        conclusion_notes, "nearest", lambda *asked: looked.append(asked) or "b"
    )
    for _ in range(3):
        logs, _ = noted(record(ALICE), frozenset({"https://once.example/"}))
        assert [line["nearest"] for line in logs] == ["b"]
    assert len(looked) == 1


@pytest.mark.parametrize("issuers", [(), {ISSUER}])
def test_known_issuers_and_an_empty_setting_cause_no_report(issuers):
    assert noted(record(ALICE), issuers) == ([], (0, 0))


def test_a_forwarded_event_is_reported_once():
    what = record(ALICE, elsewhere(ALICE))._replace(value=LATE)
    logs, counts = noted(what, TRUSTED)
    assert (len(logs), counts) == (2, (1, 1))
    (forward,) = concluded(what).forwards
    assert noted(arrived(forward), TRUSTED) == ([], (0, 0))


def test_without_its_time_the_brokers_counts():
    what = record(user_event())._replace(value=LATE)
    (entry,) = concluded(what).entries
    assert (entry.not_before, entry.version) == (NOW, 1)


async def test_an_authority_notes_what_it_takes(authority):
    with capture_logs() as logs:
        await Fed(authority).take(7, LATE)
    assert [line["event"] for line in logs] == ["members left out"]


async def test_an_authority_knows_the_issuers_of_its_settings(authority):
    rules = {"jwks_file": "-", "algorithms": ["ES256"], "audiences": ["api"]}
    changed = AuthoritySettings(
        topic_prefix="played", partitions=PARTITIONS, issuers={f"{ISSUER}/": rules}
    )
    authority._settings = changed
    with capture_logs() as logs:
        await Fed(authority).take(7, ALICE)
    assert [line["nearest"] for line in logs] == [f"{ISSUER}/"]


FRAMED = b"\0\0\0\0\x07" + encode(ALICE)


async def test_a_frame_is_parked_with_its_name(authority):
    fed = Fed(authority)
    await fed.take(7, FRAMED)
    (parked,) = fed.sent_to("dead_letters")
    assert parked.value == FRAMED
    assert b"CONFLUENT" in dict(parked.headers)["dead-letter-message"].upper()


@pytest.mark.parametrize("value", [FRAMED, encode(ALICE)])
async def test_a_frame_is_removed_where_the_setting_says_so(authority, value):
    changed = authority._settings.model_copy(update={"events_framing": "confluent"})
    authority._settings = changed
    fed = Fed(authority)
    await fed.take(7, value, partition=(HOME + 1) % PARTITIONS)
    (forwarded,) = fed.sent_to("forwarded")
    assert forwarded.value == encode(ALICE)
    await fed.take(8, value)
    assert len(fed.updates[0].entries) == 1


async def test_a_whole_jwt_as_an_id_is_parked_with_a_code_of_its_own(authority):
    fed = Fed(authority)
    sound = encode(event(TokenRevoked, jti="x"))
    await fed.take(7, sound.replace(b'"x"', b'"eyJhbGciOiJFUzI1NiJ9.e30.AA"'))
    (parked,) = fed.sent_to("dead_letters")
    assert dict(parked.headers)["dead-letter-code"] == b"token_as_id"
