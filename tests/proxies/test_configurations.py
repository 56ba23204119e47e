"""Static checks of `deploy/`: it fails closed and is complete."""

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from examples.behind_proxies.proxies import DEPLOY, KINDS, NAMES, fill_in
from revocation.settings import SidecarSettings
from revocation.sidecar.authorizer import IDENTITY
from revocation.sidecar.ext_authz import SERVICE
from revocation.sidecar.path_rules import read_rules
from revocation.sidecar.proxies import ENVOY_PREFIX
from tests.optional import need

KUBERNETES = DEPLOY / "kubernetes"
OLDEST, NEWEST = "1.33", "1.37"
TEMPLATES = sorted(path.relative_to(DEPLOY) for path in DEPLOY.rglob("*.template"))
OURS = [path for path in TEMPLATES if path.parent.name in {"envoy", "nginx", "traefik"}]
DEFAULTS = dict(
    re.findall(r"^(PROXY_\w+)=(.+)$", (DEPLOY / "proxy.env").read_text(), re.MULTILINE)
)


def filled(name):
    return fill_in((DEPLOY / name).read_text(), DEFAULTS)


def walk(value):
    """Yield every mapping inside a document."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value
    for each in inner if isinstance(value, dict | list) else ():
        yield from walk(each)


# Proxies ------------------------------------------------------------------------------


def test_every_template_is_run_by_the_tests():
    run = {Path(f"{name}.template") for kind in KINDS.values() for name in kind.files}
    assert set(OURS) == run


def test_every_value_is_used_and_has_a_default():
    used = set()
    for each in OURS:
        used |= set(re.findall(r"\$\{(PROXY_\w+)\}", (DEPLOY / each).read_text()))
    assert used == NAMES == DEFAULTS.keys()


@pytest.mark.parametrize("template", OURS, ids=str)
def test_the_readmes_command_fills_in_a_template(template, tmp_path):
    """With `envsubst`, to the same result as in the tests."""
    need("envsubst")
    readme = (DEPLOY / "README.md").read_text()
    (command,) = re.findall(r"(?s)\n    (set -a;.*?) > nginx.conf\n", readme)
    command = command.replace("deploy/nginx/nginx.conf.template", f"deploy/{template}")
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=DEPLOY.parent,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == filled(template)
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["envoy/grpc.yaml", "envoy/http.yaml"])
def test_envoy_fails_closed(name):
    document = yaml.safe_load(filled(f"{name}.template"))
    (manager,) = [each for each in walk(document) if "http_filters" in each]
    names = [each["name"] for each in manager["http_filters"]]
    assert names == [
        "envoy.filters.http.header_mutation",
        "envoy.filters.http.ext_authz",
        "envoy.filters.http.router",
    ]
    authz = manager["http_filters"][1]["typed_config"]
    assert authz["failure_mode_allow"] is False
    assert authz["status_on_error"] == {"code": "ServiceUnavailable"}
    assert authz["transport_api_version"] == "V3"
    # No part of the requests and no route bypasses it.
    assert not authz.keys() & {"filter_enabled", "filter_metadata", "deny_at_disable"}
    assert not [each for each in walk(document) if "typed_per_filter_config" in each]
    assert "cache" not in re.sub(
        r"(?m)#.*|cache-control|clear_route_cache", "", str(authz)
    )


def test_both_envoys_differ_only_in_the_check_protocol():
    """So the checks of one hold for the other."""
    both = []
    for name in ("grpc", "http"):
        document = yaml.safe_load(filled(f"envoy/{name}.yaml.template"))
        (manager,) = [each for each in walk(document) if "http_filters" in each]
        del manager["http_filters"][1]
        del document["static_resources"]["clusters"][1]
        both.append(document)
    assert both[0] == both[1]


def test_envoy_uses_the_sidecars_endpoints():
    assert f"path_prefix: {ENVOY_PREFIX}\n" in filled("envoy/http.yaml.template")
    assert SERVICE == "envoy.service.auth.v3.Authorization"


def test_traefik_checks_every_request():
    text = filled("traefik/routes.yaml.template")
    document = yaml.safe_load(text)["http"]
    for router in document["routers"].values():
        assert router["middlewares"][-1] == "ask-sidecar"
        assert router["middlewares"][0] == "only-our-identity"
    asks = document["middlewares"]["ask-sidecar"]["forwardAuth"]
    assert asks["trustForwardHeader"] is False
    assert asks["forwardBody"] is False


def test_nginx_checks_every_request():
    text = re.sub(r"(?m)^\s*#.*$", "", filled("nginx/nginx.conf.template"))
    assert re.findall(r"location (.*) \{", text) == [
        "/",
        "= /_revocation/authz",
        "@unauthorized",
        "@forbidden",
        "@not_told",
    ]
    assert text.count("proxy_pass http://service;") == 1
    assert "proxy_cache off;" in text


@pytest.mark.parametrize("name", IDENTITY)
def test_every_proxy_removes_the_clients_identity_headers(name):
    """Each header that the sidecar sets by default."""
    titled = "-".join(each.capitalize() for each in name.split("-"))
    assert f"proxy_set_header {titled} $" in filled("nginx/nginx.conf.template")
    assert f'{titled}: ""' in filled("traefik/routes.yaml.template")
    assert name.startswith("x-auth-")
    for each in ("grpc", "http"):
        assert "prefix: x-auth-, ignore_case: true" in filled(
            f"envoy/{each}.yaml.template"
        )


# Kubernetes ---------------------------------------------------------------------------


def resources():
    for path in ("deployment.yaml", "network.yaml"):
        yield from yaml.safe_load_all((KUBERNETES / path).read_text())


def pod():
    (found,) = [
        each["spec"]["template"]["spec"]
        for each in resources()
        if each["kind"] == "Deployment"
    ]
    return found


def containers():
    each_of = (*pod()["initContainers"], *pod()["containers"])
    return {each["name"]: each for each in each_of}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("resource", list(resources()), ids=lambda each: each["kind"])
def test_a_resource_matches_the_published_schema(resource, version):
    kubernetes_validate.validate(resource, version, strict=True)


def test_kustomize_output_matches_the_published_schemas(tmp_path):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl; Debian's is too old")
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    envoy = filled("envoy/grpc.yaml.template")
    (tmp_path / "kubernetes" / "envoy.yaml").write_text(envoy)
    built = subprocess.run(
        [kubectl, "kustomize", tmp_path / "kubernetes"],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    )
    found = list(yaml.safe_load_all(built.stdout))
    for each in found:
        kubernetes_validate.validate(each, NEWEST, strict=True)
    (maps, deployment) = (
        [each for each in found if each["kind"] == kind]
        for kind in ("ConfigMap", "Deployment")
    )
    names = {each["metadata"]["name"] for each in maps}
    volumes = deployment[0]["spec"]["template"]["spec"]["volumes"]
    assert {each["configMap"]["name"] for each in volumes if "configMap" in each} == (
        names
    )
    assert built.stderr == ""


@pytest.mark.parametrize("name", ["revocation", "envoy", "service"])
def test_a_container_has_least_privileges_and_bounds(name):
    container = containers()[name]
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsUser"] > 10_000
    assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert container["resources"]["limits"]["memory"]


def test_the_pods_mounts_match_the_configurations():
    envoy = {each["mountPath"] for each in containers()["envoy"]["volumeMounts"]}
    for name in ("CERTIFICATE", "CERTIFICATE_KEY", "SIDECAR_GRPC_SOCKET"):
        assert str(Path(DEFAULTS[f"PROXY_{name}"]).parent) in envoy
    assert DEFAULTS["PROXY_RUN_DIRECTORY"] in envoy


def test_service_variables_are_disabled():
    """One for a Service called `revocation-...` would be read as a setting."""
    assert pod()["enableServiceLinks"] is False


def test_the_sidecar_s_files_can_be_used(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("secret")
    password = str(tmp_path / "password")
    monkeypatch.setenv("REVOCATION_STORE_PASSWORD_FILE", password)
    monkeypatch.setenv("REVOCATION_CONFIG", str(KUBERNETES / "revocation.toml"))
    settings = SidecarSettings()
    assert settings.sidecar_grpc == f"unix:{DEFAULTS['PROXY_SIDECAR_GRPC_SOCKET']}"
    assert settings.sidecar_host == "127.0.0.1"
    content = (KUBERNETES / "rules.toml").read_bytes()
    rules = read_rules(content, name="rules.toml", policies=settings.policies)
    assert rules.find("GET", "/health").public
    assert rules.find("DELETE", "/datasets/7").scopes == ("datasets:write",)
