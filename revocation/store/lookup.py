"""The call that answers checks: its bytes, and what its reply means.

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
"""What one call may look up; Lua's stack holds fewer than 8,000 values."""

Hit = tuple[bytes, int] | None
"""What lies under a key: the value, and when it expires in ms, -1 for never."""

NOT_READY: Final = Freshness(ready=False, as_of=UnixMs(0))
"""How fresh a region is that is cold, or has no functions."""


class LookUp:
    """Makes the calls for one region, and reads their replies.

    Each call looks the user canary up as well, under every pepper: whoever does not
    find it would not find a revoked user either.
    """

    def __init__(self, layout: Layout) -> None:
        """Prepare, with the keys of the region."""
        self._meta = layout.meta
        self._packed_meta = b"$%d\r\n%b\r\n" % (len(layout.meta), layout.meta)
        self._canaries = layout.keys([canary.TARGETS[Kind.USER]])

    def command(self, keys: Sequence[bytes]) -> tuple[bytes | str | int, ...]:
        """Return the call for some keys.

        Raises:
            ValueError: more than `MAX_KEYS_PER_CALL`.
        """
        check_count(keys)
        keys = (*keys, *self._canaries)
        return ("FCALL_RO", "revocation_find", 1 + len(keys), self._meta, *keys)

    def packed(self, keys: Sequence[bytes]) -> bytes:
        """Return the same call as it is sent, for a tenth of the time.

        Args:
            keys: those of a `Layout`, which are equally long.
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
        """Return how fresh the region is, and what lies under the keys of a call.

        Nothing lies under any key of a cold store. One without its canary is not ready.
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
    """Raise a ValueError if there are more keys than fit into a call."""
    if len(keys) > MAX_KEYS_PER_CALL:
        raise ValueError(
            f"{len(keys)} keys in one call, at most {MAX_KEYS_PER_CALL} fit; "
            "ask for fewer targets"
        )


def read_hits(targets: Sequence[Target], hits: Sequence[Hit]) -> Found:
    """Return what was found, for the keys of some targets under every pepper."""
    found: dict[Target, Entry] = {}
    for target, hit in zip(cycle(targets), hits, strict=False):
        if hit is not None:
            entry = decode_value(target, *hit)
            known = found.get(target)
            found[target] = entry if known is None else merge(known, entry)
    return found
