"""The call that answers checks: its encoding, and how to read its reply.

`docs/store-layout.md` describes it for other languages.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final

from revocation.decision import Found, Freshness
from revocation.entries import Entry, Kind, Target, UnixMs, merge
from revocation.store import canary
from revocation.store.layout import Layout, decode_value

MAX_KEYS_PER_CALL: Final = 4_000
"""The limit of one call; Lua's stack holds fewer than 8,000 values."""

Hit = tuple[bytes, int] | None
"""A key's value and its expiry time in ms, -1 for never; None without one."""

NOT_READY: Final = Freshness(ready=False, as_of=UnixMs(0))
"""The freshness of a region that is cold or has no functions."""


class LookUp:
    """Encodes the calls for one region, and reads their replies.

    Each call also looks up the user canary, under every pepper: a reader that does not
    find it would not find a revoked user either.
    """

    def __init__(self, layout: Layout) -> None:
        """Prepare for the region of a layout."""
        self._meta = layout.meta
        self._packed_meta = b"$%d\r\n%b\r\n" % (len(layout.meta), layout.meta)
        self._canaries = layout.keys([canary.TARGETS[Kind.USER]])

    def command(self, keys: Sequence[bytes]) -> tuple[bytes | str | int, ...]:
        """Return the command that looks up some keys.

        Raises:
            ValueError: more than `MAX_KEYS_PER_CALL`.
        """
        check_count(keys)
        keys = (*keys, *self._canaries)
        return ("FCALL_RO", "revocation_find", 1 + len(keys), self._meta, *keys)

    def packed(self, keys: Sequence[bytes]) -> bytes:
        """Return the command in RESP, encoded in a tenth of a client's time.

        Args:
            keys: of a `Layout`, all of the same length.
        """
        keys = (*keys, *self._canaries)
        count = b"%d" % (1 + len(keys))
        head = b"*%d\r\n$8\r\nFCALL_RO\r\n$15\r\nrevocation_find\r\n$%d\r\n%b\r\n%b" % (
            *(4 + len(keys), len(count), count),
            self._packed_meta,
        )
        before = b"$%d\r\n" % len(keys[0])
        return b"".join((head, before, (b"\r\n" + before).join(keys), b"\r\n"))

    def read(self, reply: Sequence[Any]) -> tuple[Freshness, Sequence[Hit]]:
        """Return the region's freshness, and what lies under the keys of a call.

        A cold store has no hits. A store without its canary is not ready.
        """
        epoch, ready, as_of, *hits = reply
        if epoch is None:
            return NOT_READY, ()
        canaries = hits[-len(self._canaries) :]
        del hits[-len(self._canaries) :]
        receipt = canary.receipt(epoch.decode())
        sees = any(hit and hit[0].split(b" ", 1)[0] == receipt for hit in canaries)
        return Freshness(sees and ready == b"1", UnixMs(int(as_of))), hits


def check_count(keys: Sequence[bytes]) -> None:
    """Raise a ValueError if there are too many keys for one call."""
    if len(keys) > MAX_KEYS_PER_CALL:
        raise ValueError(
            f"{len(keys)} keys do not fit in one call; look up fewer targets, with at "
            f"most {MAX_KEYS_PER_CALL} keys"
        )


def read_hits(targets: Sequence[Target], hits: Sequence[Hit]) -> Found:
    """Return the entries found, given the hits for `Layout.keys(targets)`."""
    found: dict[Target, Entry] = {}
    for target, hit in zip(cycle(targets), hits, strict=False):
        if hit is not None:
            entry = decode_value(target, *hit)
            known = found.get(target)
            found[target] = entry if known is None else merge(known, entry)
    return found
