"""How a region's state lies in Redis: keys, values, and nothing that names a person.

All keys of a region carry one hash tag, so that one call can touch them all in a Redis
Cluster as well. `docs/store-layout.md` says the same for other languages.

| key | type | holds |
| --- | --- | --- |
| `{tag}` + 16 bytes | string | an entry; the bytes are `digest(target)` |
| `{tag}meta` | hash | `epoch`, `partitions`, `ready`, `as_of`, a mark `p<N>` each |
| `{tag}feed` | stream | what was applied, for replicas |

A denylist value is the receipt `partition-offset` of the event that rejects, and the
key expires with the token. A subject value is `receipt version not_before status
status_offset time`, separated by spaces. A mark `p<N>` is `next_offset source_offset
as_of applied_offset rebuilt`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from revocation.entries import (
    DENYLIST_KINDS,
    Entry,
    Offset,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
)
from revocation.store import Mark

DIGEST_BYTES: Final = 16
_FOR_EVER: Final = 2**53 - 1


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
        return self.tag + digest(target, self.peppers[0])

    def written_keys(self, targets: Iterable[Target]) -> list[bytes]:
        """Return the keys under which the targets are written."""
        tag, pepper = self.tag, self.peppers[0]
        return [tag + digest(target, pepper) for target in targets]

    def keys(self, targets: Sequence[Target]) -> list[bytes]:
        """Return every key under which the targets may be, all peppers in turn."""
        tag = self.tag
        return [
            tag + digest(target, pepper)
            for pepper in self.peppers
            for target in targets
        ]


def digest(target: Target, pepper: bytes) -> bytes:
    """Return the keyed BLAKE2b-128 of the target (RFC 7693 section 2.5)."""
    state = _keyed(pepper).copy()
    state.update(str(target).encode())
    return state.digest()


@lru_cache(maxsize=8)
def _keyed(pepper: bytes) -> blake2b:
    """Hash the pepper once: a copy costs a third less than a keyed start."""
    return blake2b(key=pepper[:64], digest_size=DIGEST_BYTES)


def encode_value(entry: Entry) -> bytes:
    """Return the value under the entry's key."""
    receipt = entry.source.receipt
    if entry.target.kind in DENYLIST_KINDS:
        return receipt.encode()
    return (
        f"{receipt} {entry.version} {entry.not_before} {entry.status} "
        f"{entry.status_offset} {entry.source.time}"
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
        until = expires_at if expires_at >= 0 else _FOR_EVER
        return Entry(target, source, expires_at=UnixMs(until))
    version, not_before, status, status_offset, time = rest
    return Entry(
        target,
        Position(partition, Offset(offset), UnixMs(int(time))),
        version=Version(int(version)),
        not_before=UnixMs(int(not_before)),
        status=Status(status),
        status_offset=Offset(int(status_offset)),
    )


def encode_mark(mark: Mark) -> bytes:
    """Return the value of a partition's mark."""
    return b"%d %d %d %d %d" % mark


def decode_marks(meta: Mapping[bytes, bytes]) -> dict[int, Mark]:
    """Return the marks in a region's state."""
    marks = {}
    for name, value in meta.items():
        if name.startswith(b"p") and name[1:].isdigit():
            following, source, as_of, applied, rebuilt = map(int, value.split())
            marks[int(name[1:])] = Mark(
                Offset(following),
                Offset(source),
                UnixMs(as_of),
                Offset(applied),
                bool(rebuilt),
            )
    return marks
