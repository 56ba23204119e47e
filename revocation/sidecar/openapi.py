"""The OpenAPI 3.1 document of the HTTP interface, derived from the code.

`schemas/openapi.json` holds it, and a sidecar serves it at `/openapi.json`; tests
compare all three, and the answers of the endpoints with the schemas here.
"""

from collections.abc import Collection
from typing import Any, Final

import orjson
from pydantic.json_schema import models_json_schema

from revocation.decision import Reason
from revocation.http.messages import PROBLEM
from revocation.sidecar.authorizer import IDENTITY
from revocation.sidecar.checks import Check, Checks
from revocation.sidecar.introspect import FORM, MAX_FIELDS, MEMBERS
from revocation.sidecar.proxies import ENVOY_PREFIX, SCHEMES

Json = dict[str, Any]

VERSION: Final = "1.0.0"
"""Grows with the interface, not with the package (semantic versioning)."""

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Always accepted; a pattern cannot express all of `is_canonical`.
_SEGMENT: Final = (
    r"^(?!\.{1,2}$)[^\s\x00-\x1f\x7f-\x9f\\;?#%/\ufffd\ufeff]"
    r"([^\x00-\x1f\x7f-\x9f\\;?#%/\ufffd]*[^\s\x00-\x1f\x7f-\x9f\\;?#%/\ufffd])?$"
)
_METHOD: Final = "^(?!WEBSOCKET$)[A-Z][A-Z0-9_-]{0,31}$"
_SCHEME: Final = f"^({'|'.join(sorted(SCHEMES))})$"
_TARGET: Final = r"^(/|(/[A-Za-z0-9_~!$&'()*+,=:@-]+)+/?)(\?[!-~]*)?$"
_HOST: Final = "^[!-~]+$"
_REF: Final = "#/components/schemas/{model}"
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_TEXT: Final[Json] = {"type": "string"}


def encoded(routes: Collection[str] = ()) -> bytes:
    """Return the document as JSON; the output is deterministic."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document(routes), option=options)


def document(routes: Collection[str] = ()) -> Json:
    """Return the document.

    Args:
        routes: the sidecar's route classes, which are settings.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Token revocation sidecar",
            "version": VERSION,
            "description": "Decides whether a token still counts, and as of when, for "
            "services and for the proxies in front of them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8181"}],
        "tags": [
            {"name": "check", "description": "For services."},
            {"name": "authz", "description": "For proxies."},
            {"name": "introspection", "description": "RFC 7662."},
            {"name": "operation", "description": "For operators."},
        ],
        "paths": {
            "/v1/check": {"post": _check()},
            "/v1/authz/nginx": {"get": _authz("nginx", _nginx_parameters())},
            "/v1/authz/traefik": {"get": _authz("traefik", _traefik_parameters())},
            ENVOY_PREFIX + "/{path}": _envoy(),
            "/introspect": {"post": _introspect()},
            **_operation(),
        },
        "components": _components(routes),
    }


# Paths --------------------------------------------------------------------------------


def _check() -> Json:
    body = {"oneOf": [_schema("Check"), _schema("Checks")]}
    verdicts = {"oneOf": [_schema("Verdict"), _schema("Verdicts")]}
    return {
        "operationId": "check",
        "tags": ["check"],
        "summary": "Whether tokens still count, one or many.",
        "description": "With `Max-Forwards: 0`, uses no fallback.",
        "requestBody": {"required": True, "content": {"application/json": _of(body)}},
        "responses": {
            "200": _json("The verdict, active or not.", verdicts),
            "400": _problem("The request is malformed."),
            **_always(),
        },
    }


def _authz(proxy: str, parameters: list[Json]) -> Json:
    return {
        "operationId": f"authz_{proxy}",
        "tags": ["authz"],
        "summary": f"Whether {proxy} may forward a request.",
        "security": [{"bearer": []}, {"cookie": []}],
        "parameters": parameters,
        "responses": _authz_responses(),
    }


