"""Binary content mode: the attributes are in the record's headers.

CloudEvents Kafka protocol binding 1.0.2 section 3.2; the value is `data` alone.
"""

from collections.abc import Iterable
from typing import Final

import orjson

from revocation.errors import MalformedEventError

_STRUCTURED_MODE: Final = "application/cloudevents"


def attributes(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return the attributes in the headers; empty in structured mode."""
    found = {}
    for name, raw in headers:
        lowered = name.lower()
        text = (raw or b"").decode(errors="replace")
        if lowered.startswith("ce_"):
            found[lowered[3:]] = text
        elif lowered == "content-type" and text.lower().startswith(_STRUCTURED_MODE):
            return {}
    return found if "specversion" in found else {}


def to_structured(envelope: dict[str, str], data: bytes) -> bytes:
    """Return the same event in structured mode.

    Raises:
        MalformedEventError: the data is not a JSON document.
    """
    try:
        orjson.loads(data)
    except ValueError as error:
        raise MalformedEventError(
            f"binary mode, but the value is not JSON ({error})"
        ) from None
    return orjson.dumps({**envelope, "data": orjson.Fragment(data)})
