"""Writes `revocation/local/jars.sha256`: `make jars`.

Kafka's version is defined only here; its POM names the dependencies.
"""

import hashlib
import tempfile
from pathlib import Path

from revocation.local import jars

KAFKA = "4.3.1"
LOG4J = "2.25.4"
"""The version that Kafka depends on; the binding must have the same one."""

WITH_DEPENDENCIES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    # Without a binding of SLF4J 1.7 the broker logs nothing.
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
)
ALONE = (
    # Its dependencies are Connect with Jetty and Jersey: half of all jars, for one tool
    # that is not used here. What the others need comes with the broker.
    f"org.apache.kafka:kafka-tools:{KAFKA}",
)


def find(repository: Path) -> list[jars.Jar]:
    """Return Kafka's jars as Maven resolves them, fetched into a folder."""
    maven = jars.maven(repository)
    wanted = [maven.create_dependency(each) for each in WITH_DEPENDENCIES]
    for each in wanted:
        # Else Log4j's own tests would decide the version of Kafka's client.
        each.raw = True
    named, reached = maven.resolver.resolve(wanted)
    named += [maven.create_dependency(each) for each in ALONE]
    found = [
        jars.Jar(
            hashlib.sha256(each.artifact.resolve().read_bytes()).hexdigest(),
            f"{each.groupId}:{each.artifactId}:{each.version}",
        )
        for each in named + reached
    ]
    return sorted(found, key=lambda jar: jar.coordinates)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, jars.trusting_the_machine():
        lines = [f"{jar.sha256}  {jar.coordinates}\n" for jar in find(Path(folder))]
    jars.LIST.write_text("".join(lines))
