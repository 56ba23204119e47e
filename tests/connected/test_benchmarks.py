"""Benchmarks that nobody runs each day still run."""

import os
import subprocess
import sys

import orjson
import pytest

from tests.structure.sources import ROOT

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]


def test_what_forwarding_costs_is_measured():
    """Few records say little about the cost, but that each of them is concluded."""
    script = ROOT / "benchmarks" / "forwarded.py"
    ran = subprocess.run(
        [sys.executable, script, "--records", "200", "--rounds", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith(b'{"name"')]
    figures = {line["name"]: line for line in map(orjson.loads, lines)}
    assert figures.keys() == {
        "forwarded.cpu",
        "forwarded.wall",
        "forwarded.conclude",
    }
    assert all(figure["ratio"] > 0 for figure in figures.values())
