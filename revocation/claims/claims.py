"""The targets that a claims set names, and whether all of it can be checked. Pure.

A token that no event can name, or whose age cannot be compared with a cut-off, could
never be revoked: it is unverifiable, not active. Issuers differ in which claims name
which targets: `Rules` has the `ClaimNames` of each.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from revocation.claims.claim_names import ClaimNames, find_claim
from revocation.claims.claim_picking import (
    CLIENT_AT,
    NAMED_KINDS,
    USER_AT,
    Pick,
    make_pick,
)
from revocation.claims.claim_problems import MAX_NUMERIC_DATE, find_problems, is_id
from revocation.claims.claim_sets import ClaimReader, ClaimSet, claim_reader
from revocation.entries import RESOURCE_PATTERN, Kind, Target, grant_id

Claims = Mapping[str, Any]
"""The claims set of a JWT whose signature was verified (RFC 7519)."""

_RESOURCE: Final = re.compile(RESOURCE_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an installation requires of its tokens. Times are in ms.

    `clock_allowance_ms`: how far ahead a token may be dated, and also how far a cut-off
    reaches past its time, so no token escapes a cut-off by its date. `leeway_ms`: how
    long past `exp` a token is accepted. `issuers`: the claim names of each issuer, by
    its `iss`; `names`: those of all others. `revocable_claims`: see `claim_sets.py`.
    """

    longest_token_ms: int
    clock_allowance_ms: int = 5_000
    leeway_ms: int = 60_000
    names: ClaimNames = field(default_factory=ClaimNames)
    issuers: Mapping[str, ClaimNames] = field(default_factory=dict)
    revocable_claims: tuple[ClaimSet, ...] = ()
    _reader: "_Reader" = field(init=False, repr=False, compare=False)
    _readers: "Mapping[str, _Reader]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the reader of each issuer's tokens."""
        readers = {
            issuer: _reader(names, self.longest_of(names))
            for issuer, names in self.issuers.items()
        }
        object.__setattr__(self, "_readers", MappingProxyType(readers))
        reader = _reader(self.names, self.longest_of(self.names))
        object.__setattr__(self, "_reader", reader)

    def names_of(self, issuer: Any) -> ClaimNames:
        """Return the claim names of an issuer; the value may be of any type."""
        known = self.issuers.get(issuer) if isinstance(issuer, str) else None
        return self.names if known is None else known

    def longest_of(self, names: ClaimNames) -> int:
        """Return how long tokens with these claim names may live."""
        own = names.longest_ms
        return self.longest_token_ms if own is None else min(own, self.longest_token_ms)


class Token(NamedTuple):
    """What a verdict needs of a claims set, checked once.

    `names` holds an id for each of `NAMED_KINDS`, empty where the token has none;
    `more` holds the rest: a second client or session, the requested resources. Times
    are in ms: `issued_at` is when the token was created, `longest` how long it may live
    from then.
    """

    issuer: str
    names: tuple[str, ...]
    more: tuple[tuple[Kind, str], ...]
    issued_at: float
    expires_at: float
    version: int | None
    longest: int

    def grants(self) -> Iterator[str]:
        """Return the ids of the grants: the user with each of the clients."""
        user, client = self.names[USER_AT], self.names[CLIENT_AT]
        if not user or not client:
            return
        yield grant_id(user, client)
        for kind, name in self.more:
            if kind is Kind.CLIENT:
                yield grant_id(user, name)

    def targets(self) -> tuple[Target, ...]:
        """Return every target that may reject the token."""
        issuer = self.issuer
        named = zip(NAMED_KINDS, self.names, strict=True)
        found = [Target(kind, issuer, name) for kind, name in named if name]
        found += [Target(kind, issuer, name) for kind, name in self.more]
        found += [Target(Kind.GRANT, issuer, name) for name in self.grants()]
        return tuple(found)


_new: Final = tuple.__new__
"""Creates a NamedTuple in a third of the time that calling its class takes."""


def read_token(
    claims: Claims,
    rules: Rules,
    *,
    kid: str | None = None,
    resources: Sequence[str] = (),
) -> Token | str:
    """Read the targets that a token names, or say why it could escape revocation.

    The text names a claim but never quotes its value, which may be personal. Never
    raises, whatever the claims are.

    Args:
        claims: the token's claims set, signature verified.
        rules: what the installation requires of its tokens.
        kid: the `kid` of the token's header.
        resources: the resources that the request concerns, each `type:id`.
    """
    token = _read_plain(claims, rules, kid) if type(claims) is dict else None
    if token is None:
        problem = _find_problem(claims, rules, kid)
        if problem is not None:
            return problem
        token = _read(claims, rules, kid)
    if rules.revocable_claims:
        named = name_claims(token, claims, claim_reader(rules.revocable_claims))
        if isinstance(named, str):
            return named
        token = named
    return name_resources(token, resources) if resources else token


