"""The AsyncAPI document: nothing dangles, and it says what topics and code say.

`docs/events.md` tells how it was validated with AsyncAPI's own tools. What its payloads
refer to is tested in `test_schemas.py`.
"""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from revocation.entries import Offset, Position, UnixMs
from revocation.errors import ContractError, RevocationError
from revocation.events import CONTENT_TYPE, EVENT_TYPES
from revocation.events.rejections import TokenRejected
from revocation.export.asyncapi import REJECTED, document
from revocation.kafka.clients import dead_letter_headers
from revocation.settings import AuthoritySettings, KafkaSettings
from revocation.topics import PULSE_KEY
from revocation.updates import Update, encode_update

SCHEMAS = Path(__file__).parents[2] / "schemas"
DOCUMENT = json.loads((SCHEMAS / "asyncapi.json").read_text())
CHANNELS = DOCUMENT["channels"]
MESSAGES = DOCUMENT["components"]["messages"]
DEFAULTS = KafkaSettings.model_construct()
SPECS = DEFAULTS.topics.specs(
    partitions=DEFAULTS.partitions,
    replication_factor=DEFAULTS.replication_factor,
    window_ms=DEFAULTS.retention_ms,
)


def references(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference):
    file, _, pointer = reference.partition("#")
    node = json.loads((SCHEMAS / file).read_text()) if file else DOCUMENT
    for step in pointer.split("/")[1:]:
        node = node[step]
    return node


def headers_of(message):
    return Draft202012Validator(MESSAGES[message]["headers"])


@pytest.mark.parametrize("reference", sorted({*references(DOCUMENT)}))
def test_a_reference_leads_somewhere(reference):
    assert resolve(reference)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_channel_is_its_topic(spec):
    (channel,) = (each for each in CHANNELS.values() if each["address"] == spec.name)
    binding = channel["bindings"]["kafka"]

    assert binding["topic"] == spec.name
    assert binding["partitions"] == spec.partitions
    assert binding["replicas"] == DEFAULTS.replication_factor
    told = binding["topicConfiguration"]
    assert told.keys() == spec.exact.keys() | spec.minimum.keys()
    for name, value in spec.exact.items():
        said = told[name] if isinstance(told[name], list) else [told[name]]
        assert [str(each).lower() for each in said] == [value.lower()]
    for name, value in spec.minimum.items():
        assert told[name] == value


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)
def test_topic_settings_have_the_types_of_the_binding(channel):
    """Kafka takes them all as text; version 0.5.0 of the Kafka bindings does not."""
    told = channel["bindings"]["kafka"]["topicConfiguration"]

    assert {*told["cleanup.policy"]} <= {"compact", "delete"}
    for name in ("retention.ms", "retention.bytes", "max.message.bytes"):
        assert type(told[name]) is int


def test_there_is_a_channel_for_each_topic_and_no_other():
    addresses = [channel["address"] for channel in CHANNELS.values()]
    assert addresses == [spec.name for spec in SPECS]


def test_the_document_does_not_depend_on_the_environment(monkeypatch):
    monkeypatch.setenv("REVOCATION_TOPIC_PREFIX", "other")
    monkeypatch.setenv("REVOCATION_PARTITIONS", "3")

    assert document() == DOCUMENT


def test_every_event_type_may_be_published():
    publish = DOCUMENT["operations"]["publish"]
    published = [each["$ref"].rpartition("/")[2] for each in publish["messages"]]

    assert published == [*EVENT_TYPES, "binary"]
    for name in EVENT_TYPES:
        assert MESSAGES[name]["payload"] == {"$ref": f"./{name}.json"}
        assert resolve(MESSAGES[name]["payload"]["$ref"])["$id"].endswith(name)


def test_every_data_model_may_be_sent_in_binary_mode():
    told = [resolve(each["$ref"]) for each in MESSAGES["binary"]["payload"]["anyOf"]]
    models = {
        model.model_fields["data"].annotation.__name__ for model in EVENT_TYPES.values()
    }

    assert {each["$ref"].rpartition("/")[2] for each in told} == models


@pytest.mark.parametrize("name", DOCUMENT["operations"])
def test_an_operation_uses_messages_of_its_channel(name):
    operation = DOCUMENT["operations"][name]

    assert operation["action"] in {"send", "receive"}
    for message in operation["messages"]:
        assert message["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")


def test_consumers_name_their_groups():
    groups = {
        name: operation["bindings"]["kafka"]["groupId"]
        for name, operation in DOCUMENT["operations"].items()
        if operation["action"] == "receive"
    }

    default = AuthoritySettings(topic_prefix="revocation").authority_id
    assert groups["conclude"]["default"] == default
    assert groups["project"]["pattern"] == "^revocation-projector-[a-z0-9-]+$"


def test_events_carry_the_content_type():
    structured = DOCUMENT["components"]["messageTraits"]["structured"]
    headers = Draft202012Validator(structured["headers"])

    assert structured["contentType"] == CONTENT_TYPE
    assert headers.is_valid({"content-type": CONTENT_TYPE})
    assert not headers.is_valid({"content-type": "application/json"})
    for name in EVENT_TYPES:
        (trait,) = MESSAGES[name]["traits"]
        assert resolve(trait["$ref"]) == structured


@pytest.mark.parametrize("error", [RevocationError, *ContractError.__subclasses__()])
def test_a_dead_letter_has_the_documented_headers(error):
    at = Position(3, Offset(17), UnixMs(1_795_273_445_000))
    sent = dead_letter_headers(error("déjà vu"), "revocation.events", at)
    headers = {name: value.decode("ascii") for name, value in sent}

    headers_of("deadLetter").validate(headers)
    assert MESSAGES["deadLetter"]["headers"]["required"] == [*headers]
    assert not headers_of("deadLetter").is_valid(headers | {"dead-letter-code": "?"})


def test_a_rejection_is_described_as_it_is_sent():
    """By its type, which is none that a producer may publish."""
    message = MESSAGES[REJECTED]
    (sent,) = DOCUMENT["operations"]["report"]["messages"]

    assert TokenRejected.model_fields["type"].default == REJECTED
    assert REJECTED not in EVENT_TYPES
    assert sent["$ref"].endswith(f"/messages/{REJECTED}")
    assert resolve(message["payload"]["$ref"])["$id"].endswith(REJECTED)
    assert message["contentType"] == CONTENT_TYPE
    headers_of(REJECTED).validate({"content-type": CONTENT_TYPE})


def test_pulses_are_recognised_by_their_key():
    key = MESSAGES["pulse"]["bindings"]["kafka"]["key"]
    payload = Draft202012Validator(MESSAGES["pulse"]["payload"])

    assert key == {"const": PULSE_KEY.decode()}
    assert payload.is_valid({})
    assert not payload.is_valid({"at": 1})
    update = resolve(MESSAGES["update"]["payload"]["$ref"])
    forwarded = Update(Position(0, Offset(7), UnixMs(1)))
    Draft202012Validator(update).validate(json.loads(encode_update(forwarded)))
