"""The commands that prepare an installation: topics and schemas."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from revocation.settings import KafkaSettings

topics = typer.Typer(help="Kafka topics.", no_args_is_help=True)
schemas = typer.Typer(
    help="JSON Schemas, AsyncAPI and OpenAPI documents.",
    no_args_is_help=True,
)


@topics.command("init")
def init() -> None:
    """Create the topics that are missing, then verify all of them.

    Refuses a wrong number of partitions, cleanup policy or timestamp type, and a
    retention that is too short: each would lose revocations.
    """
    from revocation.kafka.provisioning import provision  # noqa: PLC0415 - needs a broker

    settings = KafkaSettings()
    created = uvloop.run(provision(settings))
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"topics with prefix {settings.topic_prefix} are as they must be")


@schemas.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path("schemas"),
) -> None:
    """Write JSON Schemas, AsyncAPI and OpenAPI documents."""
    from revocation.export import schemas as generated  # noqa: PLC0415

    try:
        paths = generated.export(folder)
    except OSError as error:
        raise typer.BadParameter(
            f"cannot write to {folder}: {error}; name a folder that can be written"
        ) from error
    for path in paths:
        typer.echo(path)
