"""An identity provider that publishes metadata and keys, or misbehaves on request."""

import json
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.stations.beside import beside
from tests.unit.jwks_server import JwksServer, answer
from tests.unit.tokens import jwk, key_set

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
KEYS = key_set(jwk("ES256"), jwk("RS256", "key-2"))


class Provider(JwksServer):
    """Answers by path; 404 where nothing is published."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(tls=tls)
        self.published: dict[str, bytes] = {}
        self.answer = self._by_path

    def _by_path(self) -> bytes:
        nothing = answer(b"", "404 Not Found")
        return self.published.get(self.asked_for[-1], nothing)

    @property
    def asked_for(self) -> list[str]:
        return [each.split(b" ")[1].decode() for each in self.requests]

    @property
    def root(self) -> str:
        return self.url.removesuffix("/jwks.json")

    def say(self, path: str, **members: Any) -> None:
        """Publish metadata; members that are `...` are left out."""
        said = {"issuer": self.root, "jwks_uri": self.url, **members}
        kept = {name: value for name, value in said.items() if value is not ...}
        self.published[path] = answer(json.dumps(kept).encode())


@contextmanager
def serving(*, tls: ssl.SSLContext | None):
    with beside(Provider(tls)) as (server, _):
        server.published["/jwks.json"] = answer(KEYS)
        yield server


@contextmanager
def provider_over_tls(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Serve at `localhost`, with a certificate that is trusted meanwhile."""
    authority = Authority(folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    certificate = authority.issue("provider", host="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    with serving(tls=context) as server:
        yield server
