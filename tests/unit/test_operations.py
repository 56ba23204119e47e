"""docs/operations.md against the code: times, causes, exit codes and probes."""

import ast
import re

import pytest
import yaml

from revocation import __main__, publisher, watchdog
from revocation.authority import ordered_producer
from revocation.projector import projector_watch
from revocation.settings import AuthoritySettings
from revocation.sidecar import sidecar
from revocation.verifier import feed_watch
from tests.structure.sources import MODULES, ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
WORDS = " ".join(PAGE.split())


def rows(heading):
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_the_times_are_those_of_the_code():
    _, entries, partition, events, forwarded, _, tasks, metadata, loop, feed, stop = (
        rows("A station that hangs is ended")
    )
    settings = AuthoritySettings(session_timeout_ms=7_000, heartbeat_interval_ms=1_000)
    assert settings.stall_seconds == 7 + 4
    assert forwarded[2] == "the same"
    for row in (entries, events, metadata):
        assert row[2] == "`session_timeout_ms` + 4 s"
    assert partition[2] == f"{projector_watch.PARTITION_SECONDS:g} s"
    assert tasks[2] == f"{watchdog.TASK_SECONDS:g} s"
    assert loop[2] == feed[2] == f"{sidecar._STALL_SECONDS:g} s"
    assert stop[2].startswith(f"{watchdog.STOP_SECONDS:g} s")
    first = f"{watchdog.FIRST_SECONDS:g} s for its first progress"
    assert first in WORDS
    still = feed_watch._STILL_SECONDS + feed_watch._STALL_SECONDS
    assert f"stands still for {still:g} s" in WORDS
    assert f"nothing for {publisher._STALL_SECONDS:g} s though Kafka" in WORDS


NAMING = {"ProgressExpectation", "Background", "metrics.STALLS.labels"}


def causes():
    """Return what is given for a cause, of expectations, tasks and the metric."""
    for module in MODULES.values():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            first = node.args[0]
            is_named = ast.unparse(node.func) in NAMING
            if is_named and isinstance(first, ast.Constant):
                yield first.value


def test_every_cause_is_named():
    section = PAGE.split("## Metrics\n")[1].split("A process that ends")[0]
    named = set(re.findall(r"`([a-z ]+)`", section))
    assert named == set(causes())


def test_every_exit_code_is_named():
    codes = [row[0] for row in rows("Exit codes of stations")[1:]]
    known = [0, __main__.EXIT_FAILED, __main__.EXIT_USAGE]
    assert codes == list(
        map(str, [*known, ordered_producer._EXIT_UNSENT, watchdog.EXIT_STALLED])
    )


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in COMPOSE
        if name.startswith(("authority", "projector", "sidecar"))
    ],
)
def test_compose_asks_a_station_for_its_health(name):
    service = COMPOSE[name]
    environment = service["environment"]
    port = environment.get(
        "REVOCATION_METRICS_PORT", environment.get("REVOCATION_SIDECAR_PORT")
    )
    assert f"127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]
    assert service["restart"] == "unless-stopped"


def test_kubernetes_asks_a_sidecar_for_its_health():
    text = (ROOT / "deploy" / "kubernetes" / "deployment.yaml").read_text()
    deployment = next(
        each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"
    )
    sidecar, *_ = deployment["spec"]["template"]["spec"]["initContainers"]
    assert "/healthz" in sidecar["livenessProbe"]["exec"]["command"][-1]
    assert "/readyz" in sidecar["readinessProbe"]["exec"]["command"][-1]
