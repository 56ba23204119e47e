"""The judge of benchmarks/soak.py notices wrong answers, or ten minutes say nothing."""

import importlib

import pytest

from tests.structure.sources import ROOT

PASSED = b"HTTP/1.1 200 OK\r\nx-auth-subject: user-1\r\n\r\n"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\n\r\n"
TOLD = b"user-1"


@pytest.fixture
def module(monkeypatch):
    """Import one as the benchmark does, beside which it lies."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture
def oracle(module):
    return module("_soak_oracle")


@pytest.fixture
def record(module):
    return module("_soak_record")


@pytest.fixture
def judge(oracle):
    def ask(course, status, asked, answered, **more):
        answer = PASSED if status == 200 else REFUSED
        return oracle.judge(
            *("a kind", course, more.get("told", TOLD)),
            status=status,
            answer=more.get("answer", answer),
            asked=asked,
            answered=answered,
        )

    return ask


def test_at_rest_only_one_answer_is_right(oracle, judge):
    good = oracle.Course("good", 200)
    assert judge(good, 200, 1.0, 1.1) is None
    for status in (401, 403, 500, 503):
        assert judge(good, status, 1.0, 1.1) == oracle.Wrong(
            "a kind", "good", status, 1.0, 1.1, "right are 200 (-inf to inf)"
        )
    assert judge(oracle.Course("bad", 401), 200, 1.0, 1.1)


def test_passing_as_somebody_else_is_wrong(oracle, judge):
    course = oracle.Course("good", 200)
    for stranger in (b"x-auth-subject: user-12\r\n", b"x-auth-subject: \r\n", b""):
        answer = b"HTTP/1.1 200 OK\r\n" + stranger
        wrong = judge(course, 200, 1.0, 1.1, answer=answer)
        assert wrong.why == "it passed as somebody else"


def test_a_missing_identity_is_an_empty_field_or_none(oracle, judge):
    course = oracle.Course("public", 200)
    for nobody in (b"", b"x-auth-subject: \r\n"):
        answer = b"HTTP/1.1 200 OK\r\n%bcontent-length: 0\r\n\r\n" % nobody
        assert judge(course, 200, 1.0, 1.1, answer=answer, told=b"") is None
    wrong = judge(course, 200, 1.0, 1.1, told=b"")
    assert wrong.why == "it passed as somebody else"


def test_a_revoked_token_may_pass_until_it_is_due_and_never_after(oracle, judge):
    course = oracle.Course("token", 200)
    course.turn(401, since=10.0)
    assert judge(course, 401, 9.0, 9.9), "refused before it was revoked"
    assert judge(course, 401, 9.0, 10.1) is None
    assert judge(course, 200, 99.0, 99.1) is None, "not applied yet, as far as known"
    course.close(until=12.0)
    assert judge(course, 200, 11.9, 15.0) is None, "answered late, but asked in time"
    assert judge(course, 200, 12.1, 12.2).why.startswith("right are 200 (-inf to 12.0")
    assert judge(course, 401, 12.1, 12.2) is None
    assert judge(course, 503, 11.0, 11.1)


def test_behind_its_bound_and_back_again(oracle, judge):
    course = oracle.Course("write", 200)
    course.turn(503, since=15.0)
    course.close(until=16.0)
    assert judge(course, 503, 14.0, 14.9), "refused while within the bound"
    assert judge(course, 200, 15.5, 15.6) is None
    assert judge(course, 200, 16.1, 16.2), "passed beyond the bound"
    course.turn(200, since=20.0)
    assert judge(course, 200, 19.0, 19.9), "passed before the store was back"
    course.close(until=25.0)
    assert judge(course, 503, 24.9, 25.1) is None
    assert judge(course, 200, 24.9, 25.1) is None
    assert judge(course, 503, 25.1, 25.2), "still refused"


def test_a_course_tells_how_long_a_turn_took_to_be_seen(oracle, judge):
    course = oracle.Course("token", 200)
    judge(course, 200, 5.0, 5.1)
    assert course.took is None
    course.turn(401, since=10.0)
    judge(course, 200, 10.125, 10.25)
    assert course.took is None
    judge(course, 401, 10.25, 10.5)
    judge(course, 401, 10.5, 10.75)
    assert course.took == 0.5
    judge(course, 200, 11.0, 11.1)
    assert course.took == 1.0, "seen, and then not"


@pytest.mark.parametrize("us", [0, 1, 63, 64, 65, 999, 1_000, 123_456, 10_000_000])
def test_a_bucket_is_no_wider_than_3_percent(record, us):
    most = record.most_of(record.bucket_of(us))
    assert us <= most <= us * 1.0313
    assert record.bucket_of(most + 1) == record.bucket_of(us) + 1


def test_quantiles_of_buckets(record):
    buckets = {record.bucket_of(us): 1 for us in range(1, 51)}
    assert record.quantile_ms(buckets, 0.5) == 0.025
    assert record.quantile_ms(buckets, 1) == 0.050
    assert record.quantile_ms({}, 0.5) == 0
    assert record.add_up([{1: 2}, {1: 3, 4: 1}]) == {1: 5, 4: 1}


def test_memory_is_looked_at_once_warm(record):
    seconds = [
        record.Second(at, 1, 0, 0, 0, {}, 50 if at < 10 else 100 + at / 3_600, 0, 0)
        for at in range(100)
    ]
    found = record.memory(seconds)
    assert found.first == pytest.approx(100, abs=0.01)
    assert found.last == found.most == pytest.approx(100, abs=0.03)
    assert found.slopes == [pytest.approx(1)]
    assert record.memory(seconds, [50.0]).slopes == [pytest.approx(1)] * 2
    step = [
        each._replace(memory_mb=each.memory_mb + 20 * (each.at > 50))
        for each in seconds
    ]
    assert record.memory(step, [50.0]).slopes == [pytest.approx(1)] * 2
    assert record.memory(step).slopes[0] > 100


def test_what_follows_an_event_is_not_quiet(record):
    events = [record.Event("store killed", 100.0, 110.0)]
    assert [at for at in range(200) if not record.quiet(at, events)] == [
        *range(100, 121)
    ]
