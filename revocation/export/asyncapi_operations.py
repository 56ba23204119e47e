"""The operations of the AsyncAPI document: the senders and receivers of each topic.

`asyncapi.py` has the document around them.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from revocation.events import EVENT_TYPES
from revocation.events.rejections import TokenRejected
from revocation.settings import AuthoritySettings
from revocation.topics import Topics

Json = dict[str, Any]

REJECTED: Final[str] = TokenRejected.model_fields["type"].default
"""The type of the one event that this service itself produces."""

BINDING: Final = "0.5.0"
"""The version of AsyncAPI's Kafka bindings."""


def operations(topics: Topics) -> Json:
    """Return the operations by name: what is sent or received, and by which station."""
    return {
        **_to_events(),
        **_from_events_to_entries(),
        **_from_entries(topics),
        "park": _operation(
            "send",
            "deadLetters",
            ["deadLetter"],
            "The authority or a projector parks a record that it cannot use.",
        ),
        "report": _operation(
            "send",
            "rejections",
            [REJECTED],
            "A verifier reports that tokens of a revoked target are in use.",
        ),
    }


def _to_events() -> Json:
    return {
        "publish": _operation(
            "send",
            "events",
            [*EVENT_TYPES, "binary"],
            "A producer publishes an event.",
        ),
        "pulse": _operation(
            "send", "events", ["pulse"], "The authority marks a position in the log."
        ),
    }


def _from_events_to_entries() -> Json:
    default = AuthoritySettings(topic_prefix="revocation").authority_id
    return {
        "conclude": _operation(
            "receive",
            "events",
            [*EVENT_TYPES, "binary", "pulse"],
            "The authority consumes events; a second group is a twin.",
            group={"type": "string", "default": default},
        ),
        "forward": _operation(
            "send",
            "forwarded",
            ["forwarded"],
            "The authority forwards an event, or the part of a bulk event, to the "
            "partition of its target.",
        ),
        "concludeForwarded": _operation(
            "receive",
            "forwarded",
            ["forwarded"],
            "The authority consumes what another of its partitions forwarded.",
            group={"type": "string", "default": default},
        ),
        "emit": _operation(
            "send",
            "entries",
            ["update"],
            "The authority emits its conclusions, in the partition of the record.",
        ),
    }


def _from_entries(topics: Topics) -> Json:
    groups = f"^{re.escape(topics.prefix)}-projector-[a-z0-9-]+$"
    return {
        "project": _operation(
            "receive",
            "entries",
            ["update"],
            "The projectors of one region apply updates.",
            group={"type": "string", "pattern": groups},
        ),
    }


def _operation(
    action: str,
    channel: str,
    messages: Iterable[str],
    summary: str,
    *,
    group: Json | None = None,
) -> Json:
    operation: Json = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [
            {"$ref": f"#/channels/{channel}/messages/{each}"} for each in messages
        ],
    }
    if group is not None:
        binding = {"groupId": group, "bindingVersion": BINDING}
        operation["bindings"] = {"kafka": binding}
    return operation
