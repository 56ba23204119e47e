"""`revocation issuers discover`: from an issuer's metadata to settings."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from urllib.parse import urlsplit

import typer
import uvloop

from revocation.cli import EXIT_NEGATIVE
from revocation.cli.toml_text import toml_issuer, toml_lifetime
from revocation.extras import require_extra
from revocation.jwt.key_source import Pace
from revocation.jwt.presets import preset
from revocation.jwt.presets.likely import likely
from revocation.jwt.trust import Algorithm
from revocation.settings import LimitSettings, read_issuers

if TYPE_CHECKING:
    from revocation.jwt.issuer_discovery import Algorithms, Metadata

_AUDIENCE: Final = "your-audience"
_TENANT: Final = "your-tenant"
_PLACE: Final = re.compile(r"\{[^{}]*\}")
_COMMENTS: Final = {
    "audiences": "who you are: what the `aud` of tokens for this service names",
    "tenants": "the tenants that you trust, and no others",
}


class _Found(NamedTuple):
    """The settings to write, if any, and the sentences that explain them."""

    name: str
    sentences: tuple[str, ...]
    values: dict[str, Any] | None = None


def discover_issuer(
    url: Annotated[str, typer.Argument(help="The issuer, as tokens have it as `iss`.")],
    *,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private", help="Also read from private hosts, and by http."
        ),
    ] = False,
) -> None:
    """Read an issuer's published metadata, and write settings to stdout.

    Requests the metadata of OpenID Connect and of RFC 8414, which must name exactly
    this issuer, and reads the key set. Findings go to stderr; exit code 3 if nothing
    is usable. Fill in the audiences.
    """
    require_extra("jwt", "revocation issuers discover")
    from revocation.jwt.issuer_discovery import issuer_of  # noqa: PLC0415 - needs the extra

    try:
        issuer = issuer_of(url, http=allow_private)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    found = uvloop.run(_discover(issuer, private=allow_private))
    for sentence in found.sentences:
        typer.echo(sentence, err=True)
    if found.values is None:
        raise typer.Exit(EXIT_NEGATIVE)
    for line in _lines(found.name, found.values):
        typer.echo(line)


def _lines(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Return settings that a verifier accepts."""
    issuers = read_issuers({name: values}).values()
    longest = max(each.max_token_lifetime_seconds or 0 for each in issuers)
    yield from toml_lifetime(longest, LimitSettings().max_token_lifetime_seconds)
    for line in toml_issuer(name, values):
        comment = _COMMENTS.get(line.split(" ")[0])
        yield line if comment is None else f"{line}  # {comment}"


async def _discover(issuer: str, *, private: bool) -> _Found:
    from revocation.jwt import issuer_discovery  # noqa: PLC0415 - as above

    pace = Pace()
    metadata = await issuer_discovery.discover(issuer, pace, private=private)
    if isinstance(metadata, list):
        return _Found(issuer, tuple(f"{each}." for each in metadata))
    presets = likely(metadata.issuer, {})
    usual = preset(presets[0]).settings["algorithms"] if presets else ()
    algorithms = await issuer_discovery.find_algorithms(
        metadata, [Algorithm(each) for each in usual], pace, private=private
    )
    if isinstance(algorithms, str):
        return _Found(issuer, (f"{metadata.jwks_uri}: {algorithms}.",))
    name = _name(metadata, presets)
    values = _values(metadata, algorithms, name, presets)
    if private:
        values["allow_private_addresses"] = True
    return _Found(name, tuple(_say(metadata, algorithms, presets)), values)


def _name(metadata: "Metadata", presets: tuple[str, ...]) -> str:
    """Return the issuer's name in settings: its braces hold a claim.

    Metadata names the placeholder freely; a preset knows which claim fills it.
    """
    if not metadata.is_template:
        return metadata.issuer
    shapes = (shape for name in presets for shape in preset(name).issuers)
    published = _PLACE.sub("{}", metadata.issuer)
    known = (shape for shape in shapes if _PLACE.sub("{}", shape) == published)
    return next(known, metadata.issuer)


def _values(
    metadata: "Metadata",
    algorithms: "Algorithms",
    name: str,
    presets: tuple[str, ...],
) -> dict[str, Any]:
    values: dict[str, Any] = {"preset": presets[0]} if presets else {}
    url: str | None = None
    if presets:
        url = preset(presets[0]).key_set_url(_PLACE.sub(_TENANT, name))
    if metadata.is_template:
        values["tenants"] = [_TENANT]
    values |= {"algorithms": algorithms.names, "audiences": [_AUDIENCE]}
    # A template's key set covers all tenants: the preset knows each tenant's own.
    if url is None or not (metadata.is_template or url == metadata.jwks_uri):
        values["jwks_url"] = metadata.jwks_uri
    return values


def _say(
    metadata: "Metadata", algorithms: "Algorithms", presets: tuple[str, ...]
) -> Iterator[str]:
    yield f"{metadata.source} is the metadata of {metadata.issuer}."
    if metadata.is_template:
        yield (
            "That is a template, not an issuer: the part in braces differs by tenant. "
            "List the tenants that you trust as `tenants`. In the settings, the braces "
            "hold the claim of tokens that names the tenant."
        )
    hosts = {urlsplit(each).hostname for each in (metadata.source, metadata.jwks_uri)}
    elsewhere = ", at another host" if len(hosts) > 1 else ""
    yield f"Its keys are at {metadata.jwks_uri}{elsewhere}."
    yield f"They are for {', '.join(algorithms.names)}."
    if algorithms.guessed is not None:
        yield (
            f"Some have no `alg`: {algorithms.guessed} is assumed for them; if tokens "
            "use another, write that in its place."
        )
    if algorithms.left_out:
        counts = (f"{count} {flaw}" for flaw, count in algorithms.left_out.items())
        yield f"Left out of the set: {', '.join(counts)}."
    yield _say_preset(presets)


def _say_preset(presets: tuple[str, ...]) -> str:
    if not presets:
        return (
            "No preset looks like it, so tokens must have `typ: at+jwt` (RFC 9068); "
            "`revocation issuers show` lists the presets, in case one fits."
        )
    found, *others = presets
    title = f"By its name it looks like {preset(found).title}: {preset(found).tokens}"
    also = f" It could also be {', '.join(others)}." if others else ""
    return (
        f"{title}. That is a guess; `revocation issuers show {found}` says what the "
        f"preset does.{also}"
    )
