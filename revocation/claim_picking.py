"""Picks what most tokens name out of their claims, in one go. Pure.

A check spends a third of its time here, so what an issuer's claims are called is bound
once and not looked up for each token.
"""

from collections.abc import Callable
from typing import Any, Final

from revocation.claim_names import ClaimNames, split_name
from revocation.complaints import matches_issuer
from revocation.entries import MAX_ID_CHARACTERS, Kind

NAMED_KINDS: Final = (
    *(Kind.TOKEN, Kind.SESSION, Kind.USER, Kind.CLIENT),
    *(Kind.TENANT, Kind.ISSUER, Kind.KEY),
)
"""The kinds of which most tokens name one at most, in the order of `Token.names`."""

_SESSION: Final = NAMED_KINDS.index(Kind.SESSION)
_CLIENT: Final = NAMED_KINDS.index(Kind.CLIENT)
_MOST_PARTS: Final = 2
_ABSENT: Final = object()

Get = Callable[..., Any]
"""The method `get` of a claims set."""
Pick = Callable[[Get, str, Any], tuple[str, ...] | None]
"""Takes `get`, the `iss` and the `kid`; returns an id for each of `NAMED_KINDS`, empty
where there is none, or None where a closer look is needed."""


def make_pick(claim_names: ClaimNames) -> Pick:
    """Return what picks the names out of the claims of an issuer's tokens."""
    flat = [claim_names.user, claim_names.token_id, claim_names.version]
    flat += (*claim_names.sessions, *claim_names.clients, *claim_names.required)
    tenant = claim_names.tenant
    deep = tenant is not None and len(split_name(tenant)) > _MOST_PARTS
    if deep or not all(map(_is_member, flat)):
        return _pick_nothing
    return _bind(claim_names)


def _bind(claim_names: ClaimNames) -> Pick:
    """Bind the names once: looking them up for each token would cost a quarter more.

    A claim that an issuer does not have is looked up as None, which no JSON holds.
    """
    user, token_id = claim_names.user, claim_names.token_id
    session, *sessions = claim_names.sessions or (None,)
    client, *clients = claim_names.clients or (None,)
    others = [(each, _SESSION) for each in sessions]
    others += [(each, _CLIENT) for each in clients]
    tenant, outer, inner = _tenant_place(claim_names.tenant)
    known = {user, token_id}
    required = [name for name in claim_names.required if name not in known]
    nameless, tokenless = (
        each not in claim_names.required for each in (user, token_id)
    )

    def pick(get: Get, issuer: str, kid: Any) -> tuple[str, ...] | None:
        subject, token = get(user, ""), get(token_id, "")
        if not (subject or nameless) or not (token or tokenless):
            return None
        if required and not all(map(get, required)):
            return None
        if outer is None:
            held = get(tenant, "")
        else:
            holder = get(outer)
            if type(holder) is not dict or get(tenant, _ABSENT) is not _ABSENT:
                return None
            held = holder.get(inner, "")
        names: tuple[Any, ...] = (
            token,
            get(session, ""),
            subject,
            get(client, ""),
            held,
            issuer,
            "" if kid is None else kid,
        )
        try:
            joined = "".join(names)  # One look at them all; only text can be joined.
        except TypeError:
            return None
        for other, at in others:
            if get(other, names[at]) != names[at]:
                return None
        short = joined.isascii() and len(joined) <= MAX_ID_CHARACTERS
        return names if short and matches_issuer(issuer) else None

    return pick


def _pick_nothing(_get: Get, _issuer: str, _kid: Any) -> None:
    """Have a closer look taken: names lead into objects."""


def _is_member(name: str | None) -> bool:
    """Whether a name is that of a member of the claims set itself, as written."""
    return name is None or split_name(name) == (name,)


def _tenant_place(name: str | None) -> tuple[str | None, str | None, str | None]:
    """Return the claim that is the tenant, or the object and its member that is.

    Tenants are the only names that issuers hide in objects. With an object the first is
    the whole name: a claim that has it would be another reading.
    """
    if name is None:
        return None, None, None
    outer, *rest = split_name(name)
    return (name, outer, rest[0]) if rest else (outer, None, None)
