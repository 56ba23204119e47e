"""The commands that check whether a token counts."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
import typer
import uvloop

from revocation.cli import EXIT_NEGATIVE, JsonOption
from revocation.cli.standard_streams import DashArgument, read_stdin
from revocation.cli.stations import RegionOption, chosen
from revocation.decision import Reason, Verdict
from revocation.events.whole_token import peek
from revocation.settings import OneRegionSettings, VerifierSettings
from revocation.verifier import RemoteVerifier

RouteOption = Annotated[str, typer.Option(help="Route class.")]
ResourceOption = Annotated[
    list[str] | None,
    typer.Option(help="A resource in use, `type:id`; repeatable."),
]


def check(
    dash: DashArgument = "-",
    *,
    region: RegionOption = None,
    route: RouteOption = "read",
    resource: ResourceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether a token was revoked; exit code 0 if it still counts, else 3.

    Reads a claims set (JSON) or a compact JWT from stdin. The signature of a JWT is NOT
    verified: this command answers about revocation only; see `verify`. It reads the
    region's store: REVOCATION_STORE_URL, or the region's in REVOCATION_REGIONS.
    """
    claims, kid = _read_claims(read_stdin("the token or its claims", dash))

    async def ask(verifier: RemoteVerifier) -> Verdict:
        return await verifier.check_async(
            claims, route=route, kid=kid, resources=resource or ()
        )

    _answer(region, ask, as_json=as_json)


def verify(
    dash: DashArgument = "-",
    *,
    region: RegionOption = None,
    route: RouteOption = "read",
    resource: ResourceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether a compact JWT is genuine and still counts; exit code 0, else 3.

    Reads the token from stdin, to keep it out of the shell's history and the process
    list. REVOCATION_ISSUERS lists the trusted issuers. It reads the region's store:
    REVOCATION_STORE_URL, or the region's in REVOCATION_REGIONS.
    """
    token = read_stdin("the token", dash).decode("utf-8", "replace").strip()

    async def ask(verifier: RemoteVerifier) -> Verdict:
        verification = await verifier.verify_async(
            token, route=route, resources=resource or ()
        )
        return verification.verdict

    _answer(region, ask, as_json=as_json)


def _answer(
    region: str | None,
    ask: Callable[[RemoteVerifier], Awaitable[Verdict]],
    *,
    as_json: bool,
) -> None:
    given = chosen(region)
    settings = VerifierSettings(**{**given, **OneRegionSettings(**given).found})

    async def run() -> Verdict:
        async with RemoteVerifier.from_settings(settings) as verifier:
            return await ask(verifier)

    verdict = uvloop.run(run())
    if as_json:
        typer.echo(orjson.dumps(_to_json(verdict, settings.region)))
    else:
        word = "active" if verdict else f"REJECTED: {verdict.reason}"
        typer.echo(f"{word} in {settings.region}, {_age(verdict)}")
        for name in ("detail", "receipt"):
            if value := getattr(verdict, name):
                typer.echo(f"  {name}: {value}")
    raise typer.Exit(0 if verdict else EXIT_NEGATIVE)


def _read_claims(given: bytes) -> tuple[dict[str, Any], str | None]:
    text = given.strip()
    try:
        if text.startswith(b"{"):
            return orjson.loads(text), None
        peeked = peek(text.decode())
    except ValueError:
        peeked = None
    if peeked is None or peeked.claims is None:
        raise typer.BadParameter(
            "stdin holds neither a JSON claims set nor a compact JWT"
        )
    return peeked.claims, peeked.header.get("kid")


def _to_json(verdict: Verdict, region: str) -> dict[str, Any]:
    """Return the verdict; without a lookup, `null` for the age rather than 57 years."""
    unknown = {} if verdict.as_of else {"as_of": None, "staleness_ms": None}
    return {**verdict.to_json(), **unknown, "region": region}


def _age(verdict: Verdict) -> str:
    if verdict.as_of:
        return f"as of {verdict.staleness_ms / 1_000:.3f} s ago"
    return "age unknown" if verdict.reason is Reason.NOT_READY else "not looked up"
