"""Requests that the OpenAPI document allows and forbids, to a running sidecar.

schemathesis generates requests that the document allows, and others that it does not,
for all operations and for unknown methods. A real server on a real socket, a real
verifier over a store in memory. The issuer signs no generated token, so no request may
pass, whatever its content and credentials.
"""

import contextlib
import json
from hashlib import sha256

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.core.failures import FailureGroup

from revocation.decision import DEFAULT_POLICIES
from revocation.settings import SidecarSettings
from revocation.sidecar import openapi
from revocation.sidecar.sidecar import Sidecar
from tests.stations.beside import beside
from tests.stations.sidecars import published, signed, verifier_of
from tests.stations.test_verifier import store_as_of, token
from tests.unit.tokens import AUDIENCE, ISSUER

DOCUMENT = json.loads(openapi.encoded(DEFAULT_POLICIES))
CALLER = ("warehouse", "0f" * 32)
HOUR_MS = 3_600_000
# A stranger gets 401; other statuses refuse what the document forbids.
REFUSED = ["400", "403", "404", "405", "413", "414", "415", "431"]
STRICT = {
    "positive_data_acceptance": {"expected-statuses": ["200", "401"]},
    "negative_data_rejection": {"expected-statuses": REFUSED},
    "missing_required_header": {"expected-statuses": ["400"]},
}
# The document cannot state which strings are tokens, or that any method is served.
INVENTED = {
    "positive_data_acceptance": {"enabled": False},
    "unsupported_method": {"enabled": False},
}


def described(examples, checks, *, credentials):
    """Return the document with its settings; CI gets the same examples each time."""
    same = hypothesis.settings.default.derandomize
    generation = {
        "max-examples": examples,
        "deterministic": same,
        "with-security-parameters": credentials,
    }
    config = {"generation": generation, "checks": checks}
    if same:
        config["seed"] = 1
    return schemathesis.openapi.from_dict(
        DOCUMENT, config=schemathesis.Config.from_dict(config)
    )


@contextlib.asynccontextmanager
async def serving(folder):
    (folder / "jwks.json").write_bytes(published())
    name, secret = CALLER
    (folder / "callers").write_text(
        f"{name} sha256:{sha256(secret.encode()).hexdigest()}\n"
    )
    (folder / "pepper").write_text("0123456789abcdef" * 2)
    issuer = {
        "jwks_file": folder / "jwks.json",
        "algorithms": ["ES256"],
        "audiences": [AUDIENCE],
    }
    settings = SidecarSettings(
        region="eu",
        store_url="redis://127.0.0.1:1",
        pepper_file=folder / "pepper",
        issuers={ISSUER: issuer},
        # A slow machine must not cause 503.
        read_max_staleness_ms=HOUR_MS,
        write_max_staleness_ms=HOUR_MS,
        sidecar_port=0,
        sidecar_callers_file=folder / "callers",
        sidecar_introspection_scope="introspect",
        sidecar_cookie="__Host-token",
    )
    verifier = verifier_of(
        await store_as_of(0), folder / "jwks.json", policies=settings.policies
    )
    sidecar = Sidecar(settings, verifier=verifier)
    await sidecar.start()
    try:
        await verifier.wait_ready()
        yield f"http://{sidecar.server.addresses[0]}"
    finally:
        await sidecar.stop()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with beside(serving(tmp_path_factory.mktemp("sidecar"))) as (url, _):
        assert httpx.get(f"{url}/openapi.json").json() == DOCUMENT
        yield url
        assert httpx.get(f"{url}/readyz").json()["ready"]


def nobody_passes(_, response, case):
    """A check, beside those of schemathesis."""
    assert "/v1/authz/" not in case.operation.path or response.status_code != 200
    assert b'"active":true' not in response.content


def judge(case, url, **how):
    response = case.call(base_url=url, **how)
    case.validate_response(
        response, additional_checks=[nobody_passes], transport_kwargs=how
    )


STRANGERS = described(40, STRICT, credentials=False)
INVENTORS = described(20, INVENTED, credentials=True)


@STRANGERS.exclude(path="/introspect").parametrize()
def test_the_sidecar_conforms_to_the_document(case, url):
    """An allowed request is answered or needs a token; a forbidden one is refused."""
    judge(case, url)


@STRANGERS.include(path="/introspect").parametrize()
def test_a_caller_s_form_is_answered_as_the_document_says(case, url):
    judge(case, url, auth=CALLER)


@INVENTORS.parametrize()
def test_no_one_passes_with_invented_credentials(case, url):
    judge(case, url)


@pytest.mark.parametrize(
    ("path", "method", "asked"),
    [
        ("/v1/authz/envoy/{path}", "GET", {"path_parameters": {"path": "x"}}),
        ("/v1/check", "POST", {"media_type": "application/json"}),
        ("/introspect", "POST", {"media_type": "application/x-www-form-urlencoded"}),
    ],
)
def test_a_passing_request_would_be_found(path, method, asked, url):
    """No generated request contains a good token."""
    good = signed("bob")
    bodies = {"/v1/check": {"claims": token("bob")}, "/introspect": {"token": good}}
    if path in bodies:
        asked = {**asked, "body": bodies[path]}
    case = STRANGERS[path][method].Case(**asked)
    how = {"headers": {"authorization": f"Bearer {good}"}}
    if path == "/introspect":
        how = {"auth": CALLER}
    assert case.call(base_url=url, **how).status_code == 200
    with pytest.raises(FailureGroup) as found:
        judge(case, url, **how)
    assert any("nobody_passes" in str(each) for each in found.value.exceptions)
