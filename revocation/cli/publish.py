"""`revocation publish`: one subcommand per event type, and JSON lines from a file."""

import contextlib
import inspect
import shlex
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
)
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, cast

import orjson
import typer
import uvloop
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from revocation import events
from revocation.claims.claim_problems import is_id
from revocation.cli import JsonOption, read_seconds
from revocation.cli.publish_lines import Published, publish_lines, unknown_issuers
from revocation.cli.publish_warnings import warn_of_past_exp, warn_of_unknown_issuers
from revocation.cli.regions import open_regions, require_agreements
from revocation.cli.standard_streams import read_stdin
from revocation.clock import now_ms
from revocation.entries import UnixMs
from revocation.errors import NotAppliedError
from revocation.events import EVENT_TYPES, CloudEvent, Event
from revocation.events.whole_token import WHOLE_TOKEN, peek
from revocation.kafka.clients import FAILURES
from revocation.operate.dead_letters import find_parked
from revocation.publisher import Publisher
from revocation.receipts import Receipt, wait_applied
from revocation.settings import PublisherSettings, RegionsSettings
from revocation.store.contract import StoreReader

app = typer.Typer(help="Publish events.", invoke_without_command=True)

FileOption = Annotated[
    Path | None,
    typer.Option(help="CloudEvents as JSON lines; - reads stdin."),
]
WaitOption = Annotated[
    str | None,
    typer.Option(
        help="Wait until all regions of REVOCATION_REGIONS have applied it, or one.",
        metavar="applied[:all|:REGION]",
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        help="Seconds that --wait may take.", parser=read_seconds, metavar="SECONDS"
    ),
]


