"""Guesses the presets that fit an issuer or its tokens.

The issuer's name is the better evidence: one that has a preset's shape, then one at the
same host, then one with the same path elsewhere. If none matches, the claims decide.
"""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, Final
from urllib.parse import urlsplit

from revocation.claims.claim_mapping import ClaimMapping
from revocation.claims.claim_names import find_claim
from revocation.jwt.presets import Preset, presets

_MIN_LABELS: Final = 2
_MIN_CLAIMS: Final = 2
_RESERVED: Final = (".example", "example.com", "example.net", "example.org")
"""Hosts that are nobody's (RFC 2606): those of providers that people run themselves."""

_CUSTOMER: Final = "example"
_USUAL: Final = frozenset({"scope", "aud", *ClaimMapping().names.members})


def likely(issuer: str, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the presets that fit best; none if nothing fits."""
    return (
        _by_shape(issuer)
        or _best({name: _host(issuer, each) for name, each in presets().items()})
        or _best({name: _path(issuer, each) for name, each in presets().items()})
        or _best({name: _claims(claims, each) for name, each in presets().items()})
    )


def _by_shape(issuer: str) -> tuple[str, ...]:
    return tuple(name for name, each in presets().items() if each.has_shape(issuer))


def _best(scores: Mapping[str, int]) -> tuple[str, ...]:
    most = max(scores.values())
    return tuple(name for name, score in scores.items() if most and score == most)


def _host(issuer: str, preset: Preset) -> int:
    """Return how many labels of the host are the same, from the end.

    The first label of the preset's host is the customer's, `example`, or one that all
    hosts of the provider have.
    """
    ours, theirs = (_split(each)[0].split(".") for each in (issuer, preset.issuer))
    if ".".join(theirs).endswith(_RESERVED) or theirs[0] not in (ours[0], _CUSTOMER):
        return 0
    pairs = zip(reversed(ours), reversed(theirs), strict=False)
    count = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return count if count >= _MIN_LABELS else 0


def _path(issuer: str, preset: Preset) -> int:
    """Return whether the path begins with the same word."""
    ours, theirs = _split(issuer)[1], _split(preset.issuer)[1]
    return int(bool(ours) and ours == theirs)


def _claims(claims: Mapping[str, Any], preset: Preset) -> int:
    """Return how many claims a token has that are the preset's own."""
    own = {*_named(preset)} - _USUAL
    count = sum(isinstance(find_claim(claims, name), str | list) for name in own)
    return count if count >= _MIN_CLAIMS else 0


def _named(preset: Preset) -> Iterator[str]:
    for setting, value in preset.settings.items():
        if setting.endswith("_claim"):
            yield from filter(None, [value])
        elif setting.endswith("_claims"):
            yield from value


def _split(issuer: str) -> tuple[str, str]:
    """Return the host and the first word of the path; empty where there is none."""
    try:
        parts = urlsplit(issuer)
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    return host, parts.path.strip("/").split("/")[0]
