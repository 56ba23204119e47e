"""Smoke tests of the benchmarks, which are rarely run."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from revocation.jwt.presets import presets
from tests.structure.sources import ROOT

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

BENCHMARKS = ROOT / "benchmarks"


def figures_of(script, *options):
    """Return the figures that a benchmark reports with `--quick`, by name.

    They do not measure speed, but each has a unit, and no p50 is above its p99.
    """
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--quick", *options],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-2_000:] + ran.stderr[-4_000:]
    lines = [line for line in ran.stdout.splitlines() if line[:8] == '{"name":']
    figures = {line["name"]: line for line in map(orjson.loads, lines)}
    assert len(figures) == len(lines) > 0
    assert all(figure["unit"] for figure in figures.values())
    for name, figure in figures.items():
        if name.endswith(".p50"):
            assert 0 <= figure["ours"] <= figures[f"{name[:-4]}.p99"]["ours"]
    return figures


@pytest.fixture
def shared_kafka(kafka):
    """Return options for benchmarks that would start their own Kafka."""
    return "--bootstrap-servers", kafka.bootstrap_servers


def values(figures, *names):
    return [figures[name]["ours"] for name in names]


def test_every_benchmark_has_a_smoke_test():
    source = Path(__file__).read_text()
    names = [path.name for path in BENCHMARKS.glob("[!_]*.py")]
    assert [name for name in names if f'"{name}"' not in source] == []


def test_cost_of_forwarding(shared_kafka):
    figures = figures_of("forwarded.py", *shared_kafka)
    assert figures.keys() == {
        "forwarded.cpu",
        "forwarded.wall",
        "forwarded.conclude",
    }
    assert all(figure["ratio"] > 0 for figure in figures.values())


def test_how_fast_a_projector_catches_up(shared_kafka):
    (figure,) = figures_of("projector.py", *shared_kafka).values()
    assert figure["name"] == "projector.catch_up"
    assert figure["ratio"] > 0


def test_how_long_a_revocation_takes():
    figures = figures_of("propagation.py")
    for who in ("eu", "acknowledged"):
        names = [f"propagation.{who}.{part}" for part in ("p50", "p99", "max")]
        assert min(values(figures, *names)) > 0
        assert sorted(values(figures, *names)) == values(figures, *names)


def test_load_on_a_returning_store():
    figures = figures_of("reconnects.py")
    for case in ("with_data", "without_data"):
        place = f"reconnects.{case}.fresh"
        half, last = values(figures, f"{place}.half", f"{place}.all")
        assert 0 < half <= last
        assert figures[place]["ours"] == 20
        assert figures[f"reconnects.{case}.connections"]["ours"] >= 20


def test_cost_of_a_check():
    figures = figures_of("check.py")
    assert all(figure["ours"] > 0 for figure in figures.values())
    assert {"load.10000", "check.replica.new.100", "check.remote"} <= figures.keys()


def test_cost_of_verifying():
    figures = figures_of("verify.py")
    for alg in ("HS256", "RS256", "ES256", "EdDSA"):
        names = [f"verify.{alg}.{each}" for each in ("cached", "cold_vs_pyjwt")]
        assert min(values(figures, *names)) > 0


def test_cost_of_presets():
    figures = figures_of("presets.py", "--beside", str(ROOT))
    named = {f"presets.{name}" for name in [*presets(), "beside"]}
    assert figures.keys() == named
    assert all(figure["alternative"] > 0 for figure in figures.values())


def test_cost_of_claim_sets():
    figures = figures_of("claim_sets.py")
    assert {"claim_sets.recurring.one", "claim_sets.new.pair"} <= figures.keys()
    assert all(figure["alternative"] > 0 for figure in figures.values())


def test_cost_of_a_sidecar_request():
    figures = figures_of("sidecar.py")
    for name in ("ours", "aiohttp", "aiohttp-jwt"):
        for each in ("check.1", "check.32", "authz.1", "authz.32"):
            place = f"sidecar.{name}.{each}"
            assert min(values(figures, f"{place}.rate", f"{place}.p50")) > 0


def test_cost_of_an_envoy_request():
    figures = figures_of("ext_authz.py")
    for name in ("ours", "bare", "messages"):
        for in_flight in (1, 32):
            place = f"ext_authz.{name}.{in_flight}"
            assert min(values(figures, f"{place}.rate", f"{place}.p50")) > 0


def test_a_soak_sees_no_wrong_answer_during_faults(shared_kafka):
    figures = figures_of("soak.py", *shared_kafka)
    assert values(figures, "soak.wrong", "soak.lost") == [0, 0]
    changes = ("writes pass again", "lost events are known", "rules in force")
    assert min(values(figures, *(f"soak.{each}" for each in changes))) > 0
    assert figures["soak.answers"]["ours"] > 1_000
