"""JSON documents with one change, and JSON Schema as its authors intend it."""

import copy
import json
import re
from datetime import datetime
from pathlib import Path

from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from revocation.events import EVENT_TYPES

SCHEMAS = Path(__file__).parents[2] / "schemas"
_FORMATS = FormatChecker(())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value):
    return not isinstance(value, str) or bool(datetime.fromisoformat(value.upper()))


def _ecma_pattern(_, pattern, instance, __):
    """Let `$` be the end, as in ECMA-262 and so in JSON Schema; Python's is not."""
    python = re.sub(r"\$$", r"\\Z", pattern)
    if isinstance(instance, str) and not re.search(python, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = extend(Draft202012Validator, {"pattern": _ecma_pattern})


def validator(name):
    """Return the judge of the documents that `schemas/<name>.json` describes."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    return _Validator(schema, format_checker=_FORMATS)


_TRICKY = st.sampled_from(
    [
        *(
            "",
            " ",
            "\n",
            "a|b",
            "a b",
            "x\n",
            "\x1f",
            "\x7f",
            "\x85",
            "\u2028",
            "\ufeff",
        ),
        *("a:b", "a:", ":b", "a:\n", "a:b:c", "dataset:42\n", "true", "7", "e\u0301"),
        *("i" * 256, "i" * 257, "i" * 512, "\U0001f511" * 512, "i" * 513),
        *("2026-11-21T15:04:05Z", "2026-11-21t15:04:05.5z", "2026-11-21 15:04:05Z"),
        *("2026-11-21T15:04:05+24:00", "2026-11-21T15:04:05", "2026-11-21T15:04Z"),
        *("2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "2026-11-21T15:04:05Z\n"),
        *("2026-11-21T15:04:60Z", "2026-11-21T15:04:05+23:59", "1795273445"),
        *("application/json", "application/xml", "1.0", *EVENT_TYPES),
        *(0, -1, 1, True, False, None, 0.5, 2**52, 2**52 + 1, 2**63, 10**30),
        *(253_402_300_799, 253_402_300_800, [], {}, ["a"], [""], ["a", 1], [["a"]]),
        *(["a"] * 1_000, ["a"] * 1_001, {"user": "a"}, {"issuer": "a", "user": "b"}),
    ]
)
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_JSON = _TRICKY | st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)
_VALUES = _JSON.map(copy.deepcopy)
_KNOWN = [
    *("specversion", "id", "source", "time", "type", "datacontenttype", "traceparent"),
    *("data", "issuer", "reason", "tenant", "jti", "sid", "exp", "user", "version"),
    *("resource", "client", "disable", "kid", "users", "claims", "unknown"),
]


@st.composite
def mutated(draw, originals):
    """Return one of the originals with a few members changed, added or removed."""
    document = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 2))):
        within = document
        while isinstance(within, dict | list) and within:
            keys = [*within] if isinstance(within, dict) else [*range(len(within))]
            key = draw(st.sampled_from(keys))
            if isinstance(within[key], dict | list) and draw(st.integers(0, 2)):
                within = within[key]
                continue
            action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
            if action == "remove":
                del within[key]
            elif action == "add" and isinstance(within, dict):
                within[draw(st.sampled_from(_KNOWN))] = draw(_VALUES)
            else:
                within[key] = draw(_VALUES)
            break
    return document


def holds_integral_float(document):
    """Tell whether a number is written like 1.0: `decode` and schemas differ there."""
    if isinstance(document, dict):
        return any(map(holds_integral_float, document.values()))
    if isinstance(document, list):
        return any(map(holds_integral_float, document))
    return isinstance(document, float) and document.is_integer()
