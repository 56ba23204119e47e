"""Which tokens of an issuer events reach, and which they do not. Pure.

An event reaches a token through a claim with the value that the event names. A token
without such a claim stays valid until it expires.
"""

from typing import Final, NamedTuple

from revocation.claims.claim_names import ClaimNames
from revocation.entries import Kind

_HEADER: Final = "the header's `kid`, or that of the key"
_REQUEST: Final = "a resource of the request"
_SETS: Final = "the claims of a set of `revocable_claims`"


class Member(NamedTuple):
    """A member of an event's `data`, and the claims of which it must equal one.

    `claims`: empty if tokens have none. `elsewhere`: what it is compared with if not
    with a claim. `always`: whether every token has a value to compare.
    """

    name: str
    claims: tuple[str, ...]
    always: bool
    elsewhere: str | None = None


class Reach(NamedTuple):
    """How far events about one kind of target reach the tokens of an issuer.

    `events`: their types, without `revocation.`. `longest_ms`: how long tokens live.
    """

    kind: Kind
    events: tuple[str, ...]
    members: tuple[Member, ...]
    longest_ms: int

    @property
    def reaches(self) -> bool:
        """Whether the events can reach any token."""
        return all(member.claims or member.elsewhere for member in self.members)

    @property
    def complete(self) -> bool:
        """Whether the events reach every token."""
        return all(member.always for member in self.members)

    @property
    def by(self) -> str:
        """What must match in an event and a token; empty if nothing can."""
        if not self.reaches:
            return ""
        return ", ".join(
            f"`{member.name}` = {member.elsewhere or _any_of(member.claims)}"
            for member in self.members
        )

    @property
    def missed(self) -> str:
        """Which tokens the events do not reach, and for how long; empty if none."""
        if self.complete:
            return ""
        until = f"until `exp`, at most {self.longest_ms // 1_000} s"
        return f"{self._missed()}, {until}"

    def _missed(self) -> str:
        lacking = [member for member in self.members if not member.always]
        if not self.reaches:
            nameless = next(each for each in lacking if not each.claims)
            return f"all tokens: none has a `{nameless.name}`"
        if self.kind is Kind.KEY:
            return "tokens whose key is published without `kid`"
        if self.kind is Kind.CLAIMS:
            return "tokens that lack a claim of the set"
        without = (f"without {_any_of(each.claims)}" for each in lacking)
        return f"tokens {', or '.join(without)}"


def _any_of(claims: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in claims)


def reach(names: ClaimNames, longest_ms: int) -> tuple[Reach, ...]:
    """Return how far the events about each kind of target reach.

    Args:
        names: the issuer's claims.
        longest_ms: how long its tokens live.
    """

    def member(name: str, *claims: str | None) -> Member:
        given = tuple(claim for claim in claims if claim is not None)
        return Member(name, given, not {*given}.isdisjoint(names.required))

    user, client = member("user", names.user), member("client", *names.clients)
    members: dict[Kind, tuple[Member, ...]] = {
        Kind.TOKEN: (member("jti", names.token_id),),
        Kind.SESSION: (member("sid", *names.sessions),),
        Kind.USER: (user,),
        Kind.GRANT: (user, client),
        Kind.CLIENT: (client,),
        Kind.TENANT: (member("tenant", names.tenant),),
        Kind.ISSUER: (Member("issuer", ("iss",), always=True),),
        Kind.KEY: (Member("kid", (), always=False, elsewhere=_HEADER),),
        Kind.CLAIMS: (Member("claims", (), always=False, elsewhere=_SETS),),
        Kind.RESOURCE: (Member("resource", (), always=True, elsewhere=_REQUEST),),
    }
    return tuple(
        Reach(kind, EVENTS[kind], each, longest_ms) for kind, each in members.items()
    )


EVENTS: Final = {
    Kind.TOKEN: ("token.revoked",),
    Kind.SESSION: ("session.ended",),
    Kind.USER: (
        *("user.logged_out", "user.credentials_changed", "user.disabled"),
        *("users.revoked", "data.deleted"),
    ),
    Kind.GRANT: ("grant.revoked",),
    Kind.CLIENT: ("client.revoked",),
    Kind.TENANT: ("tenant.revoked",),
    Kind.ISSUER: ("issuer.revoked",),
    Kind.KEY: ("key.revoked",),
    Kind.CLAIMS: ("claims.revoked",),
    Kind.RESOURCE: ("data.deleted",),
}
"""The types of events that revoke tokens, by the kind of their target."""
