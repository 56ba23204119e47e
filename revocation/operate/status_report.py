"""The findings of `revocation status`, and its report.

`status.py` queries Kafka and the stores, `status_judge.py` turns their answers into a
report, and `status_table.py` prints it. Ages are by the clock of the machine that runs
the command.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from revocation.entries import Offset, Position, UnixMs
from revocation.store.contract import Region

_Value = TypeVar("_Value")


class Found(NamedTuple, Generic[_Value]):
    """The answer of one part and its time; a string says why there is none."""

    at: UnixMs
    answer: _Value | str


class LogPartition(NamedTuple):
    """One partition number, in the topics of events and of entries.

    `begin` and `end` are the offsets of the first remaining and of the next record.
    `concluded`: the latest event that the last records of entries name. `written_at`:
    when the broker appended the last of them. Both are None if there are no records.
    """

    events_begin: Offset
    events_end: Offset
    entries_begin: Offset
    entries_end: Offset
    concluded: Position | None
    written_at: UnixMs | None


Log = Mapping[int, LogPartition]


class DeadLetters(NamedTuple):
    """How many dead letters there are, with details of the first of them.

    `codes`: the number of records read, by error code. `since`: when the broker
    appended the oldest of these.
    """

    number: int
    codes: Mapping[str, int] = MappingProxyType({})
    since: UnixMs | None = None


class Bound(NamedTuple):
    """The tightest bound on staleness, and the route class that has it."""

    route: str
    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All findings, and the bound to judge them by.

    `disagreements`: for each region whose settings differ from ours, the differences.
    `dead_letters`: None if Kafka does not answer; a string names another problem.
    """

    bootstrap_servers: str
    log: Found[Log]
    regions: Mapping[str, Found[Region]]
    partitions: int
    bound: Bound
    clock_allowance_ms: int
    disagreements: Mapping[str, str] = field(default_factory=dict)
    dead_letters: DeadLetters | str | None = None


class State(StrEnum):
    """The state of the authority or of a region."""

    READY = "ready"
    """Its knowledge is within the bound."""
    STALE = "stale"
    """Its knowledge is older than the bound."""
    NOT_READY = "not_ready"
    """Its knowledge is incomplete."""
    UNREACHABLE = "unreachable"
    """Its store does not answer."""
    UNKNOWN = "unknown"
    """Of the authority: Kafka does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaReport:
    """The state of Kafka."""

    bootstrap_servers: str
    reachable: bool
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityReport:
    """How far the authority is; None where unknown.

    `as_of`: every event before it, by the brokers' clock, is concluded. `silent_ms`:
    for how long it has concluded nothing, in the partition where that is longest.
    `events_backlog`: records of the events topic that it has not concluded.
    """

    state: State
    as_of: UnixMs | None = None
    staleness_ms: int | None = None
    silent_ms: int | None = None
    events_backlog: int | None = None
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionReport:
    """How far a region is; None where unknown.

    `ready`: its store is complete, whatever its age. `events_backlog`: records of the
    events topic that it has not applied. `lag_records`: those of the entries topic.
    """

    state: State
    ready: bool = False
    epoch: str | None = None
    as_of: UnixMs | None = None
    staleness_ms: int | None = None
    events_backlog: int | None = None
    lag_records: int | None = None
    partitions_rebuilt: int | None = None
    partitions: Mapping[str, Mapping[str, int | bool | None]]
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersReport:
    """The parked records; None where unknown. `codes` are those of the first ones."""

    count: int | None
    codes: Mapping[str, int]
    since: UnixMs | None
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole installation, judged by the tightest bound."""

    bound: Bound
    kafka: KafkaReport
    authority: AuthorityReport
    regions: Mapping[str, RegionReport]
    dead_letters: DeadLettersReport

    @property
    def works(self) -> bool:
        """Whether nothing is wrong except for dead letters."""
        return len(self.problems) == len(self.dead_letters.problems)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Each problem, preceded by the part that has it."""
        listed = [
            ("kafka", self.kafka.problems),
            ("authority", self.authority.problems),
            *((name, each.problems) for name, each in self.regions.items()),
            ("dead letters", self.dead_letters.problems),
        ]
        return [(name, each) for name, problems in listed for each in problems]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON; names and units are stable."""
        return {
            "ok": not self.problems,
            "bound_ms": self.bound.ms,
            "bound_route": self.bound.route,
            "kafka": asdict(self.kafka),
            "authority": asdict(self.authority),
            "regions": {name: asdict(each) for name, each in self.regions.items()},
            "dead_letters": asdict(self.dead_letters),
        }
