"""A fast path that picks the usual ids out of a token's claims. Pure.

A check spends a third of its time here, so the names of an issuer's claims are bound
once and not looked up for each token.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from revocation.claims.claim_names import ClaimNames, split_name
from revocation.claims.claim_problems import matches_issuer
from revocation.entries import MAX_ID_CHARACTERS, Kind

NAMED_KINDS: Final = (
    *(Kind.TOKEN, Kind.SESSION, Kind.USER, Kind.CLIENT),
    *(Kind.TENANT, Kind.ISSUER, Kind.KEY),
)
"""The kinds of which most tokens name at most one, in the order of `Token.names`."""

SESSION_AT: Final = NAMED_KINDS.index(Kind.SESSION)
USER_AT: Final = NAMED_KINDS.index(Kind.USER)
CLIENT_AT: Final = NAMED_KINDS.index(Kind.CLIENT)

_Get = Callable[..., Any]
Pick = Callable[[dict[Any, Any], _Get, str, Any], tuple[str, ...] | None]
"""Takes claims, their method `get`, their `iss` and a `kid`; returns an id for each of
`NAMED_KINDS`, empty where there is none, or None if the token needs the slow path."""


def make_pick(claim_names: ClaimNames) -> Pick:
    """Return a function that picks the ids out of the claims of an issuer's tokens."""
    version = claim_names.version
    if version is not None and split_name(version) != (version,):
        return _pick_nothing
    names = dict.fromkeys((*claim_names.identifiers, *claim_names.required))
    paths = [(name, *split_name(name)) for name in names]
    nested = [(name, *path) for name, *path in paths if path != [name]]
    return _lift(_bind(claim_names), nested) if nested else _bind(claim_names)


def _bind(claim_names: ClaimNames) -> Pick:
    """Bind the names once: looking them up for each token would cost a quarter more.

    A claim that an issuer does not have is looked up as None, which is no JSON name.
    """
    user, token_id, tenant = claim_names.user, claim_names.token_id, claim_names.tenant
    session, *sessions = claim_names.sessions or (None,)
    client, second = (*claim_names.clients, None, None)[:2]
    others = [(each, SESSION_AT) for each in sessions]
    others += [(each, CLIENT_AT) for each in claim_names.clients[2:]]
    known = {user, token_id}
    required = [name for name in claim_names.required if name not in known]
    nameless, tokenless = (
        each not in claim_names.required for each in (user, token_id)
    )

    def pick(
        _claims: dict[Any, Any], get: _Get, issuer: str, kid: Any
    ) -> tuple[str, ...] | None:
        subject, token, party = get(user, ""), get(token_id, ""), get(client, "")
        if not (subject or nameless) or not (token or tokenless):
            return None
        if get(second, party) != party or (required and not all(map(get, required))):
            return None
        names: tuple[Any, ...] = (
            token,
            get(session, ""),
            subject,
            party,
            get(tenant, ""),
            issuer,
            "" if kid is None else kid,
        )
        try:
            joined = "".join(names)  # Checks all at once: only text can be joined.
        except TypeError:
            return None
        for other, at in others:
            if get(other, names[at]) != names[at]:
                return None
        short = joined.isascii() and len(joined) <= MAX_ID_CHARACTERS
        return names if short and matches_issuer(issuer) else None

    return pick


def _lift(pick: Pick, nested: Sequence[tuple[str, ...]]) -> Pick:
    """Return a function that also picks ids out of nested objects.

    Args:
        pick: picks ids if each claim is a member under its whole name.
        nested: for each nested claim its name, then the members on its path.
    """

    def pick_lifted(
        claims: dict[Any, Any], _get: _Get, issuer: str, kid: Any
    ) -> tuple[str, ...] | None:
        lifted = claims.copy()
        for name, first, *rest in nested:
            # A member with the whole nested name would be ambiguous.
            if name in claims:
                return None
            found = claims.get(first)
            for part in rest:
                if type(found) is not dict:
                    return None
                found = found.get(part)
            lifted[name] = "" if found is None else found
        return pick(lifted, lifted.get, issuer, kid)

    return pick_lifted


def _pick_nothing(_claims: dict[Any, Any], _get: _Get, _issuer: str, _kid: Any) -> None:
    """Send every token to the slow path, which reads a nested version."""
