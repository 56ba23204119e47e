"""Cases about regions that are not read as they were written."""

from dataclasses import replace
from typing import Final

from revocation.decision import Reason
from revocation.entries import Kind
from revocation.identity import LAYOUT_VERSION, Lifetimes
from tests.recipe.cases.case import RULES, Case, case, claims, denied

_LIFETIMES: Final = Lifetimes(3_600, 86_400, 60, 5, 86_400)
_OTHER: Final = "0123456789abcdef"


def _shorter(name: str) -> Case:
    lifetimes = _LIFETIMES._replace(**{name: getattr(_LIFETIMES, name) - 1})
    return case(
        f"the region keeps revocations for a shorter {name}",
        Reason.NOT_READY,
        states={"lifetimes": lifetimes},
    )


_SETS: Final = replace(RULES, revocable_claims=(("device_id",),))

CASES: Final = (
    case(
        "the region has a claim set that the verifier lacks",
        Reason.NOT_READY,
        rules=_SETS,
        states={"revocable_claims": (("act.sub",), ("device_id",))},
    ),
    case(
        "the verifier has a claim set that the region lacks",
        Reason.ACTIVE,
        rules=_SETS,
        states={"revocable_claims": ()},
    ),
    case("no canary is found", Reason.NOT_READY, canaries=None),
    case(
        "no canary is found, and an entry that rejects",
        Reason.NOT_READY,
        denied(Kind.TOKEN),
        canaries=None,
    ),
    case("the canaries are of another epoch", Reason.NOT_READY, canaries="before"),
    case("the store is of another region", Reason.NOT_READY, states={"region": "us"}),
    case(
        "the region is written under a pepper that the verifier lacks",
        Reason.NOT_READY,
        states={"peppers": (_OTHER,)},
    ),
    case(
        "the region is of another layout",
        Reason.NOT_READY,
        states={"layout": LAYOUT_VERSION + 1},
    ),
    _shorter("max_token_lifetime_seconds"),
    _shorter("max_session_seconds"),
    _shorter("leeway_seconds"),
    _shorter("clock_allowance_seconds"),
    case(
        "the region keeps revocations for longer than the verifier needs",
        Reason.ACTIVE,
        states={"lifetimes": Lifetimes(*(2 * each for each in _LIFETIMES))},
    ),
    case(
        "the region is that of another Kafka cluster, which is the projector's concern",
        Reason.ACTIVE,
        states={"cluster_id": "another", "topic_prefix": "another", "partitions": 7},
    ),
    case(
        "a token cannot name the canary",
        Reason.UNVERIFIABLE,
        claims=claims(iss="revocation canary", sub="canary"),
    ),
)
