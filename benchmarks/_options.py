"""The command line that all benchmarks have in common: `--quick`, and whose Kafka."""

import argparse
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from revocation.local import Kafka


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a module's docstring, line by line."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def parse(options: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """Read the command line.

    Args:
        options: what a benchmark lets its user choose.
        quick: by name, what `--quick` chooses; an option that is given wins.
    """
    options.add_argument(
        "--quick",
        action="store_true",
        help="a few seconds and small numbers, to see that it runs; the figures "
        "say nothing",
    )
    if options.parse_args().quick:
        options.set_defaults(**quick)
    return options.parse_args()


def add_kafka(options: argparse.ArgumentParser) -> None:
    """Add `--bootstrap-servers`."""
    options.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="measure with this Kafka, in new topics, instead of starting one",
    )


@contextlib.contextmanager
def kafka(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield the bootstrap servers of the Kafka that was chosen, or of a new one."""
    if asked.bootstrap_servers is not None:
        yield asked.bootstrap_servers
        return
    with Kafka(folder / "kafka") as broker:
        yield broker.bootstrap_servers


def new_prefix() -> str:
    """Return a prefix of topics that nobody has used."""
    return f"benchmark-{secrets.token_hex(4)}"
