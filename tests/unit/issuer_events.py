"""Events about a token's targets, as listed by `reach`, and their verdicts."""

from collections.abc import Iterator, Mapping
from typing import Any

from revocation import events, ledger
from revocation.claims.claim_names import Unreadable, find_claim
from revocation.claims.claim_sets import claim_reader
from revocation.claims.claims import Token, name_claims, name_resources
from revocation.claims.reach import Member, Reach
from revocation.decision import DEFAULT_POLICIES, Freshness, Verdict, decide
from revocation.entries import Entry, Limits, Offset, Position, Target, UnixMs
from revocation.jwt.authenticator import Authenticated
from tests.unit.issuer_tokens import RULES
from tests.unit.tokens import NOW

LIMITS = Limits(
    longest_token_ms=RULES.longest_token_ms,
    longest_session_ms=86_400_000,
    leeway_ms=RULES.leeway_ms + RULES.clock_allowance_ms,
)
RESOURCE = "order:42"
SETS = (("sub",),)
"""What is revocable here beside all that has an event of its own."""
_HERE = {"kid": "key-1", "resource": RESOURCE}


def values(member: Member, claims: Mapping[str, Any]) -> list[Any]:
    """Return what an event may have as a member, to name a token with these claims."""
    if member.name == "claims":
        sub = claims.get("sub")
        return [{"sub": sub}] if sub and isinstance(sub, str) else []
    if member.elsewhere:
        return [_HERE[member.name]]
    found = (find_claim(claims, name) for name in member.claims)
    return [each for each in found if each and not isinstance(each, Unreadable)]


def about(row: Reach, claims: Mapping[str, Any], **more: Any) -> Iterator[events.Event]:
    """Yield each event that names the token, one for each type and way to name it."""
    named: list[dict[str, Any]] = [{"issuer": claims["iss"]}]
    for member in row.members:
        found = values(member, claims)
        named = [{**each, member.name: value} for each in named for value in found]
    for each in named:
        for type_ in row.events:
            yield _event(type_, {**each, **more})


def _event(type_: str, data: dict[str, Any]) -> events.Event:
    model = events.EVENT_TYPES[f"revocation.{type_}"]
    if model is events.UsersRevoked:
        data = {**data, "users": [data["user"]]}
    return model.new(source="/test", **data)


def conclude(*said: tuple[UnixMs, events.Event]) -> dict[Target, Entry]:
    """Return what the authority concludes from events, each with its time."""
    known: dict[Target, Entry] = {}
    for offset, (at, event) in enumerate(said):
        place = Position(0, Offset(offset), at)
        for target in events.targets(event):
            result = ledger.apply(known.get(target), event, target, place, LIMITS)
            known[target] = result.entry
    return known


def verdict(
    found: Authenticated, event: events.Event, *, at: UnixMs = NOW, now: UnixMs = NOW
) -> Verdict:
    """Return what becomes of a token after an event; it touches `RESOURCE`."""
    token: Token | str = name_claims(found.token, found.claims, claim_reader(SETS))
    known, named = conclude((at, event)), dict[Target, Entry]()
    if isinstance(token, Token):
        token = name_resources(token, [RESOURCE])
        named = {each: known[each] for each in token.targets() if each in known}
    return decide(
        token,
        named,
        Freshness(ready=True, as_of=now),
        policy=DEFAULT_POLICIES["read"],
        rules=RULES,
        now=now,
    )