def _envoy() -> Json:
    parameter = {
        "name": "path",
        "in": "path",
        "required": True,
        "description": "The request's path, including slashes, by any method. What "
        "servers might read in different ways is refused.",
        "schema": {"type": "string", "pattern": _SEGMENT},
    }
    return {
        "parameters": [parameter],
        **{
            method: {**_authz("envoy", []), "operationId": f"authz_envoy_{method}"}
            for method in _METHODS
        },
    }


def _authz_responses() -> Json:
    identity = {
        name: {
            "description": f"The claim `{claim}`, percent-encoded where it has more "
            "than printable ASCII; missing without it. Names are settings.",
            "schema": _TEXT,
        }
        for name, claim in IDENTITY.items()
    }
    challenge = {
        "WWW-Authenticate": {
            "description": "RFC 6750 section 3.",
            "schema": {"type": "string", "pattern": "^Bearer realm="},
        }
    }
    again = {"Retry-After": {"schema": _COUNT, "description": "In seconds."}}
    return {
        "200": {"description": "It may pass.", "headers": identity},
        "400": _problem("It cannot be judged: its path, its header fields."),
        "401": _problem("No token, or one that does not count.", challenge),
        "403": _problem(
            "A scope is missing, or a cookie came from another site. For nginx "
            "also what is 400 or 431 for others."
        ),
        **_always(),
        "503": _problem("The answer is unknown now.", again),
    }


def _nginx_parameters() -> list[Json]:
    method = _header("X-Original-Method", _METHOD)
    return [method, _header("X-Original-URI", _TARGET)]


def _traefik_parameters() -> list[Json]:
    headers = {"Method": _METHOD, "Uri": _TARGET, "Host": _HOST, "Proto": _SCHEME}
    return [_header(f"X-Forwarded-{name}", each) for name, each in headers.items()]


def _header(name: str, pattern: str) -> Json:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": True, "schema": schema}


def _introspect() -> Json:
    form = {
        "type": "object",
        "properties": {
            "token": {"type": "string", "minLength": 1},
            "token_type_hint": _TEXT,
        },
        "required": ["token"],
        "additionalProperties": _TEXT,
        "maxProperties": MAX_FIELDS,
    }
    unknown = {"WWW-Authenticate": {"schema": _TEXT}}
    again = {"Retry-After": {"schema": _COUNT}}
    return {
        "operationId": "introspect",
        "tags": ["introspection"],
        "summary": "Whether a token is active, for authenticated callers.",
        "description": "Served where callers or a scope are configured.",
        "security": [{"basic": []}, {"bearer": []}],
        "requestBody": {"required": True, "content": {FORM.decode(): _of(form)}},
        "responses": {
            "200": _json("The token's state.", _schema("Introspection")),
            "400": _json("The form has no token.", _schema("OAuthError")),
            "401": _json("The caller is unknown.", _schema("OAuthError"), unknown),
            "503": _json("The answer is unknown now.", _schema("OAuthError"), again),
            "404": _problem("No callers are configured."),
            **_always(),
        },
    }


def _operation() -> Json:
    text = {"text/plain": _of(_TEXT)}
    readiness = _schema("Readiness")

    def get(name: str, summary: str, **responses: Json) -> Json:
        coded = {each.removeprefix("of_"): value for each, value in responses.items()}
        operation = {"operationId": name, "tags": ["operation"], "summary": summary}
        return {"get": {**operation, "responses": {**coded, **_always()}}}

    well = {"description": "It is healthy.", "content": text}
    stalled = {"description": "It makes no progress, and why.", "content": text}
    measured = {"description": "Prometheus' text format.", "content": text}
    described = _json("This document.", {"type": "object"})
    return {
        "/healthz": get(
            "healthz", "Whether it makes progress.", of_200=well, of_503=stalled
        ),
        "/readyz": get(
            "readyz",
            "Whether it can answer: complete, and fresh enough for some route class.",
            of_200=_json("It can.", readiness),
            of_503=_json("It cannot.", readiness),
        ),
        "/metrics": get("metrics", "The metrics.", of_200=measured),
        "/openapi.json": get("openapi", "The interface.", of_200=described),
    }


