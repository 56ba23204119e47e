"""Derives what is wrong with an installation from the findings. Pure."""

from collections.abc import Mapping, Sequence

from revocation.entries import Offset, Position, UnixMs
from revocation.operate.status_report import (
    AuthorityReport,
    Bound,
    DeadLetters,
    DeadLettersReport,
    Findings,
    Found,
    KafkaReport,
    Log,
    LogPartition,
    RegionReport,
    Report,
    State,
)
from revocation.operate.words import counted, in_words
from revocation.store.contract import Mark, Region


def judge(found: Findings) -> Report:
    """Return the report on the findings, with every problem."""
    log = found.log.answer
    away = [log] if isinstance(log, str) else []
    authority = _judge_authority(found)
    return Report(
        bound=found.bound,
        kafka=KafkaReport(
            bootstrap_servers=found.bootstrap_servers,
            reachable=not away,
            problems=away,
        ),
        authority=authority,
        regions={
            name: _judge_region(name, each, authority, found)
            for name, each in found.regions.items()
        },
        dead_letters=_judge_dead_letters(found),
    )


# The authority ------------------------------------------------------------------------


def _judge_authority(found: Findings) -> AuthorityReport:
    at, log = found.log
    if isinstance(log, str):
        return AuthorityReport(state=State.UNKNOWN, problems=[])
    concluded = {
        number: _concluded(number, each, found) for number, each in log.items()
    }
    known = [each for each in concluded.values() if each is not None]
    backlog = sum(
        _left(each.events_begin, each.events_end, position.offset if position else -1)
        for each, position in zip(log.values(), concluded.values(), strict=True)
    )
    if len(known) < len(log):
        problem = (
            f"the log holds no conclusion for {len(log) - len(known)} of {len(log)} "
            f"partitions, with {counted(backlog, 'event')} waiting; start "
            "`revocation authority`"
        )
        return AuthorityReport(
            state=State.NOT_READY, events_backlog=backlog, problems=[problem]
        )
    as_of = min(each.time for each in known)
    silences = [at - each.written_at for each in log.values() if each.written_at]
    stale = at - as_of > found.bound.ms
    problems = _from_the_future(as_of, at, found)
    if stale:
        problems.append(_why_behind(at - as_of, silences, backlog, found.bound))
    return AuthorityReport(
        state=State.STALE if stale else State.READY,
        as_of=as_of,
        staleness_ms=at - as_of,
        silent_ms=max(silences, default=None),
        events_backlog=backlog,
        problems=problems,
    )


def _concluded(number: int, log: LogPartition, found: Findings) -> Position | None:
    """Return the latest event that is known to be concluded.

    A region has applied only concluded events. It knows later ones than the log's last
    records while a new twin fills those with its repeated conclusions. A mark past the
    end is of another Kafka.
    """
    marks = [
        region.marks[number]
        for _, region in found.regions.values()
        if not isinstance(region, str) and number in region.marks
    ]
    known = [
        Position(number, mark.source_offset, mark.as_of)
        for mark in marks
        if 0 <= mark.source_offset < log.events_end
    ]
    if log.concluded is not None:
        known.insert(0, log.concluded)
    return max(known, key=lambda each: each.offset, default=None)


def _why_behind(age: int, silences: Sequence[int], backlog: int, bound: Bound) -> str:
    waiting = f"{counted(backlog, 'event')} waiting"
    silent = [each for each in silences if each > bound.ms]
    if not silent:
        return (
            f"it works on events of {in_words(age)} ago, with {waiting}; if that "
            "number grows, start another worker"
        )
    where = ""
    if len(silent) < len(silences):
        where = f" in {len(silent)} of {len(silences)} partitions"
    return (
        f"it has concluded nothing for {in_words(max(silent))}{where}, with {waiting}; "
        "start `revocation authority`, or see its log if it is running"
    )


# Regions ------------------------------------------------------------------------------


