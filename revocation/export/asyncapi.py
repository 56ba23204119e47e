"""The AsyncAPI 3.0 document: topics, senders and receivers, keys and headers.

Payloads refer to the JSON Schema files beside it, so that each shape is defined once.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from revocation.entries import Offset, Position, UnixMs
from revocation.errors import ContractError, RevocationError
from revocation.events import CONTENT_TYPE, EVENT_TYPES, CloudEvent
from revocation.events.rejections import TokenRejected
from revocation.export.asyncapi_operations import BINDING, REJECTED, operations
from revocation.kafka.clients import dead_letter_headers
from revocation.settings import KafkaSettings
from revocation.topics import PULSE_KEY, Topics, TopicSpec

Json = dict[str, Any]

CONTRACT_VERSION: Final = "1.3.0"
"""Grows with the contract, not with the package (semantic versioning)."""

_PULSE: Final = PULSE_KEY.decode()


def document() -> Json:
    """Return the document for the default settings."""
    # No environment: the document must not depend on where it is generated.
    settings = KafkaSettings.model_construct()
    specs = settings.topics.specs(
        partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        window_ms=settings.retention_ms,
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Token revocation",
            "version": CONTRACT_VERSION,
            "description": "Producers publish events; authorities conclude entries; "
            "projectors apply them to their region. The prefix of topic names is a "
            "setting; partitions and replicas are defaults; "
            "retention and sizes are the minimum allowed.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {"host": settings.bootstrap_servers, "protocol": "kafka"},
        },
        "channels": _channels(settings.topics, specs, settings.replication_factor),
        "operations": operations(settings.topics),
        "components": {
            "messages": _messages(),
            "messageTraits": {"structured": _structured()},
        },
    }


def _channels(topics: Topics, specs: Iterable[TopicSpec], replicas: int) -> Json:
    described = {
        topics.events: ("events", "The events.", [*EVENT_TYPES, "binary", "pulse"]),
        topics.forwarded: (
            "forwarded",
            "Events from partitions other than their target's; authorities only.",
            ["forwarded"],
        ),
        topics.entries: ("entries", "The authority's conclusions.", ["update"]),
        topics.dead_letters: (
            "deadLetters",
            "Records that are unreadable or break a rule, in their original bytes.",
            ["deadLetter"],
        ),
        topics.rejections: (
            "rejections",
            "Uses of revoked tokens, sampled; any may be lost.",
            [REJECTED],
        ),
    }
    channels = {}
    for spec in specs:
        name, summary, messages = described[spec.name]
        channels[name] = {
            "address": spec.name,
            "summary": summary,
            "messages": {
                each: {"$ref": f"#/components/messages/{each}"} for each in messages
            },
            "bindings": {"kafka": _topic_binding(spec, replicas)},
        }
    return channels


def _topic_binding(spec: TopicSpec, replicas: int) -> Json:
    exact = {name: _typed(value) for name, value in spec.exact.items()}
    exact["cleanup.policy"] = spec.exact["cleanup.policy"].split(",")
    return {
        "topic": spec.name,
        "partitions": spec.partitions,
        "replicas": replicas,
        "topicConfiguration": {**exact, **spec.minimum},
        "bindingVersion": BINDING,
    }


def _typed(value: str) -> Any:
    """Return a number or boolean as such: the binding is typed, Kafka's are not."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _messages() -> Json:
    return {
        **{name: _event(name, model) for name, model in EVENT_TYPES.items()},
        "binary": _binary(),
        "pulse": {
            "title": "Pulse",
            "summary": "A record that only marks its offset and time in the log.",
            "payload": {"type": "object", "maxProperties": 0},
            "bindings": _key({"const": _PULSE}),
        },
        "update": {
            "title": "Update",
            "summary": "The conclusions from one record, and how far they reach.",
            "payload": {"$ref": "./update.json"},
            "bindings": _key(
                {
                    "type": "string",
                    "description": "The first entry's `issuer|kind|id`; "
                    f"`{_PULSE}` if there is none.",
                }
            ),
        },
        "forwarded": _forwarded(),
        "deadLetter": _dead_letter(),
        REJECTED: _rejected(),
    }