# Parts --------------------------------------------------------------------------------


def _components(routes: Collection[str]) -> Json:
    _, models = models_json_schema(
        [(Check, "validation"), (Checks, "validation")], ref_template=_REF
    )
    schemas = models["$defs"]
    if routes:
        schemas["Check"]["properties"]["route"]["enum"] = sorted(routes)
    verdicts = {"type": "array", "minItems": 1, "items": _schema("Verdict")}
    schemas |= {
        "Verdict": _verdict(),
        "Verdicts": _closed(verdicts=verdicts),
        "Readiness": _readiness(),
        "Introspection": _introspection(),
        "OAuthError": _closed(error=_TEXT),
        "Problem": _closed(
            type={"const": "about:blank"},
            title={"type": "string", "description": "A stable code."},
            status={"type": "integer", "minimum": 400, "maximum": 599},
            detail=_TEXT,
        ),
    }
    return {"schemas": schemas, "securitySchemes": _security()}


def _security() -> Json:
    http = {"type": "http"}
    return {
        "bearer": {**http, "scheme": "bearer", "bearerFormat": "JWT"},
        "basic": {**http, "scheme": "basic"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-token",
            "description": "The name is a setting; unsafe methods also need "
            "`Sec-Fetch-Site` or `Origin` of the service's own pages.",
        },
    }


def _verdict() -> Json:
    nullable = {"type": ["string", "null"]}
    verdict = _closed(
        active={"type": "boolean"},
        reason={"enum": [str(reason) for reason in Reason]},
        as_of=_COUNT
        | {"description": "Milliseconds: all events acknowledged before count."},
        staleness_ms=_COUNT,
        stale={"type": "boolean"},
        receipt=nullable | {"description": "Of the event that rejects."},
        detail=nullable | {"description": "What is wrong; names claims, no values."},
        region=_TEXT,
    )
    verdict["properties"]["claims"] = {
        "type": ["object", "null"],
        "description": "Of a token that was verified and counts.",
    }
    return verdict


def _introspection() -> Json:
    inactive = _closed(active={"const": False})
    active = _closed(active={"const": True}, token_type={"const": "Bearer"})
    text: Json = _TEXT
    kinds: Json = {name: {"type": "number"} for name in ("exp", "iat", "nbf")}
    kinds["aud"] = {"type": ["string", "array"], "items": text}
    names = (*MEMBERS, "scope", "client_id")
    active["properties"] |= {name: kinds.get(name, text) for name in names}
    return {"oneOf": [inactive, active]}


def _always() -> Json:
    """The server's own answers, to any request."""
    return {"default": _problem("Not served, too large, too slow or malformed.")}


def _problem(description: str, headers: Json | None = None) -> Json:
    content = {PROBLEM: _of(_schema("Problem"))}
    return _with({"description": description, "content": content}, headers)


def _json(description: str, schema: Json, headers: Json | None = None) -> Json:
    content = {"application/json": _of(schema)}
    return _with({"description": description, "content": content}, headers)


def _with(response: Json, headers: Json | None) -> Json:
    return response if headers is None else {**response, "headers": headers}


def _schema(name: str) -> Json:
    return {"$ref": _REF.format(model=name)}


def _of(schema: Json) -> Json:
    return {"schema": schema}


def _readiness() -> Json:
    counts = dict.fromkeys(("as_of", "loaded", "total"), _COUNT)
    described = _closed(ready={"type": "boolean"}, region=_TEXT, **counts)
    described["properties"]["error"] = {
        **_TEXT,
        "description": "The settings that differ from the region's, if that is why.",
    }
    return described


def _closed(**properties: Json) -> Json:
    """Return an object schema with exactly these members."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
