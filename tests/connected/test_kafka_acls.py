"""The ACLs of docs/operations.md on a broker that grants nothing else.

`tests/unit/test_operations.py` compares the list with the existing topics and groups.
"""

import asyncio
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from revocation.events import CONTENT_TYPE, encode
from revocation.local import Kafka
from revocation.local.process import free_ports
from tests.forked import FORKER, Done
from tests.installation import Installation, Station, eventually
from tests.servers import Server
from tests.traffic import ISSUER, claims, logged_out
from tests.unit.test_operations import ACLS

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

PARTITIONS = 3
PRINCIPALS = sorted({row[0] for row in ACLS})


class KafkaWithLogins(Kafka):
    """A broker with a second listener, where clients log in and ACLs apply."""

    login_port: int

    def prepare(self) -> None:
        """Add the listener, the users and the authorizer to the settings."""
        super().prepare()
        text = self._settings.read_text()
        listener = rf"\g<0>,LOGIN://127.0.0.1:{self.login_port}"
        text = re.sub(r"(?m)^(advertised\.)?listeners=.*$", listener, text)
        text = text.replace(":PLAINTEXT\n", ":PLAINTEXT,LOGIN:SASL_PLAINTEXT\n", 1)
        users = " ".join(f'user_{each}="{each}"' for each in [*PRINCIPALS, "nobody"])
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        more = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer."
            "StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": f"{module} required {users};",
        }
        lines = [f"{name}={value}\n" for name, value in more.items()]
        self._settings.write_text(text + "".join(lines))


def grant(broker: Kafka) -> None:
    bindings = []
    for principal, resource, operations, _ in ACLS:
        kind, name = re.fullmatch(r"(topic|group) `(.+)`", resource).groups()
        for operation in operations.split(", "):
            spelt = re.sub(r"(?<!^)([A-Z])", r"_\1", operation).upper()
            bindings.append(
                AclBinding(
                    *(ResourceType[kind.upper()], name, ResourcePatternType.LITERAL),
                    *(f"User:{principal}", "*"),
                    *(AclOperation[spelt], AclPermissionType.ALLOW),
                )
            )
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for made in admin.create_acls(bindings).values():
        made.result()


LOGGED_IN = "tests.connected.logged_in"


class Secured(Installation):
    """Stations and commands that are logged in."""

    def start_as(self, principal: str, *command: str, **more: str) -> None:
        """Start a station."""
        log, words = self.folder / f"{principal}.log", [LOGGED_IN, principal, *command]
        self.stations[principal] = Station(principal, words, self.env(**more), log)
        self.stations[principal].start()

    def typed_as(self, principal: str, *command: str) -> Done:
        """Run a command to its end."""
        env = self.env(regions=orjson.dumps(self._regions).decode())
        return FORKER.run(LOGGED_IN, [principal, *command], env)

    @property
    def _regions(self) -> dict[str, str]:
        return {region: store.url for region, store in self.stores.items()}


@contextmanager
def secured(folder: Path) -> Iterator[tuple[Kafka, Secured]]:
    broker = KafkaWithLogins(folder / "kafka")
    broker.login_port = free_ports(1)[0]
    with broker:
        address = f"127.0.0.1:{broker.login_port}"
        installation = Secured(folder, address, partitions=PARTITIONS)
        installation.settings["topic_prefix"] = "revocation"
        try:
            yield broker, installation
        finally:
            installation.stop()


def records(broker: Kafka, topic: str) -> int:
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "unused"}
    )
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum(consumer.get_watermark_offsets(each)[1] for each in places)
    finally:
        consumer.close()


def spoil(broker: Kafka) -> None:
    """Write one event to each partition, and two unreadable records."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(PARTITIONS):
        headers = {"content-type": CONTENT_TYPE}
        event = encode(logged_out("misplaced"))
        producer.produce("revocation.events", event, partition=number, headers=headers)
    producer.produce("revocation.events", b"no event", partition=0)
    producer.produce("revocation.entries", b"no update", partition=0)
    producer.flush()


def check(url: str, user: str) -> bytes:
    body = orjson.dumps({"claims": claims(user, now=int(time.time()))})
    head = {"content-type": "application/json"}
    asked = urllib.request.Request(f"{url}/v1/check", body, head)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read()


async def test_the_listed_acls_are_sufficient_and_the_only_ones(tmp_path):
    with secured(tmp_path) as (broker, installation):
        refused = installation.typed_as("nobody", "topics", "init")
        assert "uthorization" in refused.err
        grant(broker)
        made = installation.typed_as("setup", "topics", "init")
        assert made.code == 0, made.err
        store = installation.stores["eu"] = Server.start(tmp_path / "store")
        own = {"region": "eu", "store_url": store.url}
        port = str(free_ports(1)[0])
        installation.start_as("authority", "authority", data_dir=str(tmp_path / "a"))
        installation.start_as("projector", "projector", **own)
        installation.start_as(
            *("verifier", "sidecar"), **own, sidecar_port=port, report_rejections="1"
        )
        await installation.ready()

        event = ("user-logged-out", "--issuer", ISSUER, "--user", "alice")
        published = installation.typed_as(
            *("producer", "publish", *event), "--wait", "applied"
        )
        assert published.code == 0, published.err
        assert "dead letters cannot be read" not in published.err

        spoil(broker)
        await eventually(lambda: records(broker, "revocation.dead-letters") >= 2)
        await eventually(lambda: records(broker, "revocation.forwarded") >= 2)
        await eventually(lambda: installation.typed_as("operator", "status").code == 4)

        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: b"issued_before_cut_off" in check(url, "alice"))
        await eventually(lambda: records(broker, "revocation.rejections") > 0)

        rebuilt = await asyncio.to_thread(
            installation.typed_as, "projector", "rebuild", "eu"
        )
        assert rebuilt.code == 0, rebuilt.err
        assert {each.exit_code for each in installation.stations.values()} == {None}
