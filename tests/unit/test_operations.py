"""docs/operations.md against the code: times, causes, codes, metrics, ACLs and sums."""

import ast
import re
from uuid import uuid4

import pytest
import yaml

from revocation import __main__, events, ledger, publisher, watchdog
from revocation.authority import ordered_producer
from revocation.entries import Offset, Position, UnixMs
from revocation.events import UserLoggedOut
from revocation.projector import projector_watch
from revocation.settings import (
    AuthoritySettings,
    KafkaSettings,
    LimitSettings,
    ProjectorSettings,
)
from revocation.sidecar import sidecar
from revocation.topics import PULSE_KEY, PULSE_VALUE, record_key
from revocation.updates import Update, encode_entry, encode_update
from revocation.verifier import feed_watch
from tests.reference.metrics_page import declared_metrics, exposed
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


ORDERED_TOPICS = rows("Topics")[1:]
ACLS = rows("Kafka ACLs")[1:]

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
    section = PAGE.split("`revocation_stalls_total{cause}`")[1].split("A process")[0]
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


# Metrics ------------------------------------------------------------------------------

METRICS = {exposed(each.metric): each for each in declared_metrics()}


def watched():
    return set(re.findall(r"\brevocation_[a-z_]+", PAGE.split("## What to watch")[1]))


def test_every_metric_that_is_named_is_there():
    named = {name.removesuffix("_bucket") for name in watched()}
    assert named <= METRICS.keys()


def test_every_metric_with_an_alarm_is_watched():
    alarming = {
        name
        for name, each in METRICS.items()
        if "Alarm on" in each.metric._documentation
    }
    assert len(alarming) >= 10
    assert alarming <= watched()


def test_a_label_is_the_metrics_own():
    asked = re.findall(r"`(revocation_[a-z_]+)\{([a-z]+)[=!]", PAGE)
    assert len(asked) >= 6
    assert [
        (name, label)
        for name, label in asked
        if label not in METRICS[name].metric._labelnames
    ] == []


# Kafka --------------------------------------------------------------------------------


def specs():
    settings = KafkaSettings()
    return settings.topics.specs(
        partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        window_ms=settings.retention_ms,
    )


def test_the_topics_are_those_of_the_code():
    assert [f"`{spec.name.split('.')[1]}`" for spec in specs()] == [
        row[0] for row in ORDERED_TOPICS
    ]
    for row, spec in zip(ORDERED_TOPICS, specs(), strict=True):
        days = int(spec.minimum["retention.ms"]) / DAY_MS
        assert row[2].startswith((f"{days:.1f} days", f"{days:g} days"))
        assert row[3] == f"{spec.minimum['max.message.bytes'] // 2**20} MiB"


def test_acls_are_about_topics_and_groups_that_are_there():
    region = ProjectorSettings(region="eu", store_url="redis://", pepper_file="pepper")
    groups = {AuthoritySettings().authority_id, region.group_id}
    topics = {spec.name for spec in specs()}
    named = [re.fullmatch(r"(topic|group) `(.+)`", row[1]).groups() for row in ACLS]
    assert {name for kind, name in named if kind == "topic"} == topics
    assert {name for kind, name in named if kind == "group"} == groups


def test_only_stations_that_write_a_topic_may():
    writers = {
        (row[0], row[1].split("`")[1].split(".")[1])
        for row in ACLS
        if "Write" in row[2]
    }
    said = {
        (who.removesuffix("s").replace("authoritie", "authority"), row[0].strip("`"))
        for row in ORDERED_TOPICS
        for who in row[1].split(", ")
    }
    assert writers == said


# Sums ---------------------------------------------------------------------------------

USERS = 1_000_000
DAY_MS = 86_400_000


def alone(key, value, headers=0):
    """The bytes of a record batch of one record (Kafka's format, version 2)."""
    return 61 + 9 + len(key) + len(value) + headers


def logout():
    """Return the bytes of a logout as an event, as an entry and as a ledger's row."""
    event = UserLoggedOut.new(
        source="/idp", issuer="https://idp.example/realms/main", user=str(uuid4())
    )
    (target,) = events.targets(event)
    at = Position(1, Offset(1_000_000), UnixMs(1_790_000_000_000))
    result = ledger.apply(None, event, target, at, LimitSettings().limits)
    update = encode_update(Update(at, (result.entry,)))
    key = record_key(target)
    header = len("content-type") + len(events.CONTENT_TYPE) + 2
    row = len(key) + len(encode_entry(result.entry))
    return alone(key, events.encode(event), header), alone(key, update), row


def pulse():
    """Return the bytes of a pulse in the topic of events, and of what follows it."""
    at = Position(1, Offset(1_000_000), UnixMs(1_790_000_000_000))
    stated = AuthoritySettings().stated
    update = encode_update(Update(at, forwarded=Offset(1_000), stated=stated))
    return alone(PULSE_KEY, PULSE_VALUE), alone(PULSE_KEY, update)


def test_records_have_the_size_that_the_sums_take():
    assert pulse() == pytest.approx((86, 294), rel=0.03)
    assert logout() == pytest.approx((450, 430, 310), rel=0.03)


def test_what_a_million_users_cost_in_memory():
    alive = round(USERS * LimitSettings().relevance_ms / DAY_MS)
    assert f"{LimitSettings().relevance_ms / 1_000:,.0f} s" in WORDS
    assert f"= {alive:,} entries are alive" in WORDS
    sizes = [
        row for row in rows("What a million users cost") if "user's entry" in row[0]
    ]
    assert len(sizes) == 3
    for _, each, now, at_once in sizes:
        assert now == f"{int(each) * alive / 1e6:.1f} MB"
        assert at_once == f"{int(each) * USERS / 1e6:.0f} MB"


def test_what_a_million_users_cost_on_disk():
    settings = AuthoritySettings()
    pulses = settings.partitions * DAY_MS // settings.pulse_interval_ms
    assert f"= {pulses:,} in each" in WORDS
    a_day = [pulses * (86 + 294), USERS * (450 + 430), USERS * 430]
    days = settings.retention_ms / DAY_MS
    for each in a_day:
        assert f"| {each / 1e9:.2f} GB |" in PAGE
    total = sum(round(each / 1e9, 2) for each in a_day)
    assert f"| all | | | {total:.2f} GB |" in PAGE
    assert f"for {days:.1f} days (below), so {total * days:.1f} GB on each" in WORDS
    assert f"and {total * days * settings.replication_factor:.0f} GB with" in WORDS
    records = (pulses + 2 * USERS) * days
    assert f"{records / 1e6:.1f} million records" in WORDS
    assert f"{pulses * days / 1e6:.1f} million pulses" in WORDS
    recovery_minutes = pulses * days * 0.14e-3 / 60
    assert f"{recovery_minutes:.0f} minutes for the" in WORDS


def test_the_retention_is_that_of_the_code():
    assert f"= {KafkaSettings().retention_ms / 1_000:,.0f} s" in WORDS


# Links --------------------------------------------------------------------------------


def anchors(text):
    """Return what GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^a-z0-9_ -]", "", each.lower()) for each in headings)
    return {each.replace(" ", "-") for each in plain}


def test_links_lead_somewhere():
    folder = ROOT / "docs"
    links = re.findall(r"\]\(([a-z/-]*(?:\.md)?)(?:#([a-z0-9_-]+))?\)", PAGE)
    assert len(links) > 40
    for name, anchor in links:
        text = (folder / name).read_text() if name else PAGE
        assert not anchor or anchor in anchors(text), f"{name}#{anchor}"