def _judge_region(
    name: str, asked: Found[Region], authority: AuthorityReport, found: Findings
) -> RegionReport:
    at, region = asked
    if isinstance(region, str):
        return RegionReport(state=State.UNREACHABLE, partitions={}, problems=[region])
    ready, as_of = region.freshness
    rebuilt = sum(mark.rebuilt for mark in region.marks.values())
    state, problems = State.READY, _from_the_future(as_of, at, found)
    if name in found.disagreements:
        state = State.NOT_READY
        problems.append(found.disagreements[name])
    elif not ready:
        state = State.NOT_READY
        problems.append(_why_not_ready(name, region, rebuilt, found.partitions))
    elif at - as_of > found.bound.ms:
        state = State.STALE
        problems.append(
            f"its knowledge is {in_words(at - as_of)} old, but route class "
            f"{found.bound.route} tolerates {in_words(found.bound.ms)}; "
            f"{_whose_fault(name, as_of, authority, found)}"
        )
    events, lag = _not_applied(region.marks, found.log.answer)
    return RegionReport(
        state=state,
        ready=ready,
        epoch=region.epoch,
        as_of=as_of or None,
        staleness_ms=at - as_of if as_of else None,
        events_backlog=events,
        lag_records=None if lag is None else sum(lag.values()),
        partitions_rebuilt=rebuilt,
        partitions={
            str(number): {**mark._asdict(), "lag_records": (lag or {}).get(number)}
            for number, mark in sorted(region.marks.items())
        },
        problems=problems,
    )


def _why_not_ready(name: str, region: Region, rebuilt: int, partitions: int) -> str:
    start = f"start `revocation projector --region {name}`, or see its log"
    if region.epoch is None:
        return f"its store is empty; a projector fills it: {start}"
    return (
        f"it is being rebuilt, {rebuilt} of {partitions} partitions are complete; if "
        f"that number does not grow, {start}"
    )


def _whose_fault(
    name: str, as_of: UnixMs, authority: AuthorityReport, found: Findings
) -> str:
    if authority.as_of is None or authority.staleness_ms is None:
        return "without Kafka it is unknown which station is behind"
    bound = found.bound.ms
    if authority.staleness_ms <= bound or as_of + bound < authority.as_of:
        return (
            f"its projector is behind: start `revocation projector --region {name}`, "
            "or see its log"
        )
    return "it waits for the authority"


def _not_applied(
    marks: Mapping[int, Mark], log: Log | str
) -> tuple[int | None, Mapping[int, int] | None]:
    """Return how many events and, by partition, records of entries are not applied."""
    if isinstance(log, str):
        return None, None
    nothing = Mark.at(Offset(0))
    events, lag = 0, {}
    for number, each in log.items():
        mark = marks.get(number, nothing)
        events += _left(each.events_begin, each.events_end, mark.source_offset)
        lag[number] = _left(each.entries_begin, each.entries_end, mark.next_offset - 1)
    return events, lag


def _left(begin: int, end: int, last_done: int) -> int:
    return max(0, end - max(begin, last_done + 1))


def _from_the_future(as_of: int, at: int, found: Findings) -> list[str]:
    ahead = as_of - at
    if ahead <= found.clock_allowance_ms:
        return []
    problem = (
        f"it claims to know what happens {in_words(ahead)} from now; synchronise this "
        "machine and the brokers with the same NTP servers"
    )
    return [problem]


# Dead letters -------------------------------------------------------------------------


def _judge_dead_letters(found: Findings) -> DeadLettersReport:
    dead = found.dead_letters
    if dead is None or isinstance(dead, str):
        problems = [] if dead is None else [dead]
        return DeadLettersReport(count=None, codes={}, since=None, problems=problems)
    problems = [_describe(dead, found.log.at)] if dead.number else []
    return DeadLettersReport(
        count=dead.number, codes=dict(dead.codes), since=dead.since, problems=problems
    )


def _describe(dead: DeadLetters, at: UnixMs) -> str:
    age = ""
    if dead.since is not None:
        age = f", the oldest {in_words(max(0, at - dead.since))} ago"
    read = sum(dead.codes.values())
    among = "" if read == dead.number else f"of the first {read:,}: "
    codes = ", ".join(f"{code} {times:,}" for code, times in sorted(dead.codes.items()))
    which = f" ({among}{codes})" if codes else ""
    return (
        f"{counted(dead.number, 'record')} parked{age}{which}; each may be a "
        "revocation that did not happen: fix its producer, send the event again, then "
        "delete the record"
    )
