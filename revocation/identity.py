"""The settings that a region's store was written with, for readers to compare. Pure.

A store of digests cannot show that it is read the wrong way: a reader with another
pepper finds nothing, which looks like "not revoked". So each epoch of a region records,
without secrets, the settings that give its entries their meaning. Projectors write an
`Identity` when they begin an epoch and refuse to work on one that is not theirs;
verifiers compare it with their own settings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from revocation.claims.claim_sets import ClaimSet, describe
from revocation.entries import UnixMs, longest_ms
from revocation.errors import DisagreementError

LAYOUT_VERSION: Final = 3
"""Of keys, values, marks and functions; raised by any change visible to readers."""

_FINGERPRINT_BYTES: Final = 8
_NEVER: Final = UnixMs(0)
_FINGERPRINTED: Final = b"revocation pepper"


class Lifetimes(NamedTuple):
    """Lifetimes in seconds, named like the settings."""

    max_token_lifetime_seconds: int
    max_session_seconds: int
    leeway_seconds: int
    clock_allowance_seconds: int
    refresh_period_seconds: int

    @property
    def window_ms(self) -> UnixMs:
        """How long an entry may apply, and a standing one may go unrefreshed."""
        token = longest_ms(self.max_token_lifetime_seconds)
        longest = max(token, self.max_session_seconds * 1_000)
        # Twice: an issuer's clock may be ahead by as much as a verifier's is behind.
        grace = 2 * (self.leeway_seconds + self.clock_allowance_seconds)
        return UnixMs(longest + (grace + self.refresh_period_seconds) * 1_000)


_BOUNDS: Final = (
    "max_token_lifetime_seconds",
    "max_session_seconds",
    "leeway_seconds",
    "clock_allowance_seconds",
)
"""The lifetimes that determine how long a revocation must be kept."""

_REFRESH: Final = "refresh_period_seconds"
_CLAIMS: Final = "revocable_claims"


def fingerprint(pepper: bytes) -> str:
    """Return a digest that identifies a pepper without revealing it."""
    keyed = blake2b(_FINGERPRINTED, key=pepper[:64], digest_size=_FINGERPRINT_BYTES)
    return keyed.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The settings with which an epoch of a region began.

    `cluster_id`: of the Kafka cluster whose log the region follows; None if the broker
    reports none. `peppers`: fingerprints of those that entries may be keyed with; new
    entries use the first. `rotated_at`: when that became the first, in ms.
    `revocable_claims`: the claim sets that every reader must look for.
    """

    region: str
    cluster_id: str | None
    topic_prefix: str
    partitions: int
    peppers: tuple[str, ...]
    lifetimes: Lifetimes
    rotated_at: UnixMs = _NEVER
    layout: int = LAYOUT_VERSION
    revocable_claims: tuple[ClaimSet, ...] = ()


class Expectation(NamedTuple):
    """What a reader requires of a region."""

    region: str
    peppers: Sequence[str]
    lifetimes: Lifetimes
    revocable_claims: tuple[ClaimSet, ...] = ()

    def require(self, identity: Identity | None) -> None:
        """Accept a region that this reader can read.

        A reader whose lifetimes are shorter than the region's is merely stricter than
        needed, as happens during a planned change. So is one with more claim sets.

        Raises:
            DisagreementError: names each setting, the region's value and ours.
        """
        if identity is None:
            raise DisagreementError(
                f"the store of {self.region} has no settings that this release can "
                "read; run the same release in the whole region"
            )
        found = list(self._find_differences(identity))
        if found:
            raise _disagreement(self.region, found)

    def _find_differences(self, identity: Identity) -> Iterable[str]:
        if identity.layout != LAYOUT_VERSION:
            yield (
                f"the store's layout is version {identity.layout} and this process "
                f"reads version {LAYOUT_VERSION}; run the same release in the region"
            )
            return
        if identity.region != self.region:
            yield _difference("region", identity.region, self.region)
        missing = [each for each in identity.peppers if each not in self.peppers]
        if missing:
            yield _pepper_difference(identity.peppers, self.peppers)
        for name in _BOUNDS:
            theirs = getattr(identity.lifetimes, name)
            ours = getattr(self.lifetimes, name)
            if ours > theirs:
                yield _difference(name, theirs, ours, "at most the region's is safe")
        if not set(identity.revocable_claims) <= set(self.revocable_claims):
            yield _difference(
                _CLAIMS,
                describe(identity.revocable_claims),
                describe(self.revocable_claims),
                "all of the region's are needed",
            )


