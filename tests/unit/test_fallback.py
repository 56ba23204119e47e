"""Asking a fallback: what is counted, bounded and left alone. No network.

`stations/fallback/` asks real servers, `test_breaker.py` has the pauses.
"""

import asyncio
import sys
import time

import pytest

from revocation import metrics
from revocation.decision import Beyond, Reason, StalenessPolicy, Verdict
from revocation.errors import SettingsError
from revocation.verifier.fallback import (
    CheckRequest,
    FirstOf,
    IssuerFallback,
    SidecarFallback,
    Source,
)
from revocation.verifier.fallback.fallback_source import Terms
from tests.installation import eventually
from tests.unit.strategies import CLAIMS, ISSUER, NOW, RULES

POLICY = StalenessPolicy(beyond=Beyond.INTROSPECT)
QUESTION = CheckRequest(CLAIMS, token="the.secret.token")
ACTIVE = Verdict(active=True, reason=Reason.ACTIVE, as_of=NOW, staleness_ms=0)
REJECTED = Verdict(active=False, reason=Reason.TOKEN_REVOKED, as_of=NOW, staleness_ms=0)
STALE = Verdict(active=False, reason=Reason.STALE, as_of=0, staleness_ms=NOW)
NOT_READY = Verdict(active=False, reason=Reason.NOT_READY, as_of=0, staleness_ms=NOW)


class FixedSource(Source):
    """Answers as it was told, in turn; the last answer again and again."""

    name = "told"

    def __init__(self, *answers, **limits):
        super().__init__(**limits)
        self.answers = list(answers)
        self.asked = 0
        self.under_way = self.most_at_once = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.policy = None

    async def start(self):
        pass

    async def stop(self):
        pass

    async def _answer(self, question, terms):
        self.asked += 1
        self.policy = terms.policy
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.may_answer.wait()
        finally:
            self.under_way -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def hanging(**limits):
    source = FixedSource(ACTIVE, **limits)
    source.may_answer.clear()
    return source


async def ask(fallback, question=QUESTION, policy=POLICY, now=NOW):
    return await fallback.ask(question, policy=policy, rules=RULES, now=lambda: now)


@pytest.fixture
def counted():
    """How many questions came to a result, since the test began."""

    def count(result):
        return metrics.INTROSPECTIONS.labels(result)._value.get()

    results = ("active", "rejected", "unanswered", "timeout", "error")
    before = {result: count(result) for result in results}
    return lambda: {
        result: int(count(result) - before[result])
        for result in results
        if count(result) != before[result]
    }


# One source ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict", "result"),
    [
        (ACTIVE, ACTIVE, "active"),
        (REJECTED, REJECTED, "rejected"),
        (STALE, None, "unanswered"),
        (NOT_READY, None, "unanswered"),
        (None, None, "unanswered"),
        (ValueError("wrong"), None, "error"),
        (TimeoutError(), None, "timeout"),
        (RuntimeError("bug"), None, "error"),
    ],
)
async def test_an_answer_is_a_verdict_or_none_and_counted(
    answer, verdict, result, counted
):
    assert await ask(FixedSource(answer)) is verdict
    assert counted() == {result: 1}


async def test_who_is_too_slow_is_no_longer_waited_for(counted):
    source = hanging(timeout_ms=20)
    began = time.monotonic()
    assert await ask(source) is None
    assert time.monotonic() - began < 2
    assert source.under_way == 0
    assert counted() == {"timeout": 1}


async def test_a_policy_that_allows_is_no_way_around_freshness():
    source = FixedSource(ACTIVE)
    await ask(source, policy=StalenessPolicy(beyond=Beyond.ALLOW, fresh_ms=7))
    assert source.policy == StalenessPolicy(beyond=Beyond.DENY, fresh_ms=7)


async def test_only_so_many_questions_are_under_way_at_once(counted):
    source = hanging(max_concurrent=3, timeout_ms=20_000)
    asking = [asyncio.ensure_future(ask(source)) for _ in range(10)]
    await eventually(lambda: source.under_way == 3, pause=0)
    source.may_answer.set()
    assert await asyncio.gather(*asking) == [ACTIVE] * 10
    assert source.most_at_once == 3
    assert counted() == {"active": 10}


async def test_a_timeout_while_queueing_is_no_failure_of_the_fallback():
    source = hanging(max_concurrent=1, timeout_ms=20_000)
    first = asyncio.ensure_future(ask(source))
    await eventually(lambda: source.under_way == 1, pause=0)
    terms = Terms(POLICY, RULES, lambda: NOW)
    for _ in range(20):
        assert await source.ask_within(0.001, QUESTION, terms) is None
    second = asyncio.ensure_future(ask(source))
    await asyncio.sleep(0)
    source.may_answer.set()
    assert await asyncio.gather(first, second) == [ACTIVE, ACTIVE]


