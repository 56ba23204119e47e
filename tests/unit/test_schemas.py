"""The schema files, their examples, and whether they judge as `decode` does.

`test_update_schema.py` is about the entries topic, `test_rejections.py` about what
verifiers tell, `test_asyncapi.py` about AsyncAPI.
"""

import copy
import json
import re

import pytest
from hypothesis import assume, given, settings
from jsonschema import Draft202012Validator

from revocation import events
from revocation.errors import ContractError
from revocation.events.event_data import MAX_BULK_USERS
from revocation.export.schemas import documents, export
from revocation.topics import MAX_EVENT_BYTES
from tests.unit.documents import SCHEMAS, holds_integral_float, mutated, validator
from tests.unit.strategies import any_event
from tests.unit.tokens import mint

TOLD = "revocation.token.rejected."


def examples(kind, pattern):
    found = sorted((SCHEMAS / "examples" / kind).glob(pattern))
    return [path for path in found if not path.name.startswith(TOLD)]


VALID = examples("valid", "*.json")
INVALID = examples("invalid", "revocation.*.json") + examples("invalid", "event.*.json")
INDEX = json.loads((SCHEMAS / "examples/invalid/index.json").read_text())
VALIDATORS = {name: validator(name) for name in (*events.EVENT_TYPES, "event")}


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


@settings(max_examples=100, deadline=None)
@given(any_event())
def test_what_the_library_sends_is_valid(event):
    document = json.loads(events.encode(event))

    VALIDATORS[event.type].validate(document)
    VALIDATORS["event"].validate(document)


def test_each_invalid_example_is_in_the_index():
    assert {path.name for path in INVALID} == {*INDEX}


@pytest.mark.parametrize("name", events.EVENT_TYPES)
def test_each_type_has_examples_of_both_kinds(name):
    assert sum(type_of(path) == name for path in VALID) >= 2
    assert sum(type_of(path) == name for path in INVALID) >= 2


def test_the_guide_for_producers_is_right():
    guide = (SCHEMAS.parent / "docs/events.md").read_text()
    (example_event,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)

    assert events.decode(example_event.encode()).type == "revocation.user.logged_out"
    assert {*re.findall(r"^\| `(revocation\..*?)`", guide, re.MULTILINE)} == {
        *events.EVENT_TYPES
    }
    assert f"| {MAX_EVENT_BYTES:,} bytes |" in guide
    assert f"| {MAX_BULK_USERS:,} |" in guide


def test_no_event_matches_the_schema_of_another_type():
    for path in VALID:
        _, _, document = example(path)
        matching = {name for name in VALIDATORS if VALIDATORS[name].is_valid(document)}
        assert matching == {type_of(path), "event"}


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
    deep a member is nested that it does not know, nor that an id is a whole JWT.
    """
    (logout,) = (example(p)[2] for p in VALID if p.name.endswith("with-version.json"))
    token = json.loads((VALID[0].parent / "revocation.token.revoked.json").read_text())
    bulk = json.loads((VALID[0].parent / "revocation.users.revoked.json").read_text())
    logout["data"]["version"] = 7.0
    token["data"]["jti"] = mint()
    bulk["data"]["users"] = [f"{number:0512}" for number in range(1_000)]
    deep = copy.deepcopy(EVENT_DOCUMENTS[0])
    deep["unknown"] = json.loads("[" * 250 + "]" * 250)

    for document in (logout, token, bulk, deep):
        assert VALIDATORS["event"].is_valid(document)
        assert not decodes(document)
    assert len(json.dumps(bulk)) > MAX_EVENT_BYTES
