"""Reads a key set from a file or a URL, and nothing that a URL should not lead to.

Needs the extra `jwt`. Whoever can say where keys are read can let this process send
requests into its own network (RFC 8725 section 3.10), so a name is resolved here, every
address it has is checked, and the connection goes to a checked address: the name cannot
mean another one a moment later. Certificates are still checked against the name.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

_CONNECT_SECONDS: Final = 2.0
_OK: Final = 200
_PORTS: Final = {"https": 443, "http": 80}

Address = IPv4Address | IPv6Address

_NAT64: Final = ip_network("64:ff9b::/96")
_NEVER_PUBLIC: Final = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's metadata, at an address that looks public
            "192.0.0.0/24",  # Oracle Cloud's among others; some seem public, too
            "100.64.0.0/10",
            "64:ff9b:1::/48",
            "fec0::/10",
        ),
    )
)


async def read_file(path: Path, *, max_bytes: int) -> bytes | str:
    """Return the file's bytes, or why not."""
    return await asyncio.to_thread(_read_file, path, max_bytes)


def _read_file(path: Path, max_bytes: int) -> bytes | str:
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return raw if len(raw) <= max_bytes else f"it has more than {max_bytes} bytes"


async def read_url(
    url: str, *, private: bool, max_bytes: int, timeout_seconds: float
) -> bytes | str:
    """Return the answer's body, or why not. Never raises.

    Args:
        url: `https`, or `http` where only private addresses answer.
        private: whether it may lead to private addresses.
        max_bytes: the longest answer.
        timeout_seconds: the limit for everything together.
    """
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout_seconds):
            found = await _resolve(parts)
            refused = _refuse(found, private=private, http=parts.scheme == "http")
            if refused is not None:
                return refused
            return await _get(parts, found, max_bytes)
    except TimeoutError:
        return f"it took longer than {timeout_seconds:g} s"
    except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        return f"it cannot be read: {type(error).__name__}"


async def _resolve(parts: SplitResult) -> tuple[Address, ...]:
    port = parts.port or _PORTS[parts.scheme]
    found = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM
    )
    return tuple(dict.fromkeys(ip_address(each[4][0]) for each in found))


def _refuse(found: Sequence[Address], *, private: bool, http: bool) -> str | None:
    """Say why these addresses are not asked: one that is refused refuses all."""
    public = [is_public(each) for each in found]
    if not private and not all(public):
        return "it leads to an address that is not public; allow_private_addresses"
    if http and any(public):
        return "http leads to a public address, where anybody could answer"
    return None


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet: no host or service of one's own."""
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


async def _get(
    parts: SplitResult, addresses: Sequence[Address], max_bytes: int
) -> bytes | str:
    # Reading the system's certificates takes long enough to be felt by a request.
    context = await asyncio.to_thread(ssl.create_default_context)
    limits = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    # A client for each reading: no cookie, no connection to where the name once led.
    async with httpx.AsyncClient(
        verify=context, timeout=limits, trust_env=False, follow_redirects=False
    ) as client:
        for address in addresses:
            try:
                return await _ask(client, parts, address, max_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
    raise failed


async def _ask(
    client: httpx.AsyncClient, parts: SplitResult, address: Address, max_bytes: int
) -> bytes | str:
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    port = parts.port or _PORTS[parts.scheme]
    url = parts._replace(netloc=f"{host}:{port}").geturl()
    headers = {
        "host": parts.netloc,
        "accept": "application/jwk-set+json, application/json",
        "accept-encoding": "identity",
    }
    named = {"sni_hostname": parts.hostname}
    async with client.stream("GET", url, headers=headers, extensions=named) as answer:
        if answer.status_code != _OK:
            return f"it answered with status {answer.status_code}, no redirect counts"
        if answer.headers.get("content-encoding", "identity") != "identity":
            return "it answered with compressed content, which was not asked for"
        body = b""
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                return f"it has more than {max_bytes} bytes"
        return body
