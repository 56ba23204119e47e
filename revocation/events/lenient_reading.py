"""How the authority reads events: what is optional and unreadable is left out.

A member that the event does not need costs nobody a revocation. Without its `time` the
broker's counts, without its `exp` the longest lifetime, without its `version` the
authority counts on; the others change nothing. What says whom or what an event is about
must be readable, and so must `disable`: left out, it would say something else.

Producers are held to the schemas: `events.decode`, and `new` of each model.
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

FORGIVEN: Final = frozenset(
    {
        *(("time",), ("datacontenttype",), ("traceparent",)),
        *(("data", name) for name in ("exp", "version", "reason", "tenant")),
    }
)
"""Where the members are that an event does without, unless its type requires them."""

_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

_FRAME_BYTES: Final = 5
"""`FRAME_BEGIN`, and the id of a schema."""

_DATA: Final = "data"
_Place = tuple[str, ...]


class Reading(NamedTuple):
    """An event, and the names of the members that were left out of it."""

    event: Event
    left_out: tuple[str, ...] = ()


def unframed(value: bytes | None) -> bytes | None:
    """Return what follows a schema registry's frame, if there is one."""
    if value is None or not value.startswith(FRAME_BEGIN):
        return value
    return value[_FRAME_BYTES:]


def read(value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> Reading:
    """Read a record of the events topic; arguments and errors are those of `decode`."""
    headers = tuple(headers)
    try:
        return Reading(events.decode(value, headers))
    except (InvalidEventError, MalformedEventError, TokenAsIdError):
        document = _load(value or b"", headers)
        if document is None:
            raise
    left_out = _leave_out(document)
    try:
        return Reading(ANY_EVENT.validate_python(document), left_out)
    except ValidationError as error:
        raise events.explain(error) from None


def _load(value: bytes, headers: Iterable[tuple[str, bytes]]) -> dict[str, Any] | None:
    """Return the envelope as a document, or None if there is none."""
    attributes = binary_mode.attributes(headers)
    with suppress(ValueError):
        found = _parse(value)
        if attributes:
            return {**attributes, "data": found}
        return found if isinstance(found, dict) else None
    return None


def _parse(value: bytes) -> Any:
    """Parse JSON whose texts may hold what is no Unicode: a part of it is told apart.

    Raises:
        ValueError: it is no JSON for other reasons.
    """
    text = value.decode(errors="surrogateescape")
    # The limits of depth and of digits are those of `decode`.
    from_json(_ESCAPED_SURROGATE.sub(r"\\ufffd", text).encode(errors="replace"))
    return json.loads(text)


def _leave_out(document: dict[str, Any]) -> tuple[str, ...]:
    """Take out the members that are wrong and forgiven; return their names."""
    try:
        ANY_EVENT.validate_python(document)
    except ValidationError as error:
        wrong = {each["loc"] for each in error.errors(include_url=False)}
    else:
        return ()
    found = sorted({place for loc in wrong if (place := _forgiven(loc)) is not None})
    for *outer, name in found:
        within = document[outer[0]] if outer else document
        del within[name]
    return tuple(name for *_, name in found)


def _forgiven(loc: tuple[int | str, ...]) -> _Place | None:
    """Return the place of the member that an error is about, if it is forgiven."""
    if not loc or loc[0] not in EVENT_TYPES:
        return None
    tag, *within = map(str, loc)
    place = tuple(within[: 2 if within[:1] == [_DATA] else 1])
    fields = EVENT_TYPES[tag].model_fields
    if place[:1] == (_DATA,):
        fields = cast("Any", fields[_DATA].annotation).model_fields
    forgiven = place in FORGIVEN and not fields[place[-1]].is_required()
    return place if forgiven else None