def name_claims(token: Token, claims: Claims, reader: ClaimReader) -> Token | str:
    """Return the token with its ids under the claim sets, or what is wrong with it."""
    ids = reader.read(claims)
    if isinstance(ids, str):
        return ids
    return name_more(token, Kind.CLAIMS, ids) if ids else token


def find_client(claims: Claims, claim_names: ClaimNames) -> str | None:
    """Return the client that a token was issued to: the first that its claims name."""
    values = (find_claim(claims, name) for name in claim_names.clients)
    return next((each for each in values if each and isinstance(each, str)), None)


NamesOf = Callable[[Any], ClaimNames]
"""Returns the claim names of an `iss`: `Rules.names_of`."""

_USUAL: Final = ClaimNames()


def usual_names(_issuer: Any) -> ClaimNames:
    """Return the default claim names, whatever the issuer."""
    return _USUAL


def name_resources(token: Token, resources: Sequence[str]) -> Token | str:
    """Return the token with the requested resources, or what is wrong with them."""
    if not all(map(_is_resource, resources)):
        return "no event can name a requested resource: it is not `type:id`"
    return name_more(token, Kind.RESOURCE, resources)


def name_more(token: Token, kind: Kind, ids: Iterable[str]) -> Token:
    """Return the token with further targets of a kind that may reject it."""
    named = [(kind, each) for each in ids]
    issuer, names, more, *rest = token
    return _new(Token, (issuer, names, (*more, *named), *rest))


def _read_plain(claims: dict[Any, Any], rules: Rules, kid: Any) -> Token | None:
    """Read a token on the fast path; None if it needs the slow one."""
    get = claims.get
    issuer, issued_at, expires_at = get("iss"), get("iat"), get("exp")
    if not (
        type(issuer) is str
        and type(issued_at) is int
        and type(expires_at) is int
        and 0 <= issued_at <= MAX_NUMERIC_DATE
        and 0 <= expires_at <= MAX_NUMERIC_DATE
    ):
        return None
    # Private to this module: a method call would cost a tenth of the whole.
    reader = rules._readers.get(issuer, rules._reader)  # noqa: SLF001
    pick, version_in, backdated, longest = reader
    names, version = pick(claims, get, issuer, kid), get(version_in)
    if names is None or not (version is None or type(version) is int):
        return None
    made_at, ends_at = issued_at * 1000 + backdated, expires_at * 1000
    return _new(Token, (issuer, names, (), made_at, ends_at, version, longest))


class _Reader(NamedTuple):
    """The fast path for the tokens of one issuer."""

    pick: Pick
    version: str | None
    backdated: int
    longest: int


def _reader(claim_names: ClaimNames, longest: int) -> _Reader:
    pick, backdated = make_pick(claim_names), claim_names.backdated_ms
    return _Reader(pick, claim_names.version, backdated, longest)


def _read(claims: Claims, rules: Rules, kid: str | None) -> Token:
    claim_names = rules.names_of(claims["iss"])

    def named(*names: str | None) -> list[str]:
        """Return the distinct values of some claims, without empty ones."""
        values = (find_claim(claims, name) for name in names if name is not None)
        return list(dict.fromkeys(value for value in values if value)) or [""]

    session, *sessions = named(*claim_names.sessions)
    # RFC 9068 has `client_id`, OpenID Connect `azp`; if they differ, both count.
    client, *clients = named(*claim_names.clients)
    names = (
        *(*named(claim_names.token_id), session, *named(claim_names.user), client),
        *(*named(claim_names.tenant), claims["iss"], kid or ""),
    )
    more = [(Kind.SESSION, each) for each in sessions]
    more += [(Kind.CLIENT, each) for each in clients]
    version = claim_names.version
    return Token(
        claims["iss"],
        names,
        tuple(more),
        claims["iat"] * 1000 + claim_names.backdated_ms,
        claims["exp"] * 1000,
        None if version is None else find_claim(claims, version),
        rules.longest_of(claim_names),
    )


def _find_problem(claims: Any, rules: Rules, kid: Any) -> str | None:
    if not isinstance(claims, Mapping):
        return "the claims are not a JSON object"
    return next(find_problems(claims, rules.names_of(claims.get("iss")), kid), None)


def _is_resource(value: Any) -> bool:
    return is_id(value) and _RESOURCE.match(value) is not None
