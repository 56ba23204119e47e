"""The commands about issuers: identity providers, and the tokens that they issue."""

from collections.abc import Iterator
from typing import Annotated, Final, cast

import typer

from revocation.claims.claim_mapping import ClaimMapping
from revocation.claims.reach import Reach, reach
from revocation.cli.issuers_discover import discover_issuer
from revocation.cli.issuers_try import try_token
from revocation.cli.toml_text import toml_issuer, toml_lifetime
from revocation.entries import longest_ms
from revocation.jwt.presets import Preset, preset, presets
from revocation.settings import VerifierSettings

app = typer.Typer(help="Identity providers and their tokens.", no_args_is_help=True)
app.command("try")(try_token)
app.command("discover")(discover_issuer)

_AUDIENCE: Final = "https://api.example/"
_HEAD: Final = ("event", "names (member = claim)", "does not reach")


@app.command("show")
def show(
    name: Annotated[str | None, typer.Argument(help="A preset.")] = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print it as docs/issuers/ does.")
    ] = False,
) -> None:
    """List the presets, or print one: settings to copy, and what each event reaches.

    A token that no event reaches counts until it expires.
    """
    if name is None:
        width = max(map(len, presets()))
        for each, found in presets().items():
            typer.echo(f"{each.ljust(width)}  {found.title}: {found.tokens}")
        return
    try:
        found = preset(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    lines = _page(found) if markdown else _describe(name, found)
    typer.echo("\n".join(lines))


def _describe(name: str, found: Preset) -> Iterator[str]:
    yield f"{found.title}: {found.tokens}"
    yield ""
    given = {"preset": name, "audiences": [_AUDIENCE]}
    if found.key_set_url(found.issuer) is None:
        given["jwks_url"] = "https://..."
    own = found.settings.get("max_token_lifetime_seconds", 0)
    yield from toml_lifetime(own, _usual_lifetime())
    yield from toml_issuer(found.issuer, given)
    yield "# What the preset fills in; each can be set otherwise:"
    _, *settings = toml_issuer(found.issuer, found.settings)
    yield from (f"# {line}" for line in settings)
    if (url := found.key_set_url(found.issuer)) is not None:
        yield f'# jwks_url = "{url}"'
    for title, sentences in _sentences(found):
        yield from ("", f"{title}:", *sentences)
    yield ""
    yield from _aligned(_rows(found))


def _page(found: Preset) -> Iterator[str]:
    head, *rows = [f"| {' | '.join(row)} |" for row in _rows(found)]
    yield from (head, "| --- | --- | --- |", *rows)
    for title, sentences in _sentences(found):
        yield from ("", f"**{title}**", "", *sentences)


def _sentences(found: Preset) -> Iterator[tuple[str, list[str]]]:
    remedies = [f"- `{claim}`: {remedy}." for claim, remedy in found.remedies.items()]
    if remedies:
        yield "Where a token lacks a claim, or has another value", remedies
    yield "Good to know", [f"- {each}" for each in found.notes]


def _reach(found: Preset) -> tuple[Reach, ...]:
    names = ClaimMapping.model_fields.keys() & found.settings.keys()
    mapping = ClaimMapping(**{name: found.settings[name] for name in names})
    usual = longest_ms(_usual_lifetime())
    return reach(mapping.names, mapping.names.longest_ms or usual)


def _usual_lifetime() -> int:
    field = VerifierSettings.model_fields["max_token_lifetime_seconds"]
    return cast("int", field.default)


def _rows(found: Preset) -> Iterator[tuple[str, ...]]:
    yield _HEAD
    for each in _reach(found):
        for event in each.events:
            yield event, each.by or "-", each.missed or "-"


def _aligned(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
