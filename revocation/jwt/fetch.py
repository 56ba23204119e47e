"""Reads a key set from a file or a URL, without server-side request forgery.

Needs the extra `jwt`. A key set's URL could make this process send requests into its
own network (RFC 8725 section 3.10), so the host name is resolved here, each of its
addresses is checked, and the connection goes to a checked address: the name cannot
change its meaning in between. Certificates are still checked against the name. A proxy,
if the settings name one, resolves the name itself, so the proxy must restrict it.

Addresses are tried as in RFC 8305 section 5: the next one starts soon, while earlier
ones may still answer. So an address that is dead, or accepts and sends nothing, does
not block a good one.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx

from revocation.background import end_task

_CONNECT_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.25
"""Between two addresses; less if there are many."""
_OK: Final = 200
_PORTS: Final = {"https": 443, "http": 80}

Address = IPv4Address | IPv6Address

_NAT64: Final = ip_network("64:ff9b::/96")
_NEVER_PUBLIC: Final = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's metadata, although the address looks public
            "192.0.0.0/24",  # Oracle Cloud's metadata and others; some look public
            "100.64.0.0/10",
            "64:ff9b:1::/48",
            "fec0::/10",
        ),
    )
)


async def read_file(path: Path, *, max_bytes: int) -> bytes | str:
    """Return the file's bytes, or why it cannot be read."""
    return await asyncio.to_thread(_read_file, path, max_bytes)


def _read_file(path: Path, max_bytes: int) -> bytes | str:
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return raw if len(raw) <= max_bytes else f"it has more than {max_bytes} bytes"


async def read_url(
    url: str,
    *,
    private: bool,
    max_bytes: int,
    timeout_seconds: float,
    proxy: str | None = None,
) -> bytes | str:
    """Return the response body, or why it cannot be read. Never raises.

    Args:
        url: `https`, or `http` if all its addresses are private.
        private: whether it may lead to private addresses.
        max_bytes: the size limit of the body.
        timeout_seconds: the limit for the whole call.
        proxy: the URL of a proxy to use. It resolves the name, so `private` then has
            no effect.
    """
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout_seconds):
            if proxy is not None:
                return await _get_through(proxy, url, max_bytes)
            found = await _resolve(parts)
            refused = _refuse(found, private=private, http=parts.scheme == "http")
            if refused is not None:
                return refused
            pause = min(_PAUSE_SECONDS, timeout_seconds / 2 / len(found))
            return await _get(parts, found, max_bytes, pause)
    except TimeoutError:
        return f"it took longer than {timeout_seconds:g} s"
    except _UNREADABLE as error:
        return _explain(error)


async def _resolve(parts: SplitResult) -> tuple[Address, ...]:
    port = parts.port or _PORTS[parts.scheme]
    found = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM
    )
    return tuple(dict.fromkeys(ip_address(each[4][0]) for each in found))


def _refuse(found: Sequence[Address], *, private: bool, http: bool) -> str | None:
    """Return why these addresses are refused; a single bad one refuses them all."""
    public = [is_public(each) for each in found]
    if not private and not all(public):
        return "it leads to an address that is not public (allow_private_addresses)"
    if http and any(public):
        return "it leads to a public address by http, where anybody could answer"
    return None


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet and not in a local network."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner)
    within = any(
        address in each for each in _NEVER_PUBLIC if each.version == address.version
    )
    return address.is_global and not address.is_multicast and not within


_UNREADABLE: Final = (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL)


def _explain(error: Exception) -> str:
    cause = type(error).__name__
    if isinstance(error, socket.gaierror):
        cause = f"its host has no known address ({cause})"
    elif isinstance(error, httpx.ConnectError):
        cause = f"no connection ({cause}: {error})"
    return f"it cannot be read: {cause}"


_reading_certificates: Final = Lock()


def _trusting() -> ssl.SSLContext:
    """Return a context that trusts the system's certificates, cached until they change.

    Loading them is slow enough to matter: with the issuers of many tenants, hundreds
    are fetched at once, and would run out of time.
    """
    paths = ssl.get_default_verify_paths()
    stores = tuple(filter(None, (paths.cafile, paths.capath)))
    with _reading_certificates:
        return _read_certificates(tuple((each, _changed_at(each)) for each in stores))


@lru_cache(maxsize=1)
def _read_certificates(_: tuple[tuple[str, int], ...]) -> ssl.SSLContext:
    return ssl.create_default_context()


def _changed_at(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


async def _open(proxy: str | None = None) -> httpx.AsyncClient:
    """Return a client for one reading, without cookies and connections."""
    context = await asyncio.to_thread(_trusting)
    through = None
    if proxy is not None:
        own = context if urlsplit(proxy).scheme == "https" else None
        through = httpx.Proxy(proxy, ssl_context=own)
    return httpx.AsyncClient(
        verify=context,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        trust_env=False,
        follow_redirects=False,
        proxy=through,
    )


async def _get_through(proxy: str, url: str, max_bytes: int) -> bytes | str:
    async with await _open(proxy) as client:
        request = client.build_request("GET", url, headers=_HEADERS)
        return await _ask(client, request, max_bytes)


async def _get(
    parts: SplitResult, addresses: Sequence[Address], max_bytes: int, pause: float
) -> bytes | str:
    async with await _open() as client:
        attempts = [
            partial(_try, client, _request(client, parts, address), max_bytes)
            for address in addresses
        ]
        return await _first_of(attempts, pause)


async def _first_of(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, bytes | str]]], pause: float
) -> bytes | str:
    """Return the first body; the next attempt starts after a pause or a failure."""
    waiting, running = list(reversed(attempts)), set[asyncio.Task[bytes | str]]()
    result: bytes | str = "it has no address"
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(waiting.pop()()))
            done, running = await asyncio.wait(
                running,
                timeout=pause if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for each in done:
                result = each.result()
                if isinstance(result, bytes):
                    return result
    finally:
        for each in running:
            await end_task(each)
    return result


def _request(
    client: httpx.AsyncClient, parts: SplitResult, address: Address
) -> httpx.Request:
    """Return a request to an address, with the host name of the URL."""
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    port = parts.port or _PORTS[parts.scheme]
    url = parts._replace(netloc=f"{host}:{port}").geturl()
    headers = {"host": parts.netloc, **_HEADERS}
    named = {"sni_hostname": parts.hostname}
    return client.build_request("GET", url, headers=headers, extensions=named)


_HEADERS: Final = {
    "accept": "application/jwk-set+json, application/json",
    "accept-encoding": "identity",
}


async def _try(
    client: httpx.AsyncClient, request: httpx.Request, max_bytes: int
) -> bytes | str:
    try:
        return await _ask(client, request, max_bytes)
    except _UNREADABLE as error:
        return _explain(error)


async def _ask(
    client: httpx.AsyncClient, request: httpx.Request, max_bytes: int
) -> bytes | str:
    answer = await client.send(request, stream=True)
    try:
        if answer.status_code != _OK:
            return f"it answered with status {answer.status_code} (no redirects)"
        coding = answer.headers.get("content-encoding", "identity")
        if coding.strip().lower() != "identity":
            return "it answered with compressed content, which was not asked for"
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                return f"it has more than {max_bytes} bytes"
        return bytes(body)
    finally:
        await answer.aclose()
