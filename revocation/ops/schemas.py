"""The contract for other languages: JSON Schema files, AsyncAPI and OpenAPI documents.

Everything is derived from the models and settings, so a file can only be wrong when the
code is; `tests/unit/test_schemas.py` fails when the files in `schemas/` drift.
"""

from pathlib import Path
from typing import Any, Final

import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from revocation.entries import DENYLIST_KINDS, RECENT_EVENTS, Kind, Status
from revocation.events import EVENT_TYPES, CloudEvent
from revocation.ops import asyncapi
from revocation.ops.block_yaml import to_yaml
from revocation.rejections import TokenRejected
from revocation.sidecar import openapi

Json = dict[str, Any]

_URN: Final = "urn:revocation:schema:"
_EXACT: Final = 2**53
"""Whole numbers up to here are exact in every JSON reader."""
_COUNT: Final[Json] = {"type": "integer", "minimum": 0, "maximum": _EXACT}
_TEXT: Final[Json] = {"type": "string", "minLength": 1}


def export(folder: Path) -> list[Path]:
    """Write every document into `folder`, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in documents().items():
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def documents() -> dict[str, bytes]:
    """Return every document by its file name; the same bytes each time."""
    schemas = {name: event_schema(model) for name, model in EVENT_TYPES.items()}
    schemas |= {"event": any_event_schema(), "update": update_schema()}
    schemas[asyncapi.REJECTED] = event_schema(TokenRejected)
    files = {f"{name}.json": _to_json(schema) for name, schema in schemas.items()}
    files["asyncapi.yaml"] = to_yaml(asyncapi.document()).encode()
    files["openapi.json"] = openapi.encoded()
    return files


def event_schema(model: type[CloudEvent]) -> Json:
    """Return the schema of one event type, in structured mode."""
    schema = model.model_json_schema(schema_generator=_OnTheWire)
    return _identified(model.model_fields["type"].default, _as_sent(schema))


def any_event_schema() -> Json:
    """Return the schema of any event; `type` tells the alternatives apart."""
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
            "description": "Any event, told apart by its `type`.",
            "oneOf": alternatives,
            **schema,
        },
    )


def update_schema() -> Json:
    """Return the schema of a record of the entries topic (`entries.encode_update`)."""
    return _identified(
        "update",
        {
            "title": "Update",
            "description": (
                "All that the authority concluded from the record at `offset` in the "
                "same partition number of the events topic. Without entries: a pulse."
            ),
            "type": "object",
            "properties": {
                "offset": _COUNT | {"description": "Of the source, in its partition."},
                "time": _COUNT
                | {"description": "LogAppendTime of the source, in milliseconds."},
                "entries": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"$ref": "#/$defs/Entry"},
                },
                "rerouted": {
                    "description": (
                        "Where misplaced events were sent on to, as partition and "
                        "offset: this record is applied only when those are."
                    ),
                    "type": "array",
                    "minItems": 1,
                    "items": _tuple(_COUNT, _COUNT),
                },
            },
            "required": ["offset", "time"],
            "$defs": {"Entry": _entry()},
        },
    )


def _entry() -> Json:
    return {
        "description": "Absolute state of one target, as of the event at `source`. "
        "What is absent has its default: 0, `active`, none.",
        "type": "object",
        "properties": {
            "kind": {"enum": [str(kind) for kind in Kind]},
            "issuer": _TEXT,
            "id": _TEXT,
            "source": _tuple(_COUNT, _COUNT, _COUNT)
            | {"description": "Partition, offset and LogAppendTime of the event."},
            "expires_at": _COUNT
            | {"description": "Milliseconds; rejected until then."},
            "version": _COUNT,
            "not_before": _COUNT
            | {"description": "Milliseconds; tokens issued before are rejected."},
            "status": {"enum": [str(status) for status in Status]},
            "status_offset": _COUNT | {"minimum": -1},
            "recent": {
                "description": "Offsets and fingerprints of the events applied last.",
                "type": "array",
                "minItems": 1,
                "maxItems": RECENT_EVENTS,
                "items": _tuple(_COUNT, _TEXT),
            },
        },
        "required": ["kind", "issuer", "id", "source"],
        "if": {"properties": {"kind": {"enum": sorted(map(str, DENYLIST_KINDS))}}},
        "then": {"required": ["expires_at"]},
        "else": {
            "dependentRequired": {
                "status": ["status_offset"],
                "status_offset": ["status"],
            }
        },
    }


def _tuple(*items: Json) -> Json:
    return {
        "type": "array",
        "prefixItems": list(items),
        "minItems": len(items),
        "maxItems": len(items),
    }


class _OnTheWire(GenerateJsonSchema):
    """Leaves out what only Python cares about: titles of fields, and defaults."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - override
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def _as_sent(schema: Json) -> Json:
    """Require `type`: the models default it, but only it tells events apart."""
    fields = CloudEvent.model_fields | {"type": None, "data": None}
    required = {"type", *schema["required"]}
    schema["required"] = [name for name in fields if name in required]
    return schema


def _identified(name: str, schema: Json) -> Json:
    """Name a schema; what a reader asks first comes first, definitions last."""
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": _URN + name}
    for key in ("title", "description"):
        head[key] = schema.pop(key)
    definitions = schema.pop("$defs")
    return {**head, **schema, "$defs": definitions}


def _to_json(document: Json) -> bytes:
    return orjson.dumps(
        document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
