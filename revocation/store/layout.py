"""How a region's state lies in Redis: keys, values, and nothing that names a person.

All keys of a region carry one hash tag, so that one call can touch them all in a Redis
Cluster as well. `docs/store-layout.md` says the same for other languages.

| key | type | holds |
| --- | --- | --- |
| `{tag}` + 17 bytes | string | an entry; the bytes are `name(target)` |
| `{tag}meta` | hash | `epoch`, `partitions`, `identity`, `clearing`, `ready`, |
| | | `as_of`, `fed`, marks `p<N>` |
| `{tag}feed` | stream | what was applied, for replicas |

A name is a letter for the kind and the digest of the target. A denylist value is the
receipt `partition-offset` of the event that rejects, and the key expires with the
token. A subject value is `receipt version not_before status status_time time
forwarded_bumps`, separated by spaces. `fed` is the id of the feed's last record. A mark
`p<N>` is `next_offset source_offset as_of applied_offset rebuilt forwarded`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from revocation.claims.claim_picking import NAMED_KINDS
from revocation.claims.claims import Token
from revocation.entries import (
    DENYLIST_KINDS,
    NO_EXPIRY,
    Entry,
    Kind,
    Offset,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
)
from revocation.store.contract import Mark

DIGEST_BYTES: Final = 16
LETTERS: Final = {
    Kind.TOKEN: b"t",
    Kind.SESSION: b"s",
    Kind.USER: b"u",
    Kind.GRANT: b"g",
    Kind.CLIENT: b"c",
    Kind.TENANT: b"n",
    Kind.ISSUER: b"i",
    Kind.KEY: b"k",
    Kind.RESOURCE: b"r",
    Kind.CLAIMS: b"l",
}
"""What begins the name of a target of each kind."""

_REMEMBERED_IDS: Final = 4_096
_REMEMBERED_ISSUERS: Final = 64
_REMEMBERED_TOKENS: Final = 16_384
_REMEMBERED_KEYS: Final = 16 * _REMEMBERED_TOKENS
"""A token has half as many; with lists in its claims it may have thousands."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one region. `peppers`: the one that is written first."""

    prefix: str
    peppers: tuple[bytes, ...]

    @property
    def tag(self) -> bytes:
        """The hash tag that begins every key."""
        return b"{%b}" % self.prefix.encode()

    @property
    def meta(self) -> bytes:
        """The key of the region's state."""
        return self.tag + b"meta"

    @property
    def feed(self) -> bytes:
        """The key of the replicas' stream."""
        return self.tag + b"feed"

    def key(self, target: Target) -> bytes:
        """Return the key under which the target is written."""
        return self.tag + name(target, self.peppers[0])

    def written_keys(self, targets: Iterable[Target]) -> list[bytes]:
        """Return the keys under which the targets are written."""
        tag, pepper = self.tag, self.peppers[0]
        return [tag + name(target, pepper) for target in targets]

    def keys(self, targets: Sequence[Target]) -> list[bytes]:
        """Return every key under which the targets may be, all peppers in turn."""
        tag = self.tag
        return [
            tag + name(target, pepper) for pepper in self.peppers for target in targets
        ]


def name(target: Target, pepper: bytes) -> bytes:
    """Return the target's name in the store: 17 bytes that tell only its kind."""
    return LETTERS[target.kind] + digest(target, pepper)


def digest(target: Target, pepper: bytes) -> bytes:
    """Return the keyed BLAKE2b-128 of the target (RFC 7693 section 2.5)."""
    state = _keyed(pepper).copy()
    state.update(str(target).encode())
    return state.digest()


@lru_cache(maxsize=8)
def _keyed(pepper: bytes) -> blake2b:
    """Hash the pepper once: a copy costs a third less than a keyed start."""
    return blake2b(key=pepper[:64], digest_size=DIGEST_BYTES)


class Digests(dict[str, bytes]):
    """The digests of ids of one kind and issuer, by id; the latest are remembered.

    The same users, sessions and tokens are looked up again and again, and a digest
    costs ten times as much as remembering it.
    """

    def __init__(
        self, kind: Kind, issuer: str, pepper: bytes, *, limit: int, before: bytes = b""
    ) -> None:
        """Prepare; forgets all as soon as `limit` ids are remembered.

        `before` is put before each digest, for instance to make a key of it.
        """
        super().__init__()
        self.kind = kind
        self._state = _keyed(pepper).copy()
        self._state.update(str(Target(kind, issuer, "")).encode())
        self._limit = limit
        self._before = before

    def __missing__(self, id_: str) -> bytes:
        """Return the digest of a target whose id was not asked for lately."""
        state = self._state.copy()
        state.update(id_.encode())
        if len(self) >= self._limit:
            self.clear()
        made = self[id_] = self._before + state.digest()
        return made


