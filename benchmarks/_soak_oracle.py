"""What each answer must be, over time: the judge of benchmarks/soak.py. Pure.

A question has a course. At rest one status is right. When the world changes, say by a
revocation, a new one becomes right at once, and the old one stays right until the
promise is due: in between both are right, and before and after only one.

    course = Course("token", 200)
    course.turn(401, since=10.0)   # published: from now on it may be refused
    course.close(until=11.5)       # applied at 10.5, and a second to get here

An answer counts as given between `asked` and `answered`: it is wrong only if it was
wrong all that time. Times are any seconds that all who tell them share.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

PASSED: Final = 200
_SUBJECT: Final = b"\r\nx-auth-subject: "


class Phase(NamedTuple):
    """A status and when it is right."""

    status: int
    since: float = -inf
    until: float = inf


@dataclass(slots=True)
class Course:
    """What is right for a question, over time.

    `settled` is the status that is right at any time, or 0 while that depends. For each
    phase, `first` has when its status was there first, `last` when it was asked last.
    """

    name: str
    status: int
    phases: list[Phase] = field(init=False)
    first: list[float] = field(init=False)
    last: list[float] = field(init=False)
    settled: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a status that is right until further notice."""
        self.phases = [Phase(self.status)]
        self.first, self.last = [inf], [-inf]
        self.settled = self.status

    def turn(self, status: int, since: float) -> None:
        """From `since` on another status is right, too; say it before it happens."""
        self.phases.append(Phase(status, since))
        self.first.append(inf)
        self.last.append(-inf)
        self.settled = 0

    def close(self, until: float) -> None:
        """Requests sent after `until` must not get the previous status."""
        self.phases[-2] = self.phases[-2]._replace(until=until)

    def allows(self, status: int, asked: float, answered: float) -> bool:
        """Tell whether an answer is right, and note that it was given."""
        for at, phase in enumerate(self.phases):
            if (
                status == phase.status
                and phase.since <= answered
                and asked <= phase.until
            ):
                self.first[at] = min(self.first[at], answered)
                self.last[at] = max(self.last[at], asked)
                return True
        return False

    @property
    def took(self) -> float | None:
        """From the latest turn until it was seen, and the status before no more.

        None if nothing ever turned, or nobody saw it.
        """
        if self.first[-1] == inf or len(self.phases) == 1:
            return None
        return max(self.first[-1], self.last[-2]) - self.phases[-1].since


class Wrong(NamedTuple):
    """A wrong answer. No token is in it."""

    kind: str
    course: str
    status: int
    asked: float
    answered: float
    why: str

    def __str__(self) -> str:
        """Return it for people."""
        return (
            f"{self.kind} ({self.course}): {self.status} between {self.asked:.3f} and "
            f"{self.answered:.3f}; {self.why}"
        )


def judge(  # noqa: PLR0913 - all that an answer consists of
    kind: str,
    course: Course,
    told: bytes,
    *,
    status: int,
    answer: bytes,
    asked: float,
    answered: float,
) -> Wrong | None:
    """Return what is wrong with an answer, or None.

    Args:
        kind: of the question, for the message.
        course: of the question.
        told: the name that an answer that lets it pass must tell the service; empty
            where it must tell none.
        status: of the answer.
        answer: its head.
        asked: when it was sent.
        answered: when the answer was there.
    """
    why = ""
    if status != course.settled and not course.allows(status, asked, answered):
        right = ", ".join(
            f"{each.status} ({each.since:.3f} to {each.until:.3f})"
            for each in course.phases
        )
        why = f"right are {right}"
    elif status == PASSED and not _tells(answer, told):
        why = "it passed as somebody else"
    return Wrong(kind, course.name, status, asked, answered, why) if why else None


def _tells(answer: bytes, told: bytes) -> bool:
    if told:
        return b"%b%b\r\n" % (_SUBJECT, told) in answer
    return _SUBJECT not in answer or b"%b\r\n" % _SUBJECT in answer