class Stated(NamedTuple):
    """The settings that an authority states in its pulses."""

    lifetimes: Mapping[str, int]
    revocable_claims: tuple[ClaimSet, ...] = ()


def require_authority(stated: Stated, own: Identity) -> None:
    """Accept an authority whose log holds what a projector's region needs.

    Its lifetimes may be longer, as during a planned change. It must repeat standing
    entries at least as often as the projector relies on. The claim sets that it accepts
    must all be stated by the region, or verifiers need not look for them.

    Args:
        stated: what the authority states.
        own: what the projector's region states.

    Raises:
        DisagreementError: names each setting, the authority's value and ours.
    """
    theirs, ours = stated.lifetimes, own.lifetimes._asdict()
    limits = {name: (theirs.get(name, 0), ours[name]) for name in _BOUNDS}
    wrong: dict[str, tuple[object, object]]
    wrong = {name: both for name, both in limits.items() if both[0] < both[1]}
    refresh = theirs.get(_REFRESH, 0), ours[_REFRESH]
    if refresh[0] > refresh[1]:
        wrong[_REFRESH] = refresh
    accepted, listed = stated.revocable_claims, own.revocable_claims
    if not set(accepted) <= set(listed):
        wrong[_CLAIMS] = describe(accepted), describe(listed)
    if wrong:
        found = "; ".join(
            f"{name} is {there} there and {here} here (REVOCATION_{name.upper()})"
            for name, (there, here) in wrong.items()
        )
        raise DisagreementError(
            f"the authority and the projector of {own.region} disagree: {found}"
        )


class Comparison(NamedTuple):
    """How a region's identity differs from a projector's settings.

    `foreign`: the store belongs to another region or installation. `changed`: entries
    were written with other settings, so a rebuild is needed. `outdated`: an older
    release wrote them; rebuild without asking. `adopted`: the identity to write if none
    of these holds.
    """

    foreign: tuple[str, ...]
    changed: tuple[str, ...]
    outdated: bool
    adopted: Identity

    def refuse_foreign(self) -> None:
        """Refuse to write to the store of another region or installation.

        Raises:
            DisagreementError: names each setting, the region's value and ours.
        """
        if self.foreign:
            region = self.adopted.region
            raise _disagreement(
                region,
                self.foreign,
                "; give each its own store or store_prefix, or take this one over with "
                f"`revocation rebuild {region} --take-over`",
            )

    def refuse_changed(self) -> None:
        """Refuse to write among entries written with other settings.

        Raises:
            DisagreementError: names each setting, the region's value and ours.
        """
        if self.changed:
            region = self.adopted.region
            raise _disagreement(
                region,
                self.changed,
                f"; if the values here are right, run `revocation rebuild {region}` "
                "with them: it empties the store and reads the log again, as "
                "REVOCATION_ON_CHANGED_SETTINGS=rebuild does at each start",
            )


