"""The whole sidecar from its settings, on real sockets of this machine."""

import asyncio
import contextlib
import json
import logging
import sys
from hashlib import sha256

import httpx
import pytest

from revocation.entries import Kind
from revocation.errors import MissingExtraError, SettingsError
from revocation.http.listening import Tcp, Unix
from revocation.settings import SidecarSettings
from revocation.sidecar.sidecar import Sidecar, limits, listeners
from revocation.verifier import replica_feed
from tests.installation import eventually
from tests.stations.sidecars import published, signed, verifier_of
from tests.stations.test_verifier import cut_off, store_as_of, token
from tests.unit.tokens import AUDIENCE, ISSUER

RULES = """
[[rules]]
path = "/health"
public = true

[[rules]]
path = "/datasets/{id}"
resources = ["dataset:{id}"]
"""
SECRET = "0f" * 32


@pytest.fixture
async def store():
    revoked = cut_off(Kind.USER, "alice"), cut_off(Kind.RESOURCE, "dataset:42")
    return await store_as_of(0, *revoked)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jwks.json").write_bytes(published())
    (tmp_path / "rules.toml").write_text(RULES)
    digest = sha256(SECRET.encode()).hexdigest()
    (tmp_path / "callers").write_text(f"warehouse sha256:{digest}\n")
    (tmp_path / "pepper").write_text("0123456789abcdef" * 2)
    return tmp_path


@pytest.fixture
def settings(folder):
    def make(**more):
        issuer = {
            "jwks_file": folder / "jwks.json",
            "algorithms": ["ES256"],
            "audiences": [AUDIENCE],
        }
        return SidecarSettings(
            **{
                "region": "eu",
                "store_url": "redis://127.0.0.1:1",
                "pepper_file": folder / "pepper",
                "issuers": {ISSUER: issuer},
                "sidecar_port": 0,
                "sidecar_rules_file": folder / "rules.toml",
                "sidecar_socket": folder / "s",
                **more,
            }
        )

    return make


@contextlib.asynccontextmanager
async def running(settings, store, folder):
    """Start a sidecar; yields clients of its socket and its port."""
    verifier = verifier_of(store, folder / "jwks.json")
    sidecar = Sidecar(settings, verifier=verifier)
    await sidecar.start()
    try:
        transport = httpx.AsyncHTTPTransport(uds=str(settings.sidecar_socket))
        unix = httpx.AsyncClient(transport=transport, base_url="http://sidecar")
        async with unix:
            sidecar.client = unix
            yield sidecar
    finally:
        await sidecar.stop()
        await sidecar.stop()


def bearer(name, **claims):
    return {"authorization": f"Bearer {signed(name, **claims)}"}


def nginx(target, method="GET", **headers):
    return {"x-original-method": method, "x-original-uri": target, **headers}


async def is_ready(client):
    return (await client.get("/readyz")).status_code == 200


async def test_everything_is_served_on_the_socket_and_on_the_port(
    settings, store, folder
):
    told = settings(
        sidecar_callers_file=folder / "callers",
        sidecar_identity_headers={"x-user": "sub"},
        sidecar_remove_headers=["authorization"],
    )
    async with running(told, store, folder) as sidecar:
        ask = sidecar.client
        await eventually(lambda: is_ready(ask), pause=0.01)
        passed = await ask.get("/v1/authz/envoy/x", headers=bearer("bob"))
        assert (passed.status_code, passed.headers["x-user"]) == (200, "bob")
        removed = passed.headers["x-envoy-auth-headers-to-remove"].split(",")
        assert removed == ["authorization", "x_user"]
        for target, name, status in (
            ("/x", "bob", 200),
            ("/x", "alice", 401),
            ("/datasets/42", "bob", 401),
            ("//x", "bob", 403),
        ):
            headers = nginx(target, **bearer(name))
            answer = await ask.get("/v1/authz/nginx", headers=headers)
            assert answer.status_code == status
        who = ("warehouse", SECRET)
        form = {"token": signed("bob")}
        assert (await ask.post("/introspect", data=form, auth=who)).json()["active"]
        stranger = await ask.post("/introspect", data=form)
        assert (stranger.status_code, stranger.json()) == (
            401,
            {"error": "invalid_client"},
        )
        (address,) = [each for each in sidecar.server.addresses if "unix" not in each]
        async with httpx.AsyncClient(base_url=f"http://{address}") as tcp:
            verdict = await tcp.post("/v1/check", json={"claims": token("bob")})
            assert (await tcp.get("/healthz")).text == "ok\n"
        assert verdict.json()["active"]
    assert not (folder / "s").exists()


