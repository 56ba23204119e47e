"""The schema files, their examples, and whether they judge as `decode` does.

`test_asyncapi.py` looks at the AsyncAPI document.
"""

import copy
import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import assume, given, settings, strategies as st
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from revocation import events
from revocation.entries import (
    DENYLIST_KINDS,
    RECENT_EVENTS,
    Entry,
    Kind,
    Position,
    Status,
    Target,
    Update,
    decode_update,
    encode_update,
)
from revocation.errors import ContractError, MalformedUpdateError
from revocation.ops.schemas import documents, export
from revocation.topics import MAX_EVENT_BYTES

SCHEMAS = Path(__file__).parents[2] / "schemas"
VALID = sorted((SCHEMAS / "examples/valid").glob("*.json"))
INVALID = sorted((SCHEMAS / "examples/invalid").glob("revocation.*.json"))
INVALID += sorted((SCHEMAS / "examples/invalid").glob("event.*.json"))
INDEX = json.loads((SCHEMAS / "examples/invalid/index.json").read_text())
FORMATS = FormatChecker(())


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value):
    return not isinstance(value, str) or bool(datetime.fromisoformat(value.upper()))


def _ecma_pattern(_, pattern, instance, __):
    """Let `$` be the end, as in ECMA-262 and so in JSON Schema; Python's is not."""
    python = re.sub(r"\$$", r"\\Z", pattern)
    if isinstance(instance, str) and not re.search(python, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


Validator = extend(Draft202012Validator, {"pattern": _ecma_pattern})


def validator(name):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    return Validator(schema, format_checker=FORMATS)


VALIDATORS = {name: validator(name) for name in (*events.EVENT_TYPES, "event")}
UPDATE = validator("update")


def example(path):
    """Return an example's value and headers, and the document that they stand for."""
    document = json.loads(path.read_text())
    if not path.name.endswith(".binary.json"):
        return json.dumps(document).encode(), [], document
    value = json.dumps(document["data"]).encode()
    headers = [(name, text.encode()) for name, text in document["headers"].items()]
    attributes = {
        name.removeprefix("ce_"): text
        for name, text in document["headers"].items()
        if name.startswith("ce_")
    }
    return value, headers, {**attributes, "data": document["data"]}


def type_of(path):
    return next((name for name in VALIDATORS if path.name.startswith(f"{name}.")), None)


def name_of(path):
    return path.name.removesuffix(".json")


def decodes(document):
    try:
        events.decode(json.dumps(document).encode())
    except ContractError:
        return False
    return True


@pytest.mark.parametrize("name", documents())
def test_the_file_is_what_the_models_say(name):
    """If this fails: `revocation schemas export schemas`, and read the difference."""
    assert (SCHEMAS / name).read_bytes() == documents()[name]


def test_no_file_is_left_from_an_earlier_model():
    assert {path.name for path in SCHEMAS.iterdir() if path.is_file()} == {*documents()}


def test_export_writes_each_document_the_same_way_each_time(tmp_path):
    first = export(tmp_path / "new" / "folder")
    second = export(tmp_path)

    assert [path.name for path in first] == [*documents()]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("name", [*VALIDATORS, "update"])
def test_the_schema_is_json_schema_2020_12(name):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:revocation:schema:{name}"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", events.EVENT_TYPES)
def test_an_event_schema_requires_the_envelope(name):
    schema = VALIDATORS[name].schema

    assert schema["required"] == ["specversion", "id", "source", "type", "data"]
    assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_a_valid_example_is_accepted(path):
    value, headers, document = example(path)

    VALIDATORS[type_of(path)].validate(document)
    VALIDATORS["event"].validate(document)
    event = events.decode(value, headers)
    assert event.type == type_of(path)
    assert event.id == document["id"]


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_what_we_send_is_valid(path):
    value, headers, _ = example(path)

    sent = json.loads(events.encode(events.decode(value, headers)))

    VALIDATORS[type_of(path)].validate(sent)
    VALIDATORS["event"].validate(sent)


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_example_is_refused_for_the_reason_in_its_name(path):
    value, headers, document = example(path)
    expected = INDEX[path.name]

    assert not VALIDATORS[type_of(path)].is_valid(document)
    assert not VALIDATORS["event"].is_valid(document)
    with pytest.raises(ContractError) as refused:
        events.decode(value, headers)
    assert refused.value.code == expected["code"]
    assert str(refused.value).startswith(expected["says"])


def test_each_invalid_example_is_in_the_index():
    assert {path.name for path in INVALID} == {*INDEX}


@pytest.mark.parametrize("name", events.EVENT_TYPES)
def test_each_type_has_examples_of_both_kinds(name):
    assert sum(type_of(path) == name for path in VALID) >= 2
    assert sum(type_of(path) == name for path in INVALID) >= 2


def test_no_event_matches_the_schema_of_another_type():
    for path in VALID:
        _, _, document = example(path)
        matching = {name for name in VALIDATORS if VALIDATORS[name].is_valid(document)}
        assert matching == {type_of(path), "event"}


TRICKY = st.sampled_from(
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
        *("application/json", "application/xml", "1.0", *events.EVENT_TYPES),
        *(0, -1, 1, True, False, None, 0.5, 2**52, 2**52 + 1, 2**63, 10**30),
        *(253_402_300_799, 253_402_300_800, [], {}, ["a"], [""], ["a", 1], [["a"]]),
        *(["a"] * 1_000, ["a"] * 1_001, {"user": "a"}, {"issuer": "a", "user": "b"}),
    ]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = TRICKY | st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)
