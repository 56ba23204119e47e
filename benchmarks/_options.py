"""The options that benchmarks share: `--quick`, and which Kafka to use."""

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
        options: the benchmark's own options.
        quick: their defaults with `--quick`, by name.
    """
    options.add_argument(
        "--quick",
        action="store_true",
        help="run for a few seconds with small numbers, to see that it works; the "
        "figures are not to be compared",
    )
    if options.parse_args().quick:
        options.set_defaults(**quick)
    return options.parse_args()


def add_kafka(options: argparse.ArgumentParser) -> None:
    """Add `--bootstrap-servers`."""
    options.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="use this Kafka, with new topics, instead of starting one",
    )


@contextlib.contextmanager
def kafka(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield the bootstrap servers of the Kafka given, or of one that runs meanwhile."""
    if asked.bootstrap_servers is not None:
        yield asked.bootstrap_servers
        return
    with Kafka(folder / "kafka") as broker:
        yield broker.bootstrap_servers


def new_prefix() -> str:
    """Return a topic prefix that no other run has."""
    return f"benchmark-{secrets.token_hex(4)}"
