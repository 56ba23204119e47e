"""The event about revoked tokens in use: schema, examples and contents."""

import json

import pytest
from hypothesis import assume, given, settings, strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from revocation.decision import REJECTING, Reason
from revocation.entries import Kind
from revocation.errors import UnknownEventTypeError
from revocation.events import decode
from revocation.events.rejections import TokenRejected, encode
from tests.unit.documents import SCHEMAS, holds_integral_float, mutated, validator

NAME = "revocation.token.rejected"
SCHEMA = validator(NAME)
VALID = sorted((SCHEMAS / "examples/valid").glob(f"{NAME}*.json"))
INVALID = sorted((SCHEMAS / "examples/invalid").glob(f"{NAME}.*.json"))
DOCUMENTS = [json.loads(path.read_text()) for path in VALID]


def is_read(document):
    try:
        TokenRejected.model_validate_json(json.dumps(document))
    except ValidationError:
        return False
    return True


def test_the_schema_is_json_schema_2020_12_and_requires_the_envelope():
    schema = SCHEMA.schema

    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:revocation:schema:{NAME}"
    assert schema["required"] == ["specversion", "id", "source", "type", "data"]
    assert schema["properties"]["type"]["const"] == NAME


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_example_is_accepted(path):
    document = json.loads(path.read_text())

    SCHEMA.validate(document)
    event = TokenRejected.model_validate_json(path.read_bytes())
    sent = json.loads(encode(event))
    SCHEMA.validate(sent)
    assert sent["data"] == document["data"]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_example_is_refused(path):
    document = json.loads(path.read_text())

    assert not SCHEMA.is_valid(document)
    assert not is_read(document)


@settings(max_examples=300, deadline=None)
@given(mutated(DOCUMENTS))
def test_schema_and_model_agree(document):
    assume(not holds_integral_float(document))
    # The model defaults `type`, as only the schema's readers tell events apart by it.
    assume("type" in document)

    assert SCHEMA.is_valid(document) == is_read(document)


@pytest.mark.parametrize("reason", Reason)
def test_it_is_about_the_reasons_that_an_entry_rejects_for(reason):
    document = {**DOCUMENTS[0], "data": {**DOCUMENTS[0]["data"], "reason": reason}}
    assert is_read(document) is SCHEMA.is_valid(document) is (reason in REJECTING)


def test_it_has_no_member_that_could_name_anybody():
    """A digest, closed sets, places and numbers; names of ours are configured."""
    members = {*SCHEMA.schema["$defs"]["RejectionData"]["properties"]}
    assert members == {
        *("digest", "kind", "reason", "receipt", "route", "region"),
        *("count", "first_seen", "last_seen", "as_of"),
    }


@given(st.integers(0, 253_402_300_799_999))
def test_it_is_dated_when_the_latest_rejection_happened(now):
    event = TokenRejected.report(
        "eu/verifier-1",
        last_seen=now,
        digest="0" * 32,
        kind=Kind.USER,
        reason=Reason.USER_DISABLED,
        receipt="3-17",
        route="read",
        region="eu",
        count=1,
        first_seen=now,
        as_of=now,
    )
    assert abs(event.time.timestamp() * 1_000 - now) < 1
    assert event.data.last_seen == now


def test_it_revokes_nothing():
    """Sent to the wrong topic, it is a dead letter."""
    with pytest.raises(UnknownEventTypeError):
        decode(VALID[0].read_bytes())
