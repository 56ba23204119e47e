"""Fetches the metadata of an issuer: OpenID Connect Discovery and RFC 8414.

Needs the extra `jwt`. Metadata that does not name exactly the requested issuer must not
be used (RFC 8414 section 3.3): it could be forged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from revocation.jwt.compact import read_json
from revocation.jwt.fetch import read_url
from revocation.jwt.findings import shown
from revocation.jwt.key_source import Pace
from revocation.jwt.keys import Flaw, read_key_set
from revocation.jwt.trust import Algorithm, TrustedIssuer, require_safe

_OPENID: Final = "/.well-known/openid-configuration"
_OAUTH: Final = "/.well-known/oauth-authorization-server"
_PLACE: Final = re.compile(r"\{[A-Za-z_]+\}")
_PUBLIC: Final = tuple(each for each in Algorithm if not each.symmetric)
_OF_RSA: Final = tuple(each for each in _PUBLIC if each.value[0] in "RP")
_BEFORE_AND_AFTER: Final = 2
_IN_PATH: Final = re.compile(r"https?://[^/]+/")


class Metadata(NamedTuple):
    """The metadata of an issuer.

    `issuer`: as requested, or a template with one placeholder in braces if the metadata
    is shared by many. `algorithms`: those that it claims to sign with; unchecked.
    """

    issuer: str
    jwks_uri: str
    algorithms: tuple[str, ...]
    source: str

    @property
    def is_template(self) -> bool:
        """Whether it stands for the issuers of many tenants."""
        return "{" in self.issuer


class Algorithms(NamedTuple):
    """The algorithms of a key set's keys.

    `guessed`: assumed for keys that have no `alg` and could serve several. `left_out`:
    how many keys verifiers then ignore, and why.
    """

    names: tuple[Algorithm, ...]
    guessed: Algorithm | None
    left_out: Mapping[Flaw, int]


def issuer_of(url: str, *, http: bool) -> str:
    """Return the issuer for a URL, which may be that of its metadata.

    Raises:
        ValueError: no metadata can be requested there.
    """
    require_safe(url, "the URL", http=http)
    parts = urlsplit(url)
    if "?" in url:
        raise ValueError("an issuer has no query (RFC 8414 section 2)")
    if parts.path.startswith(_OAUTH):
        return parts._replace(path=parts.path.removeprefix(_OAUTH)).geturl()
    return url.removesuffix(_OPENID)


def places(issuer: str) -> tuple[str, str]:
    """Return the URLs at which an issuer's metadata may be.

    OpenID Connect appends the well-known path to the issuer's, RFC 8414 section 3.1
    inserts it before; both drop a trailing slash.
    """
    parts = urlsplit(issuer)
    path = parts.path.removesuffix("/")
    found = (f"{path}{_OPENID}", f"{_OAUTH}{path}")
    openid, oauth = (parts._replace(path=each).geturl() for each in found)
    return openid, oauth


async def discover(issuer: str, pace: Pace, *, private: bool) -> Metadata | list[str]:
    """Return an issuer's metadata, or why it cannot be used, a sentence per URL.

    Args:
        issuer: the exact `iss` of its tokens.
        pace: the limits of time and size.
        private: whether it may be in a private network, and use plain http.
    """
    refused = []
    for url in places(issuer):
        raw = await _fetch(url, pace, private=private)
        found = raw if isinstance(raw, str) else _read(raw, issuer, url, http=private)
        if isinstance(found, Metadata):
            return found
        refused.append(f"{url}: {found}")
    return refused


def _read(raw: bytes, issuer: str, url: str, *, http: bool) -> Metadata | str:
    document = _read_document(raw)
    if isinstance(document, str):
        return document
    named, jwks_uri = document.get("issuer"), document.get("jwks_uri")
    if not isinstance(named, str):
        return "the metadata names no `issuer`"
    if named != issuer and not _is_template_of(named, issuer):
        return _differs(named, issuer)
    if not isinstance(jwks_uri, str):
        return "the metadata has no `jwks_uri`, so its keys cannot be found"
    try:
        require_safe(jwks_uri, "its `jwks_uri`", http=http)
    except ValueError as error:
        return str(error)
    return Metadata(named, jwks_uri, tuple(_algorithms(document)), url)


def _read_document(raw: bytes) -> Mapping[str, Any] | str:
    try:
        document = read_json(raw)
    except ValueError:
        return "the answer is not strict JSON"
    is_object = isinstance(document, dict)
    return document if is_object else "the answer is not a JSON object"


def _is_template_of(template: str, issuer: str) -> bool:
    """Whether they differ only by a placeholder in one segment of the path."""
    pieces = _PLACE.split(template)
    if len(pieces) != _BEFORE_AND_AFTER or not _IN_PATH.match(pieces[0]):
        return False
    return re.fullmatch("[^/]+".join(map(re.escape, pieces)), issuer) is not None


def _differs(named: str, issuer: str) -> str:
    """Describe how the metadata's issuer differs from the requested one."""
    if named.removesuffix("/") == issuer.removesuffix("/"):
        which = "with" if named.endswith("/") else "without"
        return (
            f"the metadata is that of {shown(named)}, {which} a trailing slash; these "
            "are two issuers, and tokens name exactly one of them: request that"
        )
    return (
        f"the metadata is that of {shown(named)} and not of the requested issuer, so "
        "it must not be used (RFC 8414 section 3.3)"
    )


async def find_algorithms(
    metadata: Metadata, usual: Sequence[Algorithm], pace: Pace, *, private: bool
) -> Algorithms | str:
    """Return the algorithms of an issuer's keys, or why no key can be used.

    Args:
        metadata: of the issuer.
        usual: the algorithms to assume for keys without `alg`, preferred first.
        pace: the limits of time and size.
        private: as for `discover`.
    """
    issuer = TrustedIssuer(
        jwks_url=metadata.jwks_uri,
        algorithms=_PUBLIC,
        audiences=("nobody",),
        allow_private_addresses=private,
    )
    raw = await _fetch(metadata.jwks_uri, pace, private=private)
    if isinstance(raw, str):
        return raw
    try:
        found = read_key_set(raw, issuer)
    except ValueError as error:
        return str(error)
    served = {name for key in found.keys for name in key.names}
    guessed = None
    if found.left_out.get(Flaw.AMBIGUOUS):
        named = (*usual, *(each for each in _PUBLIC if each in metadata.algorithms))
        guessed = next((each for each in named if each in _OF_RSA), Algorithm.RS256)
        served.add(guessed.value)
    names = tuple(each for each in _PUBLIC if each.value in served)
    # Again, as verifiers will read it.
    settled = read_key_set(raw, issuer.model_copy(update={"algorithms": names}))
    if not settled.keys:
        return "it has no key that can be used"
    return Algorithms(names, guessed, settled.left_out)


async def _fetch(url: str, pace: Pace, *, private: bool) -> bytes | str:
    return await read_url(
        url,
        private=private,
        max_bytes=pace.max_bytes,
        timeout_seconds=pace.timeout,
    )


def _algorithms(document: Mapping[str, Any]) -> Iterator[str]:
    names = document.get("id_token_signing_alg_values_supported")
    for each in names if isinstance(names, list) else ():
        if isinstance(each, str):
            yield each
