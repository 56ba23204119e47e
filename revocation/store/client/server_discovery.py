"""The address of a region's server: fixed, or found through Sentinels or a cluster.

Each new connection uses its discovery, so that a client that lost its connection to a
replaced server finds the new one. Nothing here waits for a failover to end.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from revocation.errors import SettingsError

EXAMPLES: Final = (
    "for instance `redis://host:6379/0`, `rediss://host:6380/0`, "
    "`unix:///run/valkey.sock`, `redis+sentinel://host1:26379,host2:26379/primary/0` "
    "or `redis+cluster://host1:6379,host2:6379`"
)
_OF_SENTINELS: Final = re.compile("connection_class|tls|ssl_|socket_keepalive")
_PORTS: Final = {"sentinel": 26_379, "cluster": 6_379}
_BY_NETWORK: Final = frozenset({"redis", "rediss"})
_DATABASE: Final = re.compile("[0-9]+")


class Address(NamedTuple):
    """A host by name or number, and a port."""

    host: str
    port: int


class Discovery(Protocol):
    """Finds the server to connect to."""

    attempts: int
    """How many connections a call may lose before it fails."""

    async def address(self) -> Address:
        """Return the server's current address.

        Raises:
            RedisError: no Sentinel or node that knows it answers.
        """

    def lost(self, address: Address) -> None:
        """Note that there is no usable server at an address."""

    def moved(self, error: ResponseError) -> bool:
        """Note a server's refusal; return whether to try another server."""

    async def stop(self) -> None:
        """Close the discovery's own connections; may be called twice."""


class SentinelDiscovery:
    """The primary that Redis or Valkey Sentinels agree on.

    Not redis-py's `Sentinel` (8.1): its error does not distinguish a refused password,
    which needs an operator, from an outage, which passes; and its clients do not accept
    our TLS context.
    """

    attempts = 1

    def __init__(
        self, sentinels: Sequence[Address], primary: str, options: dict[str, Any]
    ) -> None:
        """Prepare; take our own options out of `options`, and leave redis-py's."""
        self._primary = primary
        # Together they take no longer than one connection may.
        patience = options["socket_connect_timeout"] / len(sentinels)
        own = {
            **{name: options[name] for name in options if _OF_SENTINELS.match(name)},
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            "username": options.pop("sentinel_username", None),
            "password": options.pop("sentinel_password", None),
        }
        self._sentinels = [
            Redis.from_pool(ConnectionPool(**own, host=host, port=port))
            for host, port in sentinels
        ]

    async def address(self) -> Address:
        """Return the primary's address, from the first Sentinel that knows it.

        Raises:
            RedisError: none of them knows it.
        """
        errors: list[RedisError] = []
        for sentinel in tuple(self._sentinels):
            try:
                known = cast("dict[str, Any]", await sentinel.sentinel_masters())
            except RedisError as error:
                errors.append(error)
                continue
            state = known.get(self._primary)
            if state and _is_usable(state):
                # Ask it first next time.
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return Address(state["ip"], state["port"])
        if len(errors) == len(self._sentinels):
            raise errors[-1]
        raise RedisConnectionError(f"no Sentinel names the primary {self._primary!r}")

    def lost(self, address: Address) -> None:
        """Do nothing: the Sentinels are asked each time."""

    def moved(self, error: ResponseError) -> bool:
        """Return whether the server has become a replica: there is another primary."""
        return isinstance(error, ReadOnlyError)

    async def stop(self) -> None:
        """Disconnect from the Sentinels; may be called twice."""
        for each in self._sentinels:
            await each.aclose()


def _is_usable(state: dict[str, Any]) -> bool:
    return state["is_master"] and not (state["is_sdown"] or state["is_odown"])


class ClusterDiscovery:
    """The node of a cluster that owns a region's slot, as any node reports it."""

    def __init__(self, nodes: Sequence[Address]) -> None:
        """Prepare; `nodes` are those to try first, one that answers is enough."""
        self._nodes = nodes
        self._next = 0
        self._owner: Address | None = None
        self.attempts = len(nodes)

    async def address(self) -> Address:
        """Return the owner, or the next node to ask for it."""
        return self._owner or self._nodes[self._next % len(self._nodes)]

    def lost(self, address: Address) -> None:
        """Start again with another node."""
        if self._owner is None:
            self._next += 1
        elif self._owner == address:
            self._owner = None

    def moved(self, error: ResponseError) -> bool:
        """Return whether a node named the owner."""
        if not isinstance(error, MovedError) or not error.host:
            return False
        self._owner = Address(error.host, int(error.port))
        return True

    async def stop(self) -> None:
        """Do nothing: it has no connection of its own."""


class Location(NamedTuple):
    """A store URL in parts.

    `plain_url` is the form that redis-py reads. `kind` is `sentinel`, `cluster` or
    empty; only those two have addresses, and only Sentinels a primary's name.
    """

    plain_url: str
    kind: str = ""
    addresses: Sequence[Address] = ()
    primary: str = ""


def locate(url: str) -> Location:
    """Parse a store URL.

    Raises:
        SettingsError: it is invalid, or lacks a required primary or database.
    """
    try:
        parts = urlsplit(url)
        scheme, kind = _kind(parts.scheme)
        if not kind:
            in_path = unquote(parts.path).strip("/") if scheme in _BY_NETWORK else ""
            _require_database(in_path, parts.query)
            return Location(url)
        user, at, hosts = parts.netloc.rpartition("@")
        addresses = [_address(host, _PORTS[kind]) for host in hosts.split(",")]
        primary, database = _path(kind, parts.path)
        _require_database(database, parts.query)
    except ValueError as error:
        raise SettingsError(
            f"the store URL {without_secrets(url)} cannot be used ({error}); {EXAMPLES}"
        ) from None
    first = hosts.partition(",")[0]
    path = f"/{database or 0}"
    plain = SplitResult(scheme, f"{user}{at}{first}", path, parts.query, "")
    return Location(plain.geturl(), kind, addresses, primary)


def _kind(scheme: str) -> tuple[str, str]:
    """Split a scheme into the part that redis-py knows, and our own."""
    plain, _, kind = scheme.partition("+")
    if kind and (kind not in _PORTS or plain not in _BY_NETWORK):
        raise ValueError("its kind is not known")
    return plain, kind


def _path(kind: str, path: str) -> tuple[str, str]:
    """Return the primary's name, for Sentinels, and the database, if it is named."""
    first, _, second = unquote(path).strip("/").partition("/")
    if kind == "cluster":
        if first not in {"", "0"}:
            raise ValueError("a cluster has only the database 0")
        return "", "0"
    if not first:
        raise ValueError("the name of the primary is missing")
    return first, second


def _require_database(in_path: str, query: str) -> None:
    """Refuse what redis-py would read as database 0, and two different names."""
    named = parse_qs(query, keep_blank_values=True).get("db", [])
    if in_path:
        named.append(in_path)
    if not all(map(_DATABASE.fullmatch, named)):
        raise ValueError("its database is not a number such as 0")
    different = sorted(set(map(int, named)))
    if len(different) > 1:
        raise ValueError(f"it names the databases {different}; name one")


def _address(text: str, port: int) -> Address:
    found = urlsplit(f"//{text}")
    if not found.hostname:
        raise ValueError("a host is missing")
    return Address(found.hostname, found.port or port)


def without_secrets(url: str) -> str:
    """Return a store URL without its secrets, for logs."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "given"
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()
