"""Creates the topics, and refuses topics that could lose revocations."""

import asyncio
from collections.abc import Mapping
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from revocation.errors import TopicError
from revocation.settings import KafkaSettings
from revocation.topics import TopicSpec

_FOREVER_MS = -1
_TOPIC_EXISTS = 36
_VISIBLE_TRIES = 100
_VISIBLE_PAUSE_SECONDS = 0.05


async def provision(settings: KafkaSettings) -> list[str]:
    """Create the topics that are missing, then verify; return those created.

    Raises:
        TopicError: a topic could not be created or is unsuitable.
    """
    async with _Admin(settings) as admin:
        wanted = _specs(settings)
        existing = set(await admin.list_topics())
        missing = [spec for spec in wanted if spec.name not in existing]
        if missing:
            await _create(admin, missing, settings.replication_factor)
            await _visible(admin, missing)
        await _verify(admin, wanted)
    return [spec.name for spec in missing]


async def verify(settings: KafkaSettings) -> str | None:
    """Verify the settings of every topic that revocations depend on.

    Returns the id of the Kafka cluster, if the broker reports one (KIP-78).

    Raises:
        TopicError: says which topic, what is wrong and what to do.
    """
    async with _Admin(settings) as admin:
        await _verify(admin, _specs(settings))
        cluster = await admin.describe_cluster()
    return cluster.get("cluster_id") or None


def _specs(settings: KafkaSettings) -> tuple[TopicSpec, ...]:
    return settings.topics.specs(
        partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        window_ms=settings.retention_ms,
    )


class _Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(bootstrap_servers=settings.bootstrap_servers)
        self._servers = settings.bootstrap_servers

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except KafkaError as error:
            await self.close()
            raise TopicError(
                f"no broker answers at {self._servers}: {error!r}; "
                "check REVOCATION_BOOTSTRAP_SERVERS"
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _create(
    admin: AIOKafkaAdminClient, specs: list[TopicSpec], replication_factor: int
) -> None:
    answer = await admin.create_topics(
        [
            NewTopic(
                spec.name,
                spec.partitions,
                replication_factor,
                topic_configs={
                    **spec.exact,
                    **{name: str(value) for name, value in spec.minimum.items()},
                },
            )
            for spec in specs
        ]
    )
    for name, code, message in answer.topic_errors:
        if code not in (0, _TOPIC_EXISTS):
            reason = message or for_code(code).__name__
            raise TopicError(f"cannot create topic {name}: {reason}")


async def _visible(admin: AIOKafkaAdminClient, created: list[TopicSpec]) -> None:
    """Wait until new topics appear in the brokers' metadata: it takes a moment."""
    names = {spec.name for spec in created}
    for _ in range(_VISIBLE_TRIES):
        described = await admin.describe_topics(list(names))
        if names <= {each["topic"] for each in described if each["partitions"]}:
            return
        await asyncio.sleep(_VISIBLE_PAUSE_SECONDS)


async def _verify(admin: AIOKafkaAdminClient, specs: tuple[TopicSpec, ...]) -> None:
    needed = [spec for spec in specs if not spec.telemetry]
    described = await admin.describe_topics([spec.name for spec in needed])
    partitions = {each["topic"]: len(each["partitions"]) for each in described}
    for spec in needed:
        if not partitions.get(spec.name):
            raise TopicError(
                f"topic {spec.name} does not exist; run `revocation topics init`"
            )
        if partitions[spec.name] != spec.partitions:
            raise TopicError(
                f"topic {spec.name} has {partitions[spec.name]} partitions, settings "
                f"say {spec.partitions}; set REVOCATION_PARTITIONS to "
                f"{partitions[spec.name]}: adding partitions would split targets"
            )
        _require_settings(spec, await _settings_of(admin, spec.name))


async def _settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    (answer,) = await admin.describe_configs([resource])
    (found,) = answer.resources
    return {entry[0]: entry[1] for entry in found[4]}


def _require_settings(spec: TopicSpec, actual: Mapping[str, str]) -> None:
    for name, value in spec.exact.items():
        if actual.get(name) != value:
            raise TopicError(
                f"topic {spec.name} has {name}={actual.get(name)}, but revocations may "
                f"be lost unless it is {value}; alter the topic's configuration"
            )
    for name, minimum in spec.minimum.items():
        number = int(actual.get(name, 0))
        if number != _FOREVER_MS and number < minimum:
            raise TopicError(
                f"topic {spec.name} has {name}={number}, but the configured lifetimes "
                f"require at least {minimum}; alter the topic's configuration"
            )
