"""What `revocation status` finds, and what it reports.

`status.py` asks Kafka and the stores, `status_judge.py` makes a report of what they
answer, and `status_table.py` writes it for people. Ages are measured by the clock of
the machine that asks.
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
    """What one part answered, and when; a text says why it did not."""

    at: UnixMs
    answer: _Value | str


class LogPartition(NamedTuple):
    """One partition number, in the topics of events and of entries.

    `begin` and `end` are offsets of the first record that is there and of the next one.
    `concluded`: the latest event that the last records of entries name. `written_at`:
    when the broker appended the last of them. Both are None where there is none.
    """

    events_begin: Offset
    events_end: Offset
    entries_begin: Offset
    entries_end: Offset
    concluded: Position | None
    written_at: UnixMs | None


Log = Mapping[int, LogPartition]


class DeadLetters(NamedTuple):
    """How many dead letters there are, and what the first of them say.

    `codes`: how many of those that were read have which code. `since`: when the broker
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
    """All that was found, and what it is held to.

    `disagreements`: of regions whose settings are not those of who asks, which.
    `dead_letters`: None where Kafka does not answer, a text says what else is wrong.
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
    """How the authority or a region is."""

    READY = "ready"
    """It knows all that happened, but for what the bound tolerates."""
    STALE = "stale"
    """What it knows is older than the bound."""
    NOT_READY = "not_ready"
    """It does not know everything that it must."""
    UNREACHABLE = "unreachable"
    """Its store does not answer."""
    UNKNOWN = "unknown"
    """It is the authority, and Kafka does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaReport:
    """How Kafka is."""

    bootstrap_servers: str
    reachable: bool
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityReport:
    """How far the authority is; None where that is not known.

    `as_of`: every event before it, by the brokers' clock, is concluded. `silent_ms`:
    for how long it has concluded nothing, in the partition where that is longest.
    `events_backlog`: records of the topic of events that it has not concluded.
    """

    state: State
    as_of: UnixMs | None = None
    staleness_ms: int | None = None
    silent_ms: int | None = None
    events_backlog: int | None = None
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionReport:
    """How far a region is; None where that is not known.

    `ready`: its store is complete, whatever its age. `events_backlog`: records of the
    topic of events that it has not applied. `lag_records`: those of the topic of
    entries.
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
    """What is parked; None where that is not known. `codes` are those of the first."""

    count: int | None
    codes: Mapping[str, int]
    since: UnixMs | None
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole installation, held to the tightest bound."""

    bound: Bound
    kafka: KafkaReport
    authority: AuthorityReport
    regions: Mapping[str, RegionReport]
    dead_letters: DeadLettersReport

    @property
    def works(self) -> bool:
        """Whether nothing is wrong but with the dead letters."""
        return len(self.problems) == len(self.dead_letters.problems)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Each problem, after the part that has it."""
        listed = [
            ("kafka", self.kafka.problems),
            ("authority", self.authority.problems),
            *((name, each.problems) for name, each in self.regions.items()),
            ("dead letters", self.dead_letters.problems),
        ]
        return [(name, each) for name, problems in listed for each in problems]

    def to_json(self) -> dict[str, Any]:
        """Return the same for machines; names and units are stable."""
        return {
            "ok": not self.problems,
            "bound_ms": self.bound.ms,
            "bound_route": self.bound.route,
            "kafka": asdict(self.kafka),
            "authority": asdict(self.authority),
            "regions": {name: asdict(each) for name, each in self.regions.items()},
            "dead_letters": asdict(self.dead_letters),
        }
