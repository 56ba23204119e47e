"""How the authority reads events: invalid optional members are dropped.

An invalid member that the event does not need must not prevent a revocation. Without
`time` the broker's time applies, without `exp` the longest lifetime; without `version`
the authority increments its own; the others have no effect. The members that identify
the target must be valid, and so must `disable`: without it the event would mean
something else.

`events.decode`, and `new` of each model, hold producers to the schemas.
"""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

from pydantic import ValidationError
from pydantic_core import from_json

from revocation import events
from revocation.errors import InvalidEventError, MalformedEventError, TokenAsIdError
from revocation.events import ANY_EVENT, EVENT_TYPES, FRAME_BEGIN, Event, binary_mode

DROPPABLE: Final = frozenset(
    {
        *(("time",), ("datacontenttype",), ("traceparent",)),
        *(("data", name) for name in ("exp", "version", "reason", "tenant")),
    }
)
"""The locations of members that an event can do without if its type permits it."""

_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

_FRAME_BYTES: Final = 5
"""`FRAME_BEGIN`, and the id of a schema."""

_DATA: Final = "data"
_Location = tuple[str, ...]


class Reading(NamedTuple):
    """An event, and the names of the members that were dropped from it."""

    event: Event
    dropped: tuple[str, ...] = ()


def unframed(value: bytes | None) -> bytes | None:
    """Return the value without a schema registry's frame, if it has one."""
    if value is None or not value.startswith(FRAME_BEGIN):
        return value
    return value[_FRAME_BYTES:]


def read(value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> Reading:
    """Read a record of the events topic; arguments and errors are as for `decode`."""
    headers = tuple(headers)
    try:
        return Reading(events.decode(value, headers))
    except (InvalidEventError, MalformedEventError, TokenAsIdError):
        document = _load(value or b"", headers)
        if document is None:
            raise
    dropped = _drop_invalid(document)
    try:
        return Reading(ANY_EVENT.validate_python(document), dropped)
    except ValidationError as error:
        raise events.explain(error) from None


def _load(value: bytes, headers: Iterable[tuple[str, bytes]]) -> dict[str, Any] | None:
    """Return the event as a document, or None if it is not one."""
    attributes = binary_mode.attributes(headers)
    with suppress(ValueError):
        found = _parse(value)
        if attributes:
            return {**attributes, "data": found}
        return found if isinstance(found, dict) else None
    return None


def _parse(value: bytes) -> Any:
    """Parse JSON whose strings may hold invalid Unicode, so that members can be judged.

    Raises:
        ValueError: it is not JSON for another reason.
    """
    text = value.decode(errors="surrogateescape")
    # Applies the same limits of depth and of digits as `decode`.
    from_json(_ESCAPED_SURROGATE.sub(r"\\ufffd", text).encode(errors="replace"))
    return json.loads(text)


def _drop_invalid(document: dict[str, Any]) -> tuple[str, ...]:
    """Delete the members that are invalid and droppable; return their names."""
    try:
        ANY_EVENT.validate_python(document)
    except ValidationError as error:
        invalid = {each["loc"] for each in error.errors(include_url=False)}
    else:
        return ()
    found = sorted({at for loc in invalid if (at := _droppable(loc)) is not None})
    for *outer, name in found:
        within = document[outer[0]] if outer else document
        del within[name]
    return tuple(name for *_, name in found)


def _droppable(loc: tuple[int | str, ...]) -> _Location | None:
    """Return the location of the member that an error is about, if droppable."""
    if not loc or loc[0] not in EVENT_TYPES:
        return None
    tag, *within = map(str, loc)
    location = tuple(within[: 2 if within[:1] == [_DATA] else 1])
    fields = EVENT_TYPES[tag].model_fields
    if location[:1] == (_DATA,):
        fields = cast("Any", fields[_DATA].annotation).model_fields
    droppable = location in DROPPABLE and not fields[location[-1]].is_required()
    return location if droppable else None
