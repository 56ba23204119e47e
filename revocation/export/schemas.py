"""The contract for other languages: JSON Schema files, AsyncAPI and OpenAPI documents.

Everything is derived from the models and settings, so a file can only be wrong if the
code is; `tests/unit/test_schemas.py` fails when the files in `schemas/` drift.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from revocation.entries import DENYLIST_KINDS, RECENT_EVENTS, Kind, Status
from revocation.events import EVENT_TYPES, CloudEvent
from revocation.events.rejections import TokenRejected
from revocation.export import asyncapi
from revocation.export.asyncapi_operations import REJECTED
from revocation.sidecar import openapi

Json = dict[str, Any]

_URN: Final = "urn:revocation:schema:"
_EXACT: Final = 2**53
"""Whole numbers up to here are exact in every JSON reader."""
_COUNT: Final[Json] = {"type": "integer", "minimum": 0, "maximum": _EXACT}
_TEXT: Final[Json] = {"type": "string", "minLength": 1}
_STATUS_NEEDS: Final = {
    "status_time": ["status", "status_partition"],
    "status_partition": ["status", "status_time"],
    "status_offset": ["status"],
}


def export(folder: Path) -> list[Path]:
    """Write every document into `folder`; create it if it is missing."""
    return write(folder, documents())


def write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files by name into `folder`; create it if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in contents.items():
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def documents() -> dict[str, bytes]:
    """Return every document by its file name; the output is deterministic."""
    schemas = {name: event_schema(model) for name, model in EVENT_TYPES.items()}
    schemas |= {"event": any_event_schema(), "update": update_schema()}
    schemas[REJECTED] = event_schema(TokenRejected)
    files = {f"{name}.json": _to_json(schema) for name, schema in schemas.items()}
    files["asyncapi.json"] = _to_json(asyncapi.document())
    files["openapi.json"] = openapi.encoded()
    return files


def event_schema(model: type[CloudEvent]) -> Json:
    """Return the schema of one event type, in structured mode."""
    schema = model.model_json_schema(schema_generator=_OnTheWire)
    return _identified(model.model_fields["type"].default, _as_sent(schema))


def any_event_schema() -> Json:
    """Return the schema of any event; `type` discriminates the alternatives."""
    models = EVENT_TYPES.values()
    _, schema = models_json_schema(
        [(model, "validation") for model in models], schema_generator=_OnTheWire
    )
    for model in models:
        _as_sent(schema["$defs"][model.__name__])
    alternatives = [{"$ref": f"#/$defs/{model.__name__}"} for model in models]
    return _identified(
        "event",
        {
            "title": "Event",
            "description": "Any event; its `type` says which.",
            "oneOf": alternatives,
            **schema,
        },
    )


def update_schema() -> Json:
    """Return the schema of a record of the entries topic (`updates.encode_update`)."""
    return _identified(
        "update",
        {
            "title": "Update",
            "description": (
                "The authority's conclusions, and what is known once this and all "
                "updates before it in the partition are applied."
            ),
            "type": "object",
            "properties": _update_properties(),
            "dependentRequired": {"offset": ["time"], "time": ["offset"]},
            "anyOf": [
                {"required": [name]} for name in ("offset", "entries", "forwarded")
            ],
            "$defs": {"Entry": _entry()},
        },
    )


def _update_properties() -> Json:
    return {
        "offset": _count(
            "In the same partition number of the events topic, everything up "
            "to here is concluded."
        ),
        "time": _count("LogAppendTime of that record, in milliseconds."),
        "entries": {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": "#/$defs/Entry"},
        },
        "awaits": _places(
            "Offsets in the forwarded topic that events up to `offset` were sent "
            "to: these are applied only when those are."
        ),
        "forwarded": _count(
            "In the same partition number of the forwarded topic, everything "
            "up to here is concluded."
        ),
        "lifetimes": _lifetimes(),
        "revocable_claims": _claim_sets(),
        "rerouted": _places("As `awaits`, in the events topic. Only in older records."),
    }


def _lifetimes() -> Json:
    return {
        "description": "The lifetimes that the authority is set to, in seconds; in "
        "pulses.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": _COUNT,
    }


def _claim_sets() -> Json:
    return {
        "description": "The claim sets that the authority accepts events about; in "
        "pulses.",
        "type": "array",
        "minItems": 1,
        "items": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    }


def _entry() -> Json:
    denylist = {"enum": sorted(map(str, DENYLIST_KINDS))}
    return {
        "description": "Absolute state of one target. Absent members have defaults: "
        "0, `active`, none.",
        "type": "object",
        "properties": {
            "kind": {"enum": [str(kind) for kind in Kind]},
            "issuer": _TEXT,
            "id": _TEXT,
            "source": _tuple(_COUNT, _COUNT, _COUNT)
            | {"description": "Partition, offset and LogAppendTime of the last event."},
            "expires_at": _count(
                "When the token expires, in milliseconds; 2^53-1 if the event does not "
                "say."
            ),
            "version": _COUNT,
            "forwarded_bumps": _count("How much of it came from forwarded events."),
            "not_before": _count("Milliseconds; tokens issued before are rejected."),
            **_status(),
            "recent": {
                "description": "Broker times, offsets and fingerprints of the events "
                "applied last; in older records no times.",
                "type": "array",
                "minItems": 1,
                "maxItems": RECENT_EVENTS,
                "items": {
                    "anyOf": [_tuple(_COUNT, _COUNT, _TEXT), _tuple(_COUNT, _TEXT)]
                },
            },
            "seen": _places(
                "The highest offset applied of each partition, where it is not that "
                "of `source`."
            ),
        },
        "required": ["kind", "issuer", "id", "source"],
        "if": {"properties": {"kind": denylist}},
        "then": {"required": ["expires_at"]},
        "else": {"dependentRequired": _STATUS_NEEDS},
    }


def _status() -> Json:
    return {
        "status": {"enum": [str(status) for status in Status]},
        "status_time": _count("Milliseconds; the status set later counts."),
        "status_partition": _count("The partition of the event that set the status."),
        "status_offset": _count("In older records: its offset, in place of both.")
        | {"minimum": -1},
    }


def _count(description: str) -> Json:
    return _COUNT | {"description": description}


def _places(description: str) -> Json:
    """Return the schema of pairs of a partition and an offset."""
    return {
        "description": description,
        "type": "array",
        "minItems": 1,
        "items": _tuple(_COUNT, _COUNT),
    }


def _tuple(*items: Json) -> Json:
    return {
        "type": "array",
        "prefixItems": list(items),
        "minItems": len(items),
        "maxItems": len(items),
    }


class _OnTheWire(GenerateJsonSchema):
    """Omits what matters to Python only: titles of fields, and defaults."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - override
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def _as_sent(schema: Json) -> Json:
    """Require `type`: the models default it, but it alone distinguishes events."""
    fields = CloudEvent.model_fields | {"type": None, "data": None}
    required = {"type", *schema["required"]}
    schema["required"] = [name for name in fields if name in required]
    return schema


def _identified(name: str, schema: Json) -> Json:
    """Name a schema; put its title and description first, definitions last."""
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": _URN + name}
    for key in ("title", "description"):
        head[key] = schema.pop(key)
    definitions = schema.pop("$defs")
    return {**head, **schema, "$defs": definitions}


def _to_json(document: Json) -> bytes:
    return orjson.dumps(
        document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