TOLD_APART: Final = (*NAMED_KINDS, Kind.GRANT, Kind.RESOURCE, Kind.CLAIMS)
"""Every kind, in the order of a row of `IssuersDigests`."""
GRANTS: Final = TOLD_APART.index(Kind.GRANT)
"""Where grants are in a row of `IssuersDigests`."""
RESOURCES: Final = TOLD_APART.index(Kind.RESOURCE)
"""Where resources are."""
CLAIM_SETS: Final = TOLD_APART.index(Kind.CLAIMS)
"""Where the values of claim sets are."""


class IssuersDigests(dict[str, Sequence[Sequence[Digests]]]):
    """Digests of what a token may name, by issuer: a row for each pepper.

    A row is in the order of `TOLD_APART`: to be indexed, as a `Kind` is slow to hash.
    The latest issuers are remembered.
    """

    def __init__(self, peppers: Sequence[bytes], *, tag: bytes | None = None) -> None:
        """Prepare; with the `tag` of a layout, keys are made instead of digests."""
        super().__init__()
        self._peppers = peppers
        self._tag = tag

    def __missing__(self, issuer: str) -> Sequence[Sequence[Digests]]:
        """Return empty digests for an issuer that was not asked for lately."""
        if len(self) >= _REMEMBERED_ISSUERS:
            self.clear()
        tag = self._tag
        learned = self[issuer] = [
            [
                Digests(
                    *(kind, issuer, pepper),
                    limit=_REMEMBERED_IDS,
                    before=b"" if tag is None else tag + LETTERS[kind],
                )
                for kind in TOLD_APART
            ]
            for pepper in self._peppers
        ]
        return learned


class TokenKeys:
    """The keys under which entries about tokens may be; the latest are remembered."""

    def __init__(self, layout: Layout) -> None:
        """Prepare for the region of a layout."""
        self._known = IssuersDigests(layout.peppers, tag=layout.tag)
        self._latest: dict[_Named, tuple[bytes, ...]] = {}
        self._room = _REMEMBERED_KEYS

    def of(self, token: Token) -> tuple[bytes, ...]:
        """Return what `Layout.keys(token.targets())` would, in the same order."""
        named = token[:3]
        keys = self._latest.get(named)
        if keys is None:
            keys = tuple(self._make(token))
            self._room -= len(keys)
            if len(self._latest) >= _REMEMBERED_TOKENS or self._room < 0:
                self._latest.clear()
                self._room = _REMEMBERED_KEYS - len(keys)
            self._latest[named] = keys
        return keys

    def _make(self, token: Token) -> list[bytes]:
        more = [(TOLD_APART.index(kind), name) for kind, name in token.more]
        more += [(GRANTS, name) for name in token.grants()]
        keys: list[bytes] = []
        for row in self._known[token.issuer]:
            named = zip(row, token.names, strict=False)
            keys += [ids[name] for ids, name in named if name]
            keys += [row[at][name] for at, name in more]
        return keys


_Named = tuple[str, tuple[str, ...], tuple[tuple[Kind, str], ...]]


def encode_value(entry: Entry) -> bytes:
    """Return the value under the entry's key."""
    receipt = entry.source.receipt
    if entry.target.kind in DENYLIST_KINDS:
        return receipt.encode()
    return (
        f"{receipt} {entry.version} {entry.not_before} {entry.status} "
        f"{entry.status_time} {entry.source.time} {entry.forwarded_bumps}"
    ).encode()


def decode_value(target: Target, value: bytes, expires_at: int) -> Entry:
    """Return the entry that a value stands for.

    Args:
        target: what was looked up.
        value: what lies under its key.
        expires_at: when the key expires, in ms; below 0 means never.
    """
    receipt, *rest = value.decode().split(" ")
    partition, offset = map(int, receipt.split("-"))
    if target.kind in DENYLIST_KINDS:
        source = Position(partition, Offset(offset), UnixMs(0))
        # That the key exists is the whole answer, even if somebody made it for ever.
        until = expires_at if expires_at >= 0 else NO_EXPIRY
        return Entry(target, source, expires_at=UnixMs(until))
    version, not_before, status, status_time, time, forwarded = rest
    return Entry(
        target,
        Position(partition, Offset(offset), UnixMs(int(time))),
        version=Version(int(version)),
        not_before=UnixMs(int(not_before)),
        status=Status(status),
        status_time=UnixMs(int(status_time)),
        forwarded_bumps=int(forwarded),
    )


def encode_mark(mark: Mark) -> bytes:
    """Return the value of a partition's mark."""
    return b"%d %d %d %d %d %d" % mark


def decode_marks(meta: Mapping[bytes, bytes]) -> dict[int, Mark]:
    """Return the marks in a region's state."""
    marks = {}
    for field, value in meta.items():
        if field.startswith(b"p") and field[1:].isdigit():
            following, source, as_of, applied, rebuilt, forwarded = map(
                int, value.split()
            )
            marks[int(field[1:])] = Mark(
                Offset(following),
                Offset(source),
                UnixMs(as_of),
                Offset(applied),
                bool(rebuilt),
                Offset(forwarded),
            )
    return marks