def compare(region: Identity | None, own: Identity, now: UnixMs) -> Comparison:
    """Compare a region's identity with the one that a projector would give it.

    A rotation of the pepper, a longer refresh period, further claim sets and a cluster
    id unknown so far are adopted in place. A claim set that this projector lacks stays
    until a rebuild: another projector may write entries of it. The previous pepper is
    needed until a rebuild: nothing else shows that every entry uses the new one.

    Args:
        region: the identity in the store; None if there is none.
        own: the identity that follows from this projector's settings.
        now: the time to record for a rotation that is adopted.
    """
    if region is None:
        return Comparison((), (), outdated=True, adopted=own)
    foreign = [
        _difference(name, getattr(region, name), getattr(own, name))
        for name in ("region", "topic_prefix", "partitions")
        if getattr(region, name) != getattr(own, name)
    ]
    if region.cluster_id and own.cluster_id and region.cluster_id != own.cluster_id:
        foreign.append(
            f"the region follows the Kafka cluster {region.cluster_id}, and "
            f"bootstrap_servers lead to {own.cluster_id}"
        )
    if region.layout > own.layout:
        foreign.append(
            f"the store's layout is version {region.layout} and this projector writes "
            f"version {own.layout}; upgrade it"
        )
    changed = [
        _difference(name, getattr(region.lifetimes, name), getattr(own.lifetimes, name))
        for name in _BOUNDS
        if getattr(region.lifetimes, name) != getattr(own.lifetimes, name)
    ]
    rotated = _rotate(region, own, now)
    if rotated is None:
        changed.append(_pepper_difference(region.peppers, own.peppers))
        rotated = region
    # The longer one, or two projectors would overwrite each other's for ever.
    refresh = max(each.lifetimes.refresh_period_seconds for each in (region, own))
    adopted = replace(
        rotated,
        region=own.region,
        cluster_id=own.cluster_id or region.cluster_id,
        lifetimes=region.lifetimes._replace(refresh_period_seconds=refresh),
        revocable_claims=tuple(
            sorted({*region.revocable_claims, *own.revocable_claims})
        ),
    )
    outdated = region.layout < own.layout
    return Comparison(tuple(foreign), tuple(changed), outdated, adopted)


def _rotate(region: Identity, own: Identity, now: UnixMs) -> Identity | None:
    """Return the region with the peppers that readers need from now on.

    None if the region's entries cannot be read with this projector's peppers.
    """
    written, *others = region.peppers
    if own.peppers[0] == written:
        return region
    if own.peppers[0] in others:
        return region  # Not restarted yet: what it writes can still be read.
    if written in own.peppers and not others:
        peppers = (own.peppers[0], written)
        return replace(region, peppers=peppers, rotated_at=now)
    return None


def encode_identity(identity: Identity) -> bytes:
    """Encode as a JSON object, for the region's state."""
    document = asdict(identity) | {"lifetimes": identity.lifetimes._asdict()}
    return orjson.dumps(document)


def decode_identity(value: bytes) -> Identity | None:
    """Decode what `encode_identity` wrote; None if the form is unknown here."""
    try:
        document = orjson.loads(value)
        lifetimes = document["lifetimes"]
        # Layouts below version 3 had none.
        document = {_CLAIMS: [], **document}
        # A later release may have more members; its layout version shows that.
        known = {each.name: document[each.name] for each in fields(Identity)}
        known["peppers"] = tuple(document["peppers"])
        known[_CLAIMS] = tuple(map(tuple, document[_CLAIMS]))
        named = {name: lifetimes[name] for name in Lifetimes._fields}
        return Identity(**{**known, "lifetimes": Lifetimes(**named)})
    except (ValueError, TypeError, KeyError):
        return None


def _difference(setting: str, theirs: object, ours: object, hint: str = "") -> str:
    values = f"{setting} is {theirs} in the region and {ours} here"
    return f"{values} (REVOCATION_{setting.upper()}{', ' if hint else ''}{hint})"


def _pepper_difference(theirs: Iterable[str], ours: Iterable[str]) -> str:
    return (
        f"the region's entries use the pepper {' and '.join(theirs)}, this process has "
        f"{' and '.join(ours)} (fingerprints; pepper_file and previous_pepper_file)"
    )


def _disagreement(
    region: str, differences: Iterable[str], remedy: str = ""
) -> DisagreementError:
    return DisagreementError(
        f"the region {region} and this process disagree, so revocations would be "
        f"missed: {'; '.join(differences)}{remedy}"
    )