async def test_it_listens_while_cold_and_reports_it(settings, store, folder):
    store.available = False
    async with running(settings(), store, folder) as sidecar:
        ask = sidecar.client
        assert (await ask.get("/healthz")).status_code == 200
        assert (await ask.get("/readyz")).status_code == 503
        answer = await ask.get("/v1/authz/envoy/x", headers=bearer("bob"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        public = await ask.get("/v1/authz/envoy/health")
        assert public.status_code == 200


async def test_it_may_be_started_before_its_store(settings, store, folder, monkeypatch):
    monkeypatch.setattr(replica_feed, "_FIRST_BACKOFF_SECONDS", 0.001)
    store.available = False
    async with running(settings(), store, folder) as sidecar:
        ask = sidecar.client
        assert not await is_ready(ask)
        store.available = True
        await eventually(lambda: is_ready(ask), pause=0.01)
        answer = await ask.get("/v1/authz/envoy/x", headers=bearer("bob"))
        assert answer.status_code == 200


async def test_a_store_whose_clock_is_wrong_is_never_ready(
    settings, store, folder, monkeypatch
):
    """Until its clock is corrected."""
    monkeypatch.setattr(replica_feed, "_FIRST_BACKOFF_SECONDS", 0.001)

    async def skewed():
        return 3_600_000

    with monkeypatch.context() as wrong:
        wrong.setattr(store, "clock_skew_ms", skewed)
        async with running(settings(), store, folder) as sidecar:
            ask = sidecar.client
            answer = await ask.get("/v1/authz/envoy/x", headers=bearer("bob"))
            assert (answer.status_code, await is_ready(ask)) == (503, False)
            wrong.undo()
            await eventually(lambda: is_ready(ask), pause=0.01)


async def test_a_lost_store_leaves_the_replica(settings, store, folder):
    """For as long as the route class allows."""
    async with running(settings(), store, folder) as sidecar:
        ask = sidecar.client
        await eventually(lambda: is_ready(ask), pause=0.01)
        store.available = False
        for name, status in (("bob", 200), ("alice", 401)):
            answer = await ask.get("/v1/authz/envoy/x", headers=bearer(name))
            assert answer.status_code == status
        assert await is_ready(ask)


async def test_a_body_that_is_too_large_is_refused(settings, store, folder):
    told = settings(sidecar_max_body_bytes=10_000)
    async with running(told, store, folder) as sidecar:
        answer = await sidecar.client.post("/v1/check", content=b" " * 10_001)
    assert (answer.status_code, answer.json()["title"]) == (413, "body_too_large")


async def test_rules_change_under_load_and_no_request_is_lost(settings, store, folder):
    """Each answer is by the old rules or by the new ones."""
    async with running(settings(), store, folder) as sidecar:
        ask, seen = sidecar.client, []
        await eventually(lambda: is_ready(ask), pause=0.01)

        async def load():
            while True:
                answer = await ask.get("/v1/authz/envoy/health")
                seen.append(answer.status_code)

        running_load = asyncio.ensure_future(load())
        for text in (RULES.replace("health", "live"), "broken", RULES) * 3:
            (folder / "rules.toml").write_text(text)
            so_far = len(seen)
            sidecar.reload()
            await eventually(lambda so_far=so_far: len(seen) > so_far + 5, pause=0.001)
        running_load.cancel()
        assert set(seen) == {200, 401}


async def test_no_token_and_no_path_is_logged(settings, store, folder, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    who = {"sidecar_introspection_scope": "introspect"}
    secret = signed("zaphod", scope="introspect", jti="the-secret-one")
    async with running(settings(**who), store, folder) as sidecar:
        ask = sidecar.client
        for headers in (bearer("zaphod"), {"authorization": f"Bearer {secret}"}):
            await ask.get("/v1/authz/envoy/users/zaphod", headers=headers)
            await ask.get("/v1/authz/nginx", headers=headers)
            await ask.post("/introspect", data={"token": secret}, headers=headers)
        await ask.post("/v1/check", json={"token": secret, "x": "zaphod"})
        await ask.get(f"/{secret}")
    out = capsys.readouterr()
    ours = [each for each in caplog.records if not each.name.startswith("http")]
    logged = "\n".join([out.out, out.err, *[each.getMessage() for each in ours]])
    assert "sidecar listening" in logged
    for part in ("zaphod", *secret.split(".")):
        assert part not in logged


# Settings -----------------------------------------------------------------------------


def test_where_it_listens(settings, folder):
    tcp, unix = listeners(settings(sidecar_socket_mode="600", sidecar_host="::1"))
    assert tcp == Tcp(host="::1", port=0)
    assert unix == Unix(path=folder / "s", mode=0o600)
    assert listeners(settings(sidecar_tcp=False)) == [Unix(path=folder / "s")]
    assert len(listeners(settings(sidecar_socket=None))) == 1


def test_limits_are_settings(settings):
    told = limits(settings(sidecar_max_body_bytes=10_000, sidecar_idle_seconds=7))
    assert (told.body_bytes, told.idle_seconds) == (10_000, 7)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sidecar_tcp": False, "sidecar_socket": None}, "name a sidecar_socket"),
        ({"sidecar_cert_file": "c"}, "go together"),
        ({"sidecar_client_ca_file": "c"}, "needs a sidecar_cert_file"),
        ({"sidecar_introspection_route": "x"}, "is no route class"),
        ({"sidecar_socket_mode": "rw"}, "SIDECAR_SOCKET_MODE"),
        ({"sidecar_identity_headers": {"X": "sub"}}, "cannot name an identity header"),
        ({"sidecar_remove_headers": ["Host"]}, "cannot be removed"),
        ({"sidecar_cookie": "token"}, "__Host-"),
        ({"sidecar_own_origins": ["app.example"]}, "is not an origin"),
        ({"sidecar_realm": "é"}, "not printable ASCII"),
        ({"sidecar_statuses": {"apache": {400: 403}}}, "the proxies are nginx"),
        ({"sidecar_statuses": {"nginx": {503: 200}}}, "is not a refusal"),
        ({"sidecar_callers_file": "nowhere"}, "cannot read the callers"),
        ({"sidecar_introspection_scope": "a b"}, "is not a scope"),
        ({"sidecar_rules_file": "nowhere"}, "cannot read the rules"),
        ({"issuers": {}, "sidecar_introspection_scope": "a"}, "no issuers are"),
        ({"issuers": {}, "sidecar_grpc": "unix:/run/x"}, "no issuers are"),
    ],
)
async def test_wrong_settings_are_reported_before_anything_listens(
    settings, store, folder, wrong, says
):
    with pytest.raises(SettingsError, match=says):
        Sidecar(settings(**wrong), verifier=verifier_of(store, folder / "jwks.json"))


async def test_a_missing_grpc_extra_is_named(settings, store, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    chosen = settings(sidecar_grpc="unix:/run/x")
    says = r"REVOCATION_SIDECAR_GRPC.*'revocation\[grpc\]'"
    with pytest.raises(MissingExtraError, match=says):
        Sidecar(chosen, verifier=verifier_of(store, folder / "jwks.json"))


async def test_a_setting_of_statuses_comes_as_json(settings, monkeypatch):
    text = json.dumps({"nginx": {"400": 401}})
    monkeypatch.setenv("REVOCATION_SIDECAR_STATUSES", text)
    assert settings().sidecar_statuses == {"nginx": {400: 401}}