VALUES = JSON.map(copy.deepcopy)
KNOWN = [
    *("specversion", "id", "source", "time", "type", "datacontenttype", "traceparent"),
    *("data", "issuer", "reason", "tenant", "jti", "sid", "exp", "user", "version"),
    *("resource", "client", "disable", "kid", "users", "unknown"),
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
                within[draw(st.sampled_from(KNOWN))] = draw(VALUES)
            else:
                within[key] = draw(VALUES)
            break
    return document


def holds_integral_float(document):
    if isinstance(document, dict):
        return any(map(holds_integral_float, document.values()))
    if isinstance(document, list):
        return any(map(holds_integral_float, document))
    return isinstance(document, float) and document.is_integer()


EVENT_DOCUMENTS = [example(path)[2] for path in VALID]


@settings(max_examples=500, deadline=None)
@given(mutated(EVENT_DOCUMENTS))
def test_schema_and_decode_agree(document):
    """Except where `test_where_schema_and_decode_differ` says so."""
    assume(not holds_integral_float(document))

    accepted = decodes(document)

    assert VALIDATORS["event"].is_valid(document) == accepted
    of_type = document.get("type")
    if isinstance(of_type, str) and of_type in events.EVENT_TYPES:
        assert VALIDATORS[of_type].is_valid(document) == accepted


def test_where_schema_and_decode_differ():
    """What a schema cannot say is refused; nothing that a schema refuses is accepted.

    To JSON Schema 1.0 is an integer; we want the digits alone, because other languages
    disagree about the rest. A schema does not see how many bytes a record has, nor how
    deep a member is nested that it does not know.
    """
    token = json.loads((VALID[0].parent / "revocation.token.revoked.json").read_text())
    bulk = json.loads((VALID[0].parent / "revocation.users.revoked.json").read_text())
    token["data"]["exp"] = 1795274345.0
    bulk["data"]["users"] = [f"{number:0512}" for number in range(1_000)]
    deep = copy.deepcopy(EVENT_DOCUMENTS[0])
    deep["unknown"] = json.loads("[" * 250 + "]" * 250)

    for document in (token, bulk, deep):
        assert VALIDATORS["event"].is_valid(document)
        assert not decodes(document)
    assert len(json.dumps(bulk)) > MAX_EVENT_BYTES


COUNT = st.integers(0, 2**53 - 1)
IDS = st.text(min_size=1, max_size=30)


@st.composite
def entries(draw):
    """Return an entry as a ledger may conclude it."""
    target = draw(st.builds(Target, st.sampled_from(Kind), IDS, IDS))
    source = Position(*draw(st.tuples(COUNT, COUNT, COUNT)))
    if target.kind in DENYLIST_KINDS:
        return Entry(target, source, expires_at=draw(COUNT))
    recent = draw(st.lists(st.tuples(COUNT, IDS), max_size=RECENT_EVENTS))
    return Entry(
        target,
        source,
        version=draw(COUNT),
        not_before=draw(COUNT),
        status=draw(st.sampled_from(Status)),
        status_offset=draw(st.just(-1) | COUNT),
        recent=tuple(recent),
    )


UPDATES = st.builds(
    Update,
    st.builds(Position, COUNT, COUNT, COUNT),
    st.lists(entries(), max_size=3).map(tuple),
    st.lists(st.tuples(COUNT, COUNT), max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(UPDATES)
def test_every_update_is_valid_and_comes_back(update):
    encoded = encode_update(update)

    UPDATE.validate(json.loads(encoded))
    assert decode_update(encoded, update.source.partition) == update


@settings(max_examples=300, deadline=None)
@given(UPDATES.flatmap(lambda each: mutated([json.loads(encode_update(each))])))
def test_what_is_no_update_is_not_valid(document):
    assume(not holds_integral_float(document))
    try:
        decode_update(json.dumps(document).encode(), 0)
    except MalformedUpdateError:
        assert not UPDATE.is_valid(document)


FULL = Update(
    Position(0, 7, 1_795_273_445_000),
    (
        Entry(Target(Kind.TOKEN, "i", "t"), Position(0, 7, 1), expires_at=5),
        Entry(
            Target(Kind.USER, "i", "u"),
            Position(0, 7, 1),
            version=2,
            not_before=3,
            status=Status.DISABLED,
            status_offset=7,
            recent=((7, "event"),),
        ),
    ),
    ((1, 9),),
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *[(path, None) for path in ("offset", "time", "entries/0/kind")],
        *[(path, -1) for path in ("offset", "time", "entries/0/expires_at")],
        *[(path, "7") for path in ("offset", "entries/1/version", "rerouted/0/1")],
        *[(path, True) for path in ("time", "entries/1/not_before", "rerouted/0/0")],
        *[(f"entries/{at}/source", [0, 7]) for at in (0, 1)],
        *[(f"entries/1/{name}", ...) for name in ("kind", "issuer", "id", "source")],
        *[(f"entries/1/{name}", ...) for name in ("status", "status_offset")],
        ("entries/0/expires_at", ...),
        ("entries/0/kind", "user-agent"),
        ("entries/1/status", "suspended"),
        ("entries/1/recent", [[0, "e"]] * (RECENT_EVENTS + 1)),
        ("entries/1/recent", [["e", 0]]),
        ("entries", []),
        ("rerouted", [[1]]),
        ("rerouted", [[1, 2, 3]]),
    ],
)
def test_an_update_with_one_thing_wrong_is_not_valid(path, value):
    document = json.loads(encode_update(FULL))
    assert UPDATE.is_valid(document)
    within = document
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        within = within[step]
    if value is ...:
        del within[last]
    else:
        within[last] = value

    assert not UPDATE.is_valid(document)
