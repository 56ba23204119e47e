"""A source over HTTP: one POST, answered with JSON. Needs `httpx`, of the extra `jwt`.

It follows no redirects, uses no proxy from the environment and limits the answer's
size: it may send a token, and it trusts what comes back.
"""

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from revocation.errors import SettingsError
from revocation.extras import require_extra
from revocation.jwt.compact import read_json
from revocation.verifier.fallback.fallback_source import Source

if TYPE_CHECKING:
    import httpx

_MAX_ANSWER_BYTES: Final = 65_536
_OK: Final = 200


class PostingSource(Source):
    """Posts a request and reads a JSON object."""

    def __init__(
        self,
        url: str,
        *,
        allow_plain_http: bool,
        ca_file: Path | None,
        timeout_ms: int,
        max_concurrent: int,
    ) -> None:
        """Prepare; `start` opens a pool of connections.

        Raises:
            SettingsError: the URL cannot be used, or `httpx` is missing.
        """
        super().__init__(timeout_ms=timeout_ms, max_concurrent=max_concurrent)
        _check_url(url, allow_plain_http=allow_plain_http)
        require_extra("jwt", f"the fallback `{self.name}`")
        self._url = url
        self._ca_file = ca_file
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Open a pool of connections, which connect on demand.

        Raises:
            SettingsError: the certificate file cannot be read.
        """
        import httpx  # noqa: PLC0415 - an extra

        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=_trusting(self._ca_file),
                # Use neither proxy nor credentials from the environment.
                trust_env=False,
                follow_redirects=False,
                timeout=self._timeout_seconds,
                limits=httpx.Limits(max_connections=self._max_concurrent),
                # A small compressed answer could pass the limit and expand.
                headers={"accept": "application/json", "accept-encoding": "identity"},
            )

    async def stop(self) -> None:
        """Disconnect; may be called twice, and `start` may follow."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def post(self, content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Post, and return the JSON object of the answer.

        Raises:
            ValueError: there is none; the message may be logged.
        """
        if self._client is None:
            raise ValueError("the fallback is not started")
        body = bytearray()
        request = self._client.stream(
            "POST", self._url, content=content, headers=headers
        )
        async with request as response:
            if response.status_code != _OK:
                raise ValueError(f"it answers with HTTP status {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise ValueError("its answer is too long")
        answer = read_json(bytes(body))
        if type(answer) is not dict:
            raise ValueError("its answer is not a JSON object")
        return answer


def _check_url(url: str, *, allow_plain_http: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"the fallback's URL cannot be read: {error}") from None
    if not host or parts.username is not None or parts.fragment:
        raise SettingsError(
            "the fallback's URL needs a host, and must not have a user, password or "
            "fragment"
        )
    plain = parts.scheme == "http" and (allow_plain_http or _is_loopback(host))
    if parts.scheme != "https" and not plain:
        raise SettingsError(
            f"the fallback at {host} needs an https URL, as its answers are trusted; "
            "http is only allowed on this machine"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _trusting(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise SettingsError(
            f"cannot read the certificates in {ca_file}: {error}"
        ) from None
