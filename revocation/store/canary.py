"""The entries that every reader must find, or else it looks in the wrong place. Pure.

Each epoch of a region holds one canary of each kind, about a target that no token and
no event can name, as its issuer contains a space. A reader that does not find them by
its normal lookup differs in pepper, prefix, digest, letter or layout, and would accept
every revoked token. Their receipt is derived from the epoch, so that canaries of an
earlier epoch prove nothing.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from revocation.entries import (
    DENYLIST_KINDS,
    Entry,
    Kind,
    Offset,
    Position,
    Status,
    Target,
    UnixMs,
)

ISSUER: Final = "revocation canary"
"""No `iss` and no event's issuer may contain a space."""
ID: Final = "canary"
TARGETS: Final = {kind: Target(kind, ISSUER, ID) for kind in Kind}

_NUMBER_BYTES: Final = 6
_NEVER: Final = UnixMs(2**53 - 1)


@lru_cache(maxsize=4)
def receipt(epoch: str) -> bytes:
    """Return the receipt of an epoch's canaries: `0-<number>`."""
    return b"0-%d" % _number(epoch)


def entries(epoch: str) -> tuple[Entry, ...]:
    """Return the canaries of an epoch: they reject, and never expire."""
    source = Position(0, Offset(_number(epoch)), UnixMs(0))
    return tuple(_entry(target, source) for target in TARGETS.values())


def _entry(target: Target, source: Position) -> Entry:
    if target.kind in DENYLIST_KINDS:
        return Entry(target, source, expires_at=_NEVER)
    return Entry(target, source, status=Status.DISABLED)


def _number(epoch: str) -> int:
    digest = blake2b(epoch.encode(), digest_size=_NUMBER_BYTES).digest()
    return int.from_bytes(digest)
