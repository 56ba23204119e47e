"""A real Apache Kafka broker: one node, its own controller (KRaft), on loopback.

Its settings favour quick failover on a small machine. Nothing here is advice for
production, which has three brokers or more.
"""

import base64
import os
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from revocation.errors import EmbeddedError
from revocation.local import jars
from revocation.local.local_server import LocalServer
from revocation.local.process import LOOPBACK, free_ports

_LOG4J: Final = Path(__file__).with_name("log4j2.xml")
_SETTINGS: Final = """\
# Rewritten at each start. One node is the broker and its own controller.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}

# A misspelt topic is an error, not a new topic with the wrong settings.
auto.create.topics.enable=false

# The broker's own topics: there is no second node to replicate to, and a single
# partition loads fastest after a start.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A group's first member need not wait 3 s for company.
group.initial.rebalance.delay.ms=0
# Stations here have sessions of 3 s, tests shorter ones; the default minimum is 6 s.
group.min.session.timeout.ms=500

# After kill -9 the broker waits until its own old registration has lapsed: 9 s by
# default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500

# A small machine: threads for two cores, and less than the default 128 MB for a cleaner
# that only cleans the consumer offsets.
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


class Kafka(LocalServer):
    """A Kafka broker with its data in `folder`."""

    name = "kafka"
    launch_seconds = 90

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Find Java, and find or fetch the jars; start nothing yet.

        Raises:
            MissingExtraError: the extra `embedded` is not installed.
            EmbeddedError: the jars could not be fetched.
        """
        super().__init__(folder, port=port)
        self._java = jars.java()
        self._jars = jars.fetch(tell)
        self._controller_port = free_ports(1)[0]

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the broker."""
        options = (self._ready_classes, "-Xmx512m", "-Drevocation.log=INFO")
        return (*self._run("kafka.Kafka", *options), str(self._settings))

    def tool(self, name: str) -> tuple[str, ...]:
        """Return the command of one of Kafka's tools, by its Java class.

        For instance `org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`; its
        arguments follow.
        """
        return self._run(name, self._ready_classes, "-Xmx128m")

    def prepare(self) -> None:
        """Write the settings and format the data folder if it is new.

        Raises:
            EmbeddedError: the folder cannot be formatted.
        """
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(
            _SETTINGS.format(
                host=LOOPBACK,
                port=self.port,
                controller_port=self._controller_port,
                data=data,
            )
        )
        if not (data / "meta.properties").exists():
            self._format(data)

    def answers(self) -> bool:
        """Return whether a metadata request is answered and names this broker."""
        return answers(self.port)

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _aot_cache(self) -> Path:
        return self._jars.with_name(f"{self._jars.name}-java-{jars.java_version()}.aot")

    @property
    def _ready_classes(self) -> str:
        """Have Java load classes from its cache, which halves the start.

        Without the file it starts as usual.
        """
        return f"-XX:AOTCache={self._aot_cache}"

    @contextmanager
    def _writing_classes(self) -> Iterator[str]:
        """Have Java write the classes that it loads to its cache, atomically."""
        prefix = ".classes-"
        with tempfile.TemporaryDirectory(dir=self._jars.parent, prefix=prefix) as name:
            written = Path(name, self._aot_cache.name)
            yield f"-XX:AOTCacheOutput={written}"
            if written.exists():
                written.rename(self._aot_cache)

    def _run(self, name: str, *options: str) -> tuple[str, ...]:
        return (
            self._java,
            # The second compiler needs minutes to pay off, and both cores until then.
            "-XX:TieredStopAtLevel=1",
            # Java's messages about its cache would mix with a tool's results.
            "-Xlog:disable",
            *options,
            # Kafka unmaps its files in a way that later Java versions forbid.
            "--sun-misc-unsafe-memory-access=allow",
            f"-Dlog4j2.configurationFile={_LOG4J}",
            *("-cp", f"{self._jars}/*"),
            name,
        )

    def _format(self, data: Path) -> None:
        """Format the data folder; the first time, write the class cache as well."""
        if self._aot_cache.exists() or not os.access(self._jars.parent, os.W_OK):
            self._format_with(self._ready_classes, data)
            return
        with self._writing_classes() as option:
            self._format_with(option, data)

    def _format_with(self, option: str, data: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # The tool would read an argument that begins with a dash as an option.
        cluster = f"A{cluster[1:]}"
        tool = (*self._run("kafka.tools.StorageTool", option, "-Xmx128m"), "format")
        options = ("--cluster-id", cluster, "--config", str(self._settings))
        done = subprocess.run(  # noqa: S603 - no argument from outside
            [*tool, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise EmbeddedError(
                f"Kafka's data folder {data} could not be formatted; is the disk full, "
                f"or the folder another Kafka's? It said: {done.stdout[-2_000:]}"
            )


def answers(port: int) -> bool:
    """Return whether a metadata request is answered and names a broker."""
    # Version 1, for no topics: length, then key, version, correlation, client, topics.
    request = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as answer:
                _length, _correlation, brokers = struct.unpack(">iii", answer.read(12))
    except (OSError, struct.error):
        return False
    return bool(brokers > 0)
