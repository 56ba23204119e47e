"""The OpenAPI document: of one piece, and true of what the endpoints answer.

`test_schemas.py` compares the file in `schemas/` with the code.
"""

import json
import re
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from revocation.decision import DEFAULT_POLICIES, Reason
from revocation.http.messages import Request
from revocation.sidecar import openapi
from revocation.sidecar.introspect import Caller
from revocation.verifier.snapshot_waiter import LoadProgress
from tests.stations.sidecars import bearer, endpoints_of
from tests.stations.verifications import StubVerifier
from tests.unit.documents import SCHEMAS

DOCUMENT = json.loads(openapi.encoded())
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


class Fixed(StubVerifier):
    """A verifier that answers checks as well, and is complete."""

    freshness = (True, 7)
    progress = LoadProgress(1, 1)
    disagreement = None
    problem = ""

    def check_or_await(self, claims, *, route, resources, kid, introspect):
        return self.verify("").verdict


def resolved(value):
    """With every reference replaced by what it names."""
    if isinstance(value, dict):
        if "$ref" in value:
            found = DOCUMENT
            for step in value["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            return resolved(found)
        return {name: resolved(each) for name, each in value.items()}
    return [*map(resolved, value)] if isinstance(value, list) else value


def schemas(value):
    """Every schema in a part of the document."""
    if isinstance(value, dict):
        if "schema" in value:
            yield value["schema"]
        for each in value.values():
            yield from schemas(each)
    elif isinstance(value, list):
        for each in value:
            yield from schemas(each)


def handle(verifier=None, **who):
    verifier = verifier or Fixed(scope="data", iss="https://idp.example/")
    return endpoints_of(verifier, policies=DEFAULT_POLICIES, **who).handle


def answer(name, *headers, body=b"", handle=None, **who):
    method, path, _ = OPERATIONS[name]
    target = path.replace("{path}", "x")
    fields = [(b"host", b"api"), *headers]
    ask = handle or globals()["handle"](**who)
    return ask(Request(method.upper(), target, "", fields, body, "unix"))


def is_described(name, response):
    """The status, the media type, the body and the headers."""
    _, _, operation = OPERATIONS[name]
    told = resolved(operation["responses"])
    described = told.get(str(response.status), told["default"])
    headers = {key.lower(): value for key, value in response.headers}
    if "content" in described and response.body:
        ((media, content),) = described["content"].items()
        assert headers["content-type"].partition(";")[0] == media
        if media.endswith("json"):
            Draft202012Validator(content["schema"]).validate(json.loads(response.body))
    for key, header in described.get("headers", {}).items():
        if key.lower() in headers and header["schema"]["type"] == "string":
            Draft202012Validator(header["schema"]).validate(headers[key.lower()])


# The document -------------------------------------------------------------------------


def test_it_is_openapi_3_1_and_complete():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert {"title", "version", "description"} <= DOCUMENT["info"].keys()
    assert len(OPERATIONS) == sum(
        method in METHODS for item in DOCUMENT["paths"].values() for method in item
    )
    for _, path, operation in OPERATIONS.values():
        assert operation["summary"]
        assert "default" in operation["responses"]
        parameters = DOCUMENT["paths"][path].get("parameters", [])
        parameters = [*parameters, *operation.get("parameters", [])]
        named = {each["name"] for each in parameters if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        for requirement in operation.get("security", []):
            assert (
                requirement.keys() <= DOCUMENT["components"]["securitySchemes"].keys()
            )


def test_every_reference_leads_somewhere_and_every_schema_is_one():
    found = [*schemas(DOCUMENT), *DOCUMENT["components"]["schemas"].values()]
    assert len(found) > 20
    for schema in found:
        Draft202012Validator.check_schema(resolved(schema))
    text = openapi.encoded().decode()
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


def test_the_file_and_what_is_served_differ_in_the_route_classes_only():
    served = handle()(Request("GET", "/openapi.json", "", [], b"", "unix"))
    assert openapi.encoded() == (SCHEMAS / "openapi.json").read_bytes()
    assert served.body == openapi.encoded(DEFAULT_POLICIES)
    told, written = json.loads(served.body), json.loads(openapi.encoded())
    route = told["components"]["schemas"]["Check"]["properties"]["route"]
    assert route.pop("enum") == ["read", "write"]
    assert told == written


def test_it_can_be_written_without_the_extras():
    heavy = {"httptools", "starlette", "grpc", "httpx", "joserfc", "uvicorn"}
    script = (
        f"import sys, revocation.export.schemas; print(*sys.modules.keys() & {heavy})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# Its truth ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_described_is_served(name):
    response = answer(name, scope="introspect")
    assert response.status not in {404, 405}
    is_described(name, response)


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
def test_what_is_not_described_is_not_served(path):
    for method in METHODS:
        request = Request(method.upper(), path.replace("{path}", "x"), "", [], b"", "")
        status = handle(scope="introspect")(request).status
        # HEAD is GET without the body, whether it is described or not.
        described = method in DOCUMENT["paths"][path] or (
            method == "head" and "get" in DOCUMENT["paths"][path]
        )
        assert (status == 405) == (not described), method


CHECKS = [
    (b'{"claims": {}, "kid": "k", "route": "write", "resources": ["a:b"]}', 200),
    (b'{"claims": {}, "kid": null}', 200),
    (b'{"token": "eyJ"}', 200),
    (b'{"checks": [{"token": "eyJ"}, {"claims": {}}]}', 200),
    (b"{}", 400),
    (b'{"claims": null}', 400),
    (b'{"claims": {}, "token": "eyJ"}', 400),
    (b'{"claims": null, "token": "eyJ"}', 400),
    (b'{"claims": {}, "token": "eyJ", "kid": "k"}', 400),
    (b'{"token": "eyJ", "kid": "k"}', 400),
    (b'{"token": "eyJ", "surprise": 1}', 400),
    (b'{"checks": []}', 400),
    (b'{"checks": [{"token": "eyJ"}], "token": "eyJ"}', 400),
    (b'{"claims": {}, "resources": [7]}', 400),
    (b'{"claims": {}, "route": null}', 400),
]


@pytest.mark.parametrize(("body", "status"), CHECKS)
def test_the_schema_takes_what_the_endpoint_takes(body, status):
    """Except route classes, whose names are settings."""
    response = answer("check", body=body)
    _, _, operation = OPERATIONS["check"]
    content = operation["requestBody"]["content"]["application/json"]
    accepts = Draft202012Validator(resolved(content["schema"])).is_valid
    assert response.status == status
    assert accepts(json.loads(body)) == (status == 200)
    is_described("check", response)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("name", ["check", "authz_envoy_get", "introspect"])
def test_every_reason_has_an_answer_that_is_described(name, reason):
    verifier = Fixed(reason, scope="introspect", aud=("a",), exp=7.5)
    form = (b"content-type", b"application/x-www-form-urlencoded")
    bodies = {"check": b'{"token": "eyJ"}', "introspect": b"token=eyJ"}
    response = answer(
        name,
        *(bearer("eyJ"), form),
        body=bodies.get(name, b""),
        handle=handle(verifier, scope="introspect"),
    )
    is_described(name, response)


def test_strangers_and_callers_are_described():
    for callers in ((), (Caller(b"", b""),)):
        for headers in ((), (bearer("eyJ"),)):
            response = answer("introspect", *headers, callers=callers, scope="data")
            is_described("introspect", response)
