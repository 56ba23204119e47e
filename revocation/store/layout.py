"""The layout of a region's state in Redis: keys and values, none naming a person.

All keys of a region share one hash tag, so that one call can touch them all in a Redis
Cluster too. `docs/store-layout.md` specifies the same for other languages.

| key | type | holds |
| --- | --- | --- |
| `{tag}` + 17 bytes | string | an entry; the bytes are `name(target)` |
| `{tag}meta` | hash | `epoch`, `partitions`, `identity`, `clearing`, `ready`, |
| | | `as_of`, `fed`, marks `p<N>` |
| `{tag}feed` | stream | what was applied, for replicas |

A name is the kind's letter followed by the digest of the target. A denylist value is
the receipt `partition-offset` of the event that rejects, and the key expires with the
token. A subject value is `receipt version not_before status status_time time
forwarded_bumps`, separated by spaces. `fed` is the ID of the feed's last record. A mark
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
"""The letter that begins the name of a target, by kind."""

_CACHED_IDS: Final = 4_096
_CACHED_ISSUERS: Final = 64
_CACHED_TOKENS: Final = 16_384
_CACHED_KEYS: Final = 16 * _CACHED_TOKENS
"""A token usually has 8 keys; with lists in its claims it may have thousands."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one region. `peppers`: the first one is used for writing."""

    prefix: str
    peppers: tuple[bytes, ...]

    @property
    def tag(self) -> bytes:
        """The hash tag with which every key begins."""
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
        """Return every key under which the targets may be, one pepper after another."""
        tag = self.tag
        return [
            tag + name(target, pepper) for pepper in self.peppers for target in targets
        ]


def name(target: Target, pepper: bytes) -> bytes:
    """Return the target's name in the store: 17 bytes that reveal only its kind."""
    return LETTERS[target.kind] + digest(target, pepper)


def digest(target: Target, pepper: bytes) -> bytes:
    """Return the keyed BLAKE2b-128 of the target (RFC 7693 section 2.5)."""
    state = _keyed(pepper).copy()
    state.update(str(target).encode())
    return state.digest()


@lru_cache(maxsize=8)
def _keyed(pepper: bytes) -> blake2b:
    """Cache the keyed state: copying it costs a third less than keying anew."""
    return blake2b(key=pepper[:64], digest_size=DIGEST_BYTES)


class Digests(dict[str, bytes]):
    """A cache of digests, by id, for one kind and issuer.

    The same users, sessions and tokens are looked up again and again, and a digest
    costs ten times as much as a cache hit.
    """

    def __init__(
        self, kind: Kind, issuer: str, pepper: bytes, *, limit: int, before: bytes = b""
    ) -> None:
        """Prepare; the cache is emptied when it has reached `limit` ids.

        `before` is prepended to each digest, for instance to make a key of it.
        """
        super().__init__()
        self.kind = kind
        self._state = _keyed(pepper).copy()
        self._state.update(str(Target(kind, issuer, "")).encode())
        self._limit = limit
        self._before = before

    def __missing__(self, id_: str) -> bytes:
        """Compute and cache the digest of a target."""
        state = self._state.copy()
        state.update(id_.encode())
        if len(self) >= self._limit:
            self.clear()
        made = self[id_] = self._before + state.digest()
        return made


INDEXED_KINDS: Final = (*NAMED_KINDS, Kind.GRANT, Kind.RESOURCE, Kind.CLAIMS)
"""Every kind, in the order of a row of `IssuersDigests`."""
GRANTS: Final = INDEXED_KINDS.index(Kind.GRANT)
"""The index of grants in a row of `IssuersDigests`."""
RESOURCES: Final = INDEXED_KINDS.index(Kind.RESOURCE)
"""The index of resources."""
CLAIM_SETS: Final = INDEXED_KINDS.index(Kind.CLAIMS)
"""The index of the values of claim sets."""


class IssuersDigests(dict[str, Sequence[Sequence[Digests]]]):
    """A cache of digests of what tokens name, by issuer: a row for each pepper.

    A row is in the order of `INDEXED_KINDS` and accessed by index, as a `Kind` is slow
    to hash.
    """

    def __init__(self, peppers: Sequence[bytes], *, tag: bytes | None = None) -> None:
        """Prepare; with the `tag` of a layout it holds keys instead of digests."""
        super().__init__()
        self._peppers = peppers
        self._tag = tag

    def __missing__(self, issuer: str) -> Sequence[Sequence[Digests]]:
        """Return empty caches for an issuer."""
        if len(self) >= _CACHED_ISSUERS:
            self.clear()
        tag = self._tag
        learned = self[issuer] = [
            [
                Digests(
                    *(kind, issuer, pepper),
                    limit=_CACHED_IDS,
                    before=b"" if tag is None else tag + LETTERS[kind],
                )
                for kind in INDEXED_KINDS
            ]
            for pepper in self._peppers
        ]
        return learned


class TokenKeys:
    """A cache of the keys under which entries about tokens may be."""

    def __init__(self, layout: Layout) -> None:
        """Prepare for one region."""
        self._known = IssuersDigests(layout.peppers, tag=layout.tag)
        self._latest: dict[_Named, tuple[bytes, ...]] = {}
        self._room = _CACHED_KEYS

    def of(self, token: Token) -> tuple[bytes, ...]:
        """Return what `Layout.keys(token.targets())` would, in the same order."""
        named = token[:3]
        keys = self._latest.get(named)
        if keys is None:
            keys = tuple(self._make(token))
            self._room -= len(keys)
            if len(self._latest) >= _CACHED_TOKENS or self._room < 0:
                self._latest.clear()
                self._room = _CACHED_KEYS - len(keys)
            self._latest[named] = keys
        return keys

    def _make(self, token: Token) -> list[bytes]:
        more = [(INDEXED_KINDS.index(kind), name) for kind, name in token.more]
        more += [(GRANTS, name) for name in token.grants()]
        keys: list[bytes] = []
        for row in self._known[token.issuer]:
            named = zip(row, token.names, strict=False)
            keys += [ids[name] for ids, name in named if name]
            keys += [row[at][name] for at, name in more]
        return keys


_Named = tuple[str, tuple[str, ...], tuple[tuple[Kind, str], ...]]


def encode_value(entry: Entry) -> bytes:
    """Return the value to store under the entry's key."""
    receipt = entry.source.receipt
    if entry.target.kind in DENYLIST_KINDS:
        return receipt.encode()
    return (
        f"{receipt} {entry.version} {entry.not_before} {entry.status} "
        f"{entry.status_time} {entry.source.time} {entry.forwarded_bumps}"
    ).encode()


def decode_value(target: Target, value: bytes, expires_at: int) -> Entry:
    """Return the entry that a value encodes.

    Args:
        target: what was looked up.
        value: what is stored under its key.
        expires_at: when the key expires, in ms; below 0 means never.
    """
    receipt, *rest = value.decode().split(" ")
    partition, offset = map(int, receipt.split("-"))
    if target.kind in DENYLIST_KINDS:
        source = Position(partition, Offset(offset), UnixMs(0))
        # The key's existence is the whole answer, even if someone removed its expiry.
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
