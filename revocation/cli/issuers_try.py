"""`revocation issuers try`: why a token passes or not, point by point."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
import uvloop

from revocation.claims.claim_names import find_claim
from revocation.claims.claim_problems import matches_issuer
from revocation.claims.claims import Rules
from revocation.cli import EXIT_NEGATIVE
from revocation.cli.explanation import show
from revocation.cli.standard_streams import read_stdin
from revocation.clock import now_ms
from revocation.entries import NO_EXPIRY
from revocation.extras import require_extra
from revocation.jwt.authenticator import Key
from revocation.jwt.explain import explain, judging_issuer, take_apart_within
from revocation.jwt.key_source import KeyIndex, Pace, read_keys
from revocation.jwt.presets import Preset, preset
from revocation.jwt.presets.likely import likely
from revocation.jwt.token_rules import TokenFault
from revocation.jwt.trust import MAX_AUDIENCE_CHARACTERS, TrustedIssuer
from revocation.settings import LimitSettings, TokenSettings, read_issuers

_NO_KEYS: Final = Path(os.devnull)
_NOT_GIVEN: Final = "(none is given)"
_DOTS: Final = 2
_DOTS_ENCRYPTED: Final = 4
_PLACE: Final = re.compile(r"\{[^{}]*\}")


class _Options(NamedTuple):
    """The options of the command."""

    preset: str | None
    issuer: str | None
    tenant: str | None
    audience: list[str] | None
    jwks_file: Path | None
    jwks_url: str | None
    fetch: bool
    allow_private: bool

    @property
    def key_set(self) -> dict[str, Any]:
        """The settings that name the key set, if an option does."""
        given = {"jwks_file": self.jwks_file, "jwks_url": self.jwks_url}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def has_keys(self) -> bool:
        """Whether there are keys to verify the signature by."""
        return self.fetch or bool(self.key_set)


class _Trust(NamedTuple):
    """The trusted issuers and the rules; `assumed`: options that were not given."""

    issuers: Mapping[str, TrustedIssuer]
    rules: Rules
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Keys:
    """The keys of one issuer, just read."""

    issuer: str
    known: KeyIndex

    def find(self, issuer: str, kid: str | None, alg: str) -> Key | None:
        """Return the issuer's key for exactly this algorithm."""
        return self.known.find(kid, alg) if issuer == self.issuer else None


_TokenArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TOKEN",
        help="A compact JWT, or - to read it from stdin, which keeps it out of the "
        "shell's history and the list of processes: prefer that.",
    ),
]
_PresetOption = Annotated[
    str | None,
    typer.Option(help="The identity provider; default: the settings."),
]
_IssuerOption = Annotated[
    str | None, typer.Option(help="The `iss` to expect, or a template of it.")
]
_TenantOption = Annotated[
    str | None, typer.Option(help="The value for the template's braces.")
]
_AudienceOption = Annotated[
    list[str] | None, typer.Option(help="The `aud` to expect; repeatable.")
]
_FileOption = Annotated[
    Path | None, typer.Option(help="A key set, to verify the signature by.")
]
_UrlOption = Annotated[
    str | None, typer.Option(help="The same; it is read from there.")
]
_FetchOption = Annotated[
    bool, typer.Option("--fetch", help="Read the issuer's own key set.")
]
_PrivateOption = Annotated[
    bool, typer.Option("--allow-private", help="Also read it from private hosts.")
]


def try_token(  # noqa: PLR0913 - each is an option
    token: _TokenArgument = None,
    *,
    preset: _PresetOption = None,
    issuer: _IssuerOption = None,
    tenant: _TenantOption = None,
    audience: _AudienceOption = None,
    jwks_file: _FileOption = None,
    jwks_url: _UrlOption = None,
    fetch: _FetchOption = False,
    allow_private: _PrivateOption = False,
) -> None:
    """Explain point by point why a token passes or not; exit code 0 if it does, else 3.

    Checks all points by the rules of `verify`, except whether the token was revoked.
    Nothing is stored, logged or sent; only --fetch and --jwks-url read a key set. The
    answer shows the contents of the token.
    """
    options = _Options(
        *(preset, issuer, tenant, audience),
        *(jwks_file, jwks_url, fetch, allow_private),
    )
    text = _read(token or ["-"])
    claims = _peek(text)
    if options.preset is None:
        trust = _by_settings(options, claims)
    else:
        trust = _by_preset(options, options.preset, claims)
    keys = _read_keys(trust, claims) if options.has_keys else None
    now = now_ms()
    told = explain(text, trust.issuers, trust.rules, now, keys)
    show(told, now, trust.assumed)
    if not claims and (hint := _advise_form(text)):
        typer.echo(hint)
    if claims and _issuer(claims) not in trust.issuers:
        typer.echo(_advise(claims, options.preset))
    raise typer.Exit(0 if told.fault is None else EXIT_NEGATIVE)


def _read(words: list[str]) -> str:
    """Return the token; no message quotes it."""
    if len(words) > 1:
        raise typer.BadParameter("give one token, without white space, or -")
    (word,) = words
    if word == "-":
        return read_stdin("the token").decode("utf-8", "replace").strip()
    return word.strip()


def _peek(text: str) -> Mapping[str, Any]:
    """Return the claims of the token, unverified; none if it cannot be parsed."""
    parts = take_apart_within(text, {})
    return {} if isinstance(parts, TokenFault) else parts.claims