async def test_a_caller_that_gives_up_is_not_held_back():
    asking = asyncio.ensure_future(ask(hanging(timeout_ms=20_000)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_who_fails_again_and_again_is_left_alone(counted):
    source = FixedSource(ValueError("down"))
    for _ in range(20):
        assert await ask(source) is None
    assert source.asked == 5
    assert counted() == {"error": 5, "unanswered": 15}


async def test_a_fallback_with_occasional_failures_is_still_called():
    source = FixedSource(
        *[ValueError("down")] * 4, ACTIVE, *[ValueError("down")] * 4, STALE
    )
    for _ in range(10):
        await ask(source)
    assert source.asked == 10


@pytest.mark.parametrize(
    "error",
    [RuntimeError("hidden"), UnicodeDecodeError("utf-8", b"hidden", 0, 1, "hidden")],
)
async def test_what_others_say_of_a_failure_is_not_logged(error, capsys):
    """It may quote the token."""
    source = FixedSource(error)
    for _ in range(5):
        await ask(source)
    printed = capsys.readouterr().out
    assert type(error).__name__ in printed
    assert "hidden" not in printed


async def test_an_answer_that_decides_nothing_is_no_failure():
    source = FixedSource(STALE)
    for _ in range(20):
        await ask(source)
    assert source.asked == 20


def test_a_question_shows_nothing_of_the_token():
    for shown in (repr(QUESTION), str(QUESTION), f"{QUESTION}"):
        assert shown == "<CheckRequest about a token, route class 'read'>"


@pytest.mark.parametrize(("skew_ms", "active"), [(10, True), (11, False)])
async def test_a_token_from_ahead_is_refused_by_the_askers_clock_too(skew_ms, active):
    """Else a region that is behind would let in what no cut-off reaches."""
    asked = QUESTION._replace(claims={**CLAIMS, "iat": NOW / 1_000 + 4.98})
    terms = Terms(POLICY, RULES, lambda: NOW, skew_ms)
    assert terms.judge(asked, NOW).active is active


# Several ------------------------------------------------------------------------------


async def test_the_first_fallback_with_an_answer_decides(counted):
    sources = [
        FixedSource(STALE),
        FixedSource(ValueError()),
        FixedSource(REJECTED),
        FixedSource(ACTIVE),
    ]
    assert await ask(FirstOf(sources)) is REJECTED
    assert [source.asked for source in sources] == [1, 1, 1, 0]
    assert counted() == {"unanswered": 1, "error": 1, "rejected": 1}


async def test_without_an_answer_of_any_fallback_there_is_none():
    assert await ask(FirstOf([FixedSource(STALE), FixedSource(None)])) is None
    assert await ask(FirstOf([])) is None


async def test_who_hangs_leaves_time_for_the_next(counted):
    first, second = hanging(timeout_ms=20_000), FixedSource(ACTIVE)
    assert await ask(FirstOf([first, second], timeout_ms=100)) is ACTIVE
    assert counted() == {"timeout": 1, "active": 1}


async def test_all_together_have_one_time_limit():
    sources = [hanging(timeout_ms=20_000) for _ in range(4)]
    began = time.monotonic()
    assert await ask(FirstOf(sources, timeout_ms=80)) is None
    assert time.monotonic() - began < 5
    assert [source.asked for source in sources] == [1, 1, 1, 1]


async def test_the_shorter_of_two_time_limits_applies():
    began = time.monotonic()
    sources = [hanging(timeout_ms=20), FixedSource(ACTIVE)]
    assert await ask(FirstOf(sources, timeout_ms=40_000)) is ACTIVE
    assert time.monotonic() - began < 10


# Settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://sidecar.us.example",
        "https://sidecar.us.example:8443/",
        "http://127.0.0.1:8181",
        "http://[::1]:8181",
        "http://localhost:8181",
    ],
)
def test_a_safe_url_is_taken(url):
    SidecarFallback(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://sidecar.us.example",
        "http://10.0.0.7",
        "http://127.0.0.1.us.example",
        "ftp://127.0.0.1",
        "sidecar.us.example",
        "https://",
        "https://user:hidden@sidecar.us.example",
        "https://sidecar.us.example:port",
        "https://[::1",
        "https://sidecar.us.example/#fragment",
        "",
    ],
)
def test_an_unsafe_url_is_refused(url):
    with pytest.raises(SettingsError, match="fallback") as refused:
        IssuerFallback(url, "us", "word", issuer=ISSUER)
    assert "hidden" not in str(refused.value)


def test_http_can_be_allowed():
    SidecarFallback("http://sidecar.us.example", allow_plain_http=True)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(SettingsError, match=r"pip install 'revocation\[jwt\]'"):
        SidecarFallback("https://sidecar.us.example")


async def test_a_missing_certificate_file_is_reported_at_the_start(tmp_path):
    fallback = SidecarFallback("https://one.example", ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"certificates in .*none\.pem"):
        await fallback.start()
