"""What runs: a region with its pipeline, a sidecar for proxies, proxies and services.

    with running(folder, languages, rules=rules, tell=tell) as system:
        ...  # every proxy of system.doors answers

All are real processes, have their logs below the folder, and have ended afterwards.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from examples.behind_proxies import services
from examples.behind_proxies.proxies import Proxy
from examples.behind_proxies.services import Language, Service
from revocation.local import Embedded, Process, SystemState, free_ports
from revocation.local.demo_issuer import AUDIENCE, ISSUER, Issuer
from revocation.local.plan import DEFAULT_PARTITIONS, PYTHON
from revocation.local.process import (
    LOOPBACK,
    end,
    spawn,
    terminable,
    uninterrupted,
    wait_until,
)
from revocation.local.system_state import region_status
from revocation.settings import PublisherSettings
from tests.certificates import Authority

REGION = "eu"
TITLES = {
    "envoy-grpc": "Envoy, gRPC",
    "envoy-http": "Envoy, HTTP",
    "nginx": "nginx",
    "traefik": "Traefik",
}
_SIDECAR_SECONDS = 60


class Door(NamedTuple):
    """A proxy, and the service behind it."""

    proxy: str
    service: Service
    url: str


class System(NamedTuple):
    """What clients need to know of all that runs."""

    issuer: Issuer
    authority: Path
    """Vouches for the proxies."""
    publishing: PublisherSettings
    services: list[Service]
    doors: list[Door]


@contextlib.contextmanager
def running(
    folder: Path,
    languages: Sequence[Language],
    *,
    rules: Path,
    tell: Callable[[str], None],
) -> Iterator[System]:
    """Start everything; at last end everything, in the opposite order.

    Raises:
        PrerequisiteError: a program is missing.
        EmbeddedError: something did not start, with the end of its log.
    """
    with terminable(), contextlib.ExitStack() as stack:
        # First, since a service may have to be compiled.
        behind = [_start_service(each, folder, stack) for each in languages]
        pipeline = Embedded(folder / "system", regions=(REGION,), tell=tell)
        state = stack.enter_context(pipeline).state()
        issuer = Issuer()
        issuer.write_jwks(folder / "jwks.json")
        sidecar = _start_sidecar(state, folder, rules, stack)
        tell("a sidecar answers proxies, by HTTP and by gRPC")
        for service in behind:
            service.wait()
            tell(f"a service in {service.language} answers")
        authority = Authority(folder)
        certificate = authority.issue("proxy")
        values = {
            **sidecar,
            "PROXY_LISTEN_ADDRESS": LOOPBACK,
            "PROXY_CERTIFICATE": str(certificate.file),
            "PROXY_CERTIFICATE_KEY": str(certificate.key_file),
        }
        doors = []
        for name, service in zip(TITLES, cycle(behind), strict=False):
            proxy = _proxy(name, service, folder, values, authority.file)
            stack.enter_context(proxy)
            doors.append(Door(TITLES[name], service, proxy.url))
            tell(f"{TITLES[name]} answers, in front of {service.language}")
        publishing = PublisherSettings(
            bootstrap_servers=state.bootstrap_servers, partitions=DEFAULT_PARTITIONS
        )
        yield System(issuer, authority.file, publishing, behind, doors)


def _start_service(
    language: Language, folder: Path, stack: contextlib.ExitStack
) -> Service:
    with uninterrupted():
        service = services.start(language, folder)
        stack.callback(_end, service.process)
    return service


def _start_sidecar(
    state: SystemState, folder: Path, rules: Path, stack: contextlib.ExitStack
) -> Mapping[str, str]:
    """Start a sidecar and wait for it; return where proxies ask, as `proxy.env` has it.

    The pipeline has one already, which knows no issuer: it is for services that verify
    signatures themselves.
    """
    (port,) = free_ports(1)
    socket, grpc = folder / "sidecar.sock", folder / "grpc.sock"
    trusted = {
        "jwks_file": str(folder / "jwks.json"),
        "algorithms": ["ES256"],
        "audiences": [AUDIENCE],
        "version_claim": "ver",
    }
    env = {
        "REVOCATION_CONFIG": str(state.config_file),
        "REVOCATION_STORE_URL": state.regions[REGION].store_url,
        "REVOCATION_ISSUERS": json.dumps({ISSUER: trusted}),
        "REVOCATION_SIDECAR_RULES_FILE": str(rules.absolute()),
        "REVOCATION_SIDECAR_SOCKET": str(socket),
        "REVOCATION_SIDECAR_GRPC": f"unix:{grpc}",
        "REVOCATION_SIDECAR_PORT": str(port),
    }
    command = (*PYTHON, "sidecar", "--region", REGION)
    log = folder / "logs" / "sidecar.log"
    with uninterrupted():
        process = spawn("sidecar", command, env=env, log=log)
        stack.callback(_end, process)
    url = f"http://{LOOPBACK}:{port}"
    wait_until(lambda: region_status(url).ready, [process], seconds=_SIDECAR_SECONDS)
    return {
        "PROXY_SIDECAR_SOCKET": str(socket),
        "PROXY_SIDECAR_GRPC_SOCKET": str(grpc),
        "PROXY_SIDECAR_HOST": LOOPBACK,
        "PROXY_SIDECAR_PORT": str(port),
    }


def _proxy(
    name: str,
    service: Service,
    folder: Path,
    values: Mapping[str, str],
    authority: Path,
) -> Proxy:
    (port,) = free_ports(1)
    own = {
        "PROXY_LISTEN_PORT": str(port),
        "PROXY_SERVICE_HOST": LOOPBACK,
        "PROXY_SERVICE_PORT": str(service.port),
    }
    log = folder / "logs" / f"{name}.log"
    return Proxy(name, folder / name, {**values, **own}, authority=authority, log=log)


def _end(process: Process) -> None:
    # Whoever presses Ctrl-C once more wants it to be quick, not half done.
    with uninterrupted():
        end([process])