def _by_settings(options: _Options, claims: Mapping[str, Any]) -> _Trust:
    if options.preset is None and (
        options.issuer or options.tenant or options.audience
    ):
        raise typer.BadParameter("--issuer, --tenant and --audience go with --preset")
    settings = TokenSettings()
    issuers = dict(settings.issuers)
    issuer = judging_issuer(claims, issuers)
    if issuer is not None and options.has_keys:
        values = issuers[issuer].model_dump(exclude_unset=True)
        issuers |= read_issuers({issuer: _with_keys(values, options)})
    return _Trust(issuers, settings.rules)


def _by_preset(options: _Options, name: str, claims: Mapping[str, Any]) -> _Trust:
    try:
        found = preset(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if "{" in (options.issuer or "") and options.tenant is None:
        raise typer.BadParameter("--issuer is a template: --tenant fills it in")
    assumed = []
    issuer = options.issuer or _template(found, options.tenant, claims)
    if issuer is None:
        in_token = _issuer(claims)
        issuer = in_token or found.issuer
        whose = "the token" if in_token else "the preset's example"
        assumed.append(f"--issuer is not given: it is that of {whose}")
    audiences = options.audience or [*_audiences(found, claims)]
    if not options.audience and audiences:
        assumed.append("--audience is not given: it is that of the token")
    values = {"preset": name, "audiences": audiences or [_NOT_GIVEN]}
    if options.tenant is not None:
        values["tenants"] = [options.tenant]
    issuers = read_issuers({issuer: _with_keys(values, options)})
    rules = LimitSettings().rules
    longest = max(each.names.longest_ms or 0 for each in issuers.values())
    if longest > rules.longest_token_ms:
        rules = replace(rules, longest_token_ms=longest)
        seconds = found.settings["max_token_lifetime_seconds"]
        assumed.append(f"REVOCATION_MAX_TOKEN_LIFETIME_SECONDS is {seconds}")
    return _Trust(issuers, rules, tuple(assumed))


def _with_keys(values: Mapping[str, Any], options: _Options) -> dict[str, Any]:
    """Return an issuer's settings with the key set of the options, or with none."""
    found = dict(values)
    if options.key_set or not options.has_keys:
        for name in ("jwks_url", "jwks_file"):
            found.pop(name, None)
        found |= options.key_set or {"jwks_file": _NO_KEYS}
        if "jwks_url" not in found:
            found.pop("jwks_proxy", None)
    if options.allow_private:
        found["allow_private_addresses"] = True
    return found


def _template(
    found: Preset, tenant: str | None, claims: Mapping[str, Any]
) -> str | None:
    """Return the issuer template of the preset that, for this tenant, the token has."""
    shapes = [each for each in found.issuers if len(_PLACE.findall(each)) == 1]
    shapes = [each for each in shapes if each != "{iss}"]
    if tenant is None or not shapes:
        return None
    filled = {_PLACE.sub(lambda _: tenant, each): each for each in shapes}
    issuer = claims.get("iss")
    return filled.get(issuer, shapes[0]) if isinstance(issuer, str) else shapes[0]


def _issuer(claims: Mapping[str, Any]) -> str | None:
    issuer = claims.get("iss")
    is_one = isinstance(issuer, str) and matches_issuer(issuer) and "{" not in issuer
    return issuer if is_one else None


def _audiences(found: Preset, claims: Mapping[str, Any]) -> Iterator[str]:
    names = found.settings.get("audience_claims", ("aud",))
    held = (find_claim(claims, name) for name in names)
    value: Any = next((each for each in held if each), [])
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and 0 < len(each) <= MAX_AUDIENCE_CHARACTERS:
            yield each


def _read_keys(trust: _Trust, claims: Mapping[str, Any]) -> _Keys | None:
    require_extra("jwt", "revocation issuers try")
    issuer = judging_issuer(claims, trust.issuers)
    if issuer is None:
        return None
    found = uvloop.run(read_keys(trust.issuers[issuer], Pace()))
    if isinstance(found, str):
        typer.echo(f"The key set: {found}", err=True)
        return _Keys(issuer, KeyIndex())
    if found.left_out:
        counts = (f"{count} {flaw}" for flaw, count in found.left_out.items())
        typer.echo(f"Keys left out of the set: {', '.join(counts)}", err=True)
    for key in found.keys:
        key.usable_until = NO_EXPIRY
    return _Keys(issuer, KeyIndex.of(found.keys))


def _advise_form(text: str) -> str | None:
    """Explain what the text is, if it is recognisably not a token."""
    if not text:
        return "Nothing was given: pipe the token in."
    if any(map(str.isspace, text)):
        return "There is white space in it: give the token alone, without `Bearer`."
    dots = text.count(".")
    if dots == _DOTS and text.endswith("."):
        return "Its signature is empty: a token that nobody signed never passes."
    if dots == _DOTS_ENCRYPTED:
        return "It has five parts: encrypted. Have the issuer sign tokens, not encrypt."
    if not dots:
        return "It has no dots, as opaque tokens do not: only their issuer reads those."
    return None


def _advise(claims: Mapping[str, Any], tried: str | None) -> str:
    names = likely(str(claims.get("iss")), claims)
    if tried in names:
        return (
            "By its issuer or its claims it looks like a token for this preset all the "
            "same: if it is yours, --issuer or --tenant must say its `iss`."
        )
    if not names:
        return "No preset looks like it; `revocation issuers show` lists them all."
    tries = " or ".join(f"`revocation issuers try --preset {name} -`" for name in names)
    return f"By its issuer or its claims it looks like a token for {tries}."