@app.callback()
def publish(
    context: typer.Context,
    file: FileOption = None,
    wait: WaitOption = None,
    timeout: TimeoutOption = 10.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Publish one event (see the subcommands), or many with --file."""
    if context.invoked_subcommand is not None:
        if file is not None:
            raise typer.BadParameter("give either --file or a subcommand")
        if wait is not None or as_json:
            raise typer.BadParameter("give --wait and --json after the subcommand")
        return
    if file is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    lines = _read(file).splitlines()
    send = partial(publish_lines, lines)
    report = uvloop.run(_report(send, wait, timeout, as_json=as_json))
    raise typer.Exit(1 if report["refused"] else 0)


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return read_stdin("the events")
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read --file: {error}") from error


def _add_command(model: type[CloudEvent]) -> None:
    """Add the subcommand of an event type; its options are the members of `data`."""
    data = cast("Any", model.model_fields["data"].annotation)
    members = cast("dict[str, FieldInfo]", data.model_fields)

    def command(
        *,
        source: str | None,
        time: datetime | None,
        wait: str | None,
        timeout: float,
        as_json: bool,
        **given: Any,
    ) -> None:
        if "claims" in given:
            given["claims"] = _claims(given["claims"])
        event = _build(
            model,
            source=source or PublisherSettings().source,
            time=None if time is None else time.replace(tzinfo=time.tzinfo or UTC),
            **{name: value for name, value in given.items() if value is not None},
        )
        warn_of_past_exp(event, now_ms())
        send = partial(_publish_one, event)
        uvloop.run(_report(send, wait, timeout, as_json=as_json))

    options = [_option_of(name, field) for name, field in members.items()]
    cast("Any", command).__signature__ = inspect.Signature([*options, *_COMMON_OPTIONS])
    command.__doc__ = model.__doc__
    name = model.model_fields["type"].default.removeprefix("revocation.")
    app.command(name.replace(".", "-").replace("_", "-"))(command)


_KINDS: Final[Mapping[str, Any]] = {
    "exp": float,
    "version": int,
    "disable": bool,
    "users": list[str],
    "claims": list[str],
}
_HELPS: Final[Mapping[str, str]] = {
    "jti": "The token: its `jti` claim, or the issuer's `token_id_claim`.",
    "sid": "The session: the `sid` claim, or one of the issuer's `session_claims`.",
    "user": "As tokens name it: the `sub` claim, or the issuer's `user_claim`.",
    "users": "The same of each user; repeatable.",
    "client": "As tokens name it: `client_id`, `azp`, or the issuer's `client_claims`.",
    "tenant": "As tokens name it: the issuer's `tenant_claim`.",
    "kid": "The `kid` of the tokens' headers.",
    "version": "The user's new version where your own database counts it.",
    "disable": "Also reject tokens issued later; --no-disable ends that.",
}
"""For members that have no description of their own."""
_METAVARS: Final[Mapping[str, str]] = {"claims": "NAME=VALUE"}


def _option_of(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the option of a member; the model itself checks the value."""
    kind: Any = _KINDS.get(name, str)
    default: Any = inspect.Parameter.empty
    if not field.is_required():
        kind, default = kind | None, None
    text = field.description or _HELPS.get(name)
    option = typer.Option(help=text, metavar=_METAVARS.get(name))
    return _keyword(name, Annotated[kind, option], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


_COMMON_OPTIONS = (
    _keyword("source", Annotated[str | None, typer.Option(help="The producer.")], None),
    _keyword(
        "time",
        Annotated[
            datetime | None,
            typer.Option(help="When it happened (UTC); else when Kafka appends it."),
        ],
        None,
    ),
    _keyword("wait", WaitOption, None),
    _keyword("timeout", TimeoutOption, 10.0),
    _keyword("as_json", JsonOption, default=False),
)

for _model in EVENT_TYPES.values():
    _add_command(_model)


def _claim(text: str) -> tuple[str, str]:
    """Read a claim's name and its value, as text: `5` and `"5"` are one value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter("--claims takes NAME=VALUE, once for each claim")
    return name, value


def _claims(texts: Iterable[str]) -> dict[str, str]:
    """Read claims; refuse two values of one rather than drop either silently."""
    claims: dict[str, str] = {}
    for name, value in map(_claim, texts):
        if name in claims:
            raise typer.BadParameter(
                "--claims names a claim twice; publish an event for each value"
            )
        claims[name] = value
    return claims


def _build(model: type[CloudEvent], **members: Any) -> Event:
    try:
        return cast("Event", model.new(**members))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, message = ".".join(map(str, first["loc"])), first["msg"]
        if first["type"] == WHOLE_TOKEN and model is events.TokenRevoked:
            message += f"; its options are {_options_of(first['input'])}"
        raise typer.BadParameter(f"{place}: {message}") from None


def _options_of(token: str) -> str:
    """Return the options that revoke a token, from the claims that can be read."""
    peeked = peek(token)
    claims = (peeked and peeked.claims) or {}
    named = {"--issuer": "iss", "--jti": "jti", "--exp": "exp"}
    return " ".join(
        f"{option} {shlex.quote(_typed(claims.get(claim)))}"
        for option, claim in named.items()
    )


def _typed(value: Any) -> str:
    """Return a printable value, or `?`: the token is untrusted input."""
    is_one = type(value) in {int, float} or is_id(value)
    return text if is_one and (text := str(value)).isprintable() else "?"


async def _report(
    send: Callable[[], Awaitable[Published]],
    wait: str | None,
    seconds: float,
    *,
    as_json: bool,
) -> dict[str, Any]:
    """Publish, wait and report; publish nothing if --wait is wrong.

    Raises:
        NotAppliedError: names the regions that exceeded the time limit, or the events
            that were parked and revoke nothing.
    """
    async with _readers(wait) as readers:
        began = now_ms()
        report, receipts = await send()
        warn_of_unknown_issuers(report["unknown_issuers"])
        report["applied_ms"] = None
        try:
            if readers:
                took = await wait_applied(receipts, readers, timeout_seconds=seconds)
                await _require_none_parked(receipts, since=began)
                report["applied_ms"] = took
        finally:
            _print(report, as_json=as_json)
    return report


async def _require_none_parked(receipts: Iterable[Receipt], *, since: UnixMs) -> None:
    """Refuse to call an event applied that the authority parked as a dead letter."""
    try:
        parked = await find_parked(PublisherSettings(), receipts, since=since)
    except (*FAILURES, TimeoutError) as error:
        typer.echo(
            f"warning: the dead letters cannot be read ({type(error).__name__}), so it "
            "is unknown whether the authority parked the event",
            err=True,
        )
        return
    if parked:
        named = ", ".join(f"{receipt} ({code})" for receipt, code in parked.items())
        raise NotAppliedError(
            f"parked in the dead letters, so nothing is revoked: {named}; see "
            "docs/events.md for the codes, mend the cause, and send it again"
        )


@contextlib.asynccontextmanager
async def _readers(wait: str | None) -> AsyncIterator[dict[str, StoreReader]]:
    """Connect to the regions that --wait names."""
    if wait is None:
        yield {}
        return
    word, _, region = wait.partition(":")
    if word != "applied":
        raise typer.BadParameter("--wait takes applied, applied:all or applied:REGION")
    settings = RegionsSettings()
    everywhere = region in ("", "all")
    if not everywhere and region not in settings.regions:
        known = ", ".join(sorted(settings.regions))
        raise typer.BadParameter(
            f"no region {region!r}; REVOCATION_REGIONS has {known}"
        )
    async with open_regions(settings) as readers:
        chosen = readers if everywhere else {region: readers[region]}
        await require_agreements(settings, chosen)
        yield chosen


async def _publish_one(event: Event) -> Published:
    async with Publisher() as publisher:
        receipts = await publisher.publish(event)
    report = {
        "id": event.id,
        "receipts": list(map(str, receipts)),
        "unknown_issuers": unknown_issuers([event.data.issuer]),
    }
    return report, receipts


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(report))
        return
    for name, value in report.items():
        match value:
            case None | []:
                continue
            case dict():
                shown = ", ".join(f"{key} {ms:.1f} ms" for key, ms in value.items())
                if unknown := ", ".join(report["unknown_issuers"]):
                    shown += f", but no verifier configured here knows {unknown}"
            case list() if name == "refused":
                shown = f"{len(value)} lines"
            case list():
                shown = ", ".join(value)
            case _:
                shown = str(value)
        typer.echo(f"{name.replace('_', ' ')}: {shown}")