def _event(name: str, model: type[CloudEvent]) -> Json:
    return {
        "name": name,
        "title": model.__name__,
        "summary": model.__doc__,
        "payload": {"$ref": f"./{name}.json"},
        "traits": [{"$ref": "#/components/messageTraits/structured"}],
    }


def _rejected() -> Json:
    content_type = {"const": CONTENT_TYPE}
    return {
        "name": REJECTED,
        "title": TokenRejected.__name__,
        "summary": TokenRejected.__doc__,
        "contentType": CONTENT_TYPE,
        "headers": {"type": "object", "properties": {"content-type": content_type}},
        "payload": {"$ref": f"./{REJECTED}.json"},
        "bindings": _key({"type": "string", "description": "`digest` of the `data`."}),
    }


def _structured() -> Json:
    """Return the properties that all events in structured mode share."""
    return {
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                "content-type": {
                    "type": "string",
                    "pattern": "^application/cloudevents",
                    "description": "Send it. Without it and without `ce_specversion`, "
                    "the value is still read as structured.",
                },
            },
        },
        "bindings": _event_key(),
    }


def _binary() -> Json:
    """Return one message for all types: in binary mode, headers hold the envelope."""
    required = ["ce_specversion", "ce_id", "ce_source", "ce_type"]
    attributes: Json = {name: {"type": "string"} for name in (*required, "ce_time")}
    attributes["ce_type"] = {"enum": [*EVENT_TYPES]}
    # Types that share a model of `data` appear once, as the last of them.
    payloads: dict[Any, str] = {
        model.model_fields["data"].annotation: f"./{name}.json#/properties/data"
        for name, model in EVENT_TYPES.items()
    }
    return {
        "title": "BinaryMode",
        "summary": "Any event in binary mode: the value is `data` alone.",
        "headers": {
            "type": "object",
            "properties": {"content-type": {"const": "application/json"}, **attributes},
            "required": required,
        },
        "payload": {"anyOf": [{"$ref": each} for each in payloads.values()]},
        "bindings": _event_key(),
    }


def _forwarded() -> Json:
    return {
        "title": "Forwarded",
        "summary": "The original value and headers, or a part of a bulk event, in "
        "structured mode.",
        "headers": {
            "type": "object",
            "description": "In addition to the original headers.",
            "properties": {
                "forwarded-from": {
                    "type": "string",
                    "pattern": "^[0-9]+-[0-9]+-[0-9]+$",
                    "description": "Partition, offset and LogAppendTime of the "
                    "original in the events topic.",
                },
            },
            "required": ["forwarded-from"],
        },
        "payload": {"description": "An event, in structured or binary mode."},
        "bindings": _event_key(),
    }


def _dead_letter() -> Json:
    somewhere = Position(0, Offset(0), UnixMs(0))
    names = [name for name, _ in dead_letter_headers(RevocationError(), "", somewhere)]
    headers: dict[str, Json] = {name: {"type": "string"} for name in names}
    codes = [each.code for each in ContractError.__subclasses__()]
    headers["dead-letter-code"] = {"enum": [*codes, RevocationError.code]}
    for name in ("partition", "offset", "timestamp"):
        headers[f"dead-letter-{name}"]["pattern"] = "^[0-9]+$"
    return {
        "title": "DeadLetter",
        "summary": "The original key, value and headers, and why it was parked.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "description": "In addition to the original headers; values are ASCII.",
            "properties": headers,
            "required": names,
        },
        "payload": {"description": "The original value, unchanged."},
        "bindings": _key({"description": "The original key, if there was one."}),
    }


def _event_key() -> Json:
    return _key(
        {
            "type": "string",
            "description": "`issuer|kind|id` of the target; for a bulk event, of its "
            "first user. It chooses the partition as Kafka's Java client does.",
        }
    )


def _key(schema: Json) -> Json:
    return {"kafka": {"key": schema, "bindingVersion": BINDING}}
