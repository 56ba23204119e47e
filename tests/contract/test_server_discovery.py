"""How a store URL leads to the server."""

import pytest

from revocation.errors import SettingsError, StoreUnavailableError
from revocation.store.client.redis_connection import RedisConnection
from revocation.store.client.server_discovery import locate, without_secrets


@pytest.mark.parametrize(
    ("url", "plain", "addresses", "primary"),
    [
        ("redis://u:p@h:1/2", "redis://u:p@h:1/2", [], ""),
        ("unix:///run/s?db=1", "unix:///run/s?db=1", [], ""),
        (
            "redis+sentinel://u:p%40@a:1,b/main/3?socket_timeout=2",
            "redis://u:p%40@a:1/3?socket_timeout=2",
            [("a", 1), ("b", 26_379)],
            "main",
        ),
        ("rediss+sentinel://a/m", "rediss://a/0", [("a", 26_379)], "m"),
        (
            "rediss+cluster://u@[::1]:7,h:8",
            "rediss://u@[::1]:7/0",
            [("::1", 7), ("h", 8)],
            "",
        ),
        ("redis+cluster://h/0", "redis://h/0", [("h", 6_379)], ""),
        ("redis+sentinel://h/m?db=3", "redis://h/0?db=3", [("h", 26_379)], "m"),
        ("redis://h/", "redis://h/", [], ""),
        ("redis://h/1?db=01", "redis://h/1?db=01", [], ""),
        ("unix:///run/0x", "unix:///run/0x", [], ""),
    ],
)
def test_a_url_is_taken_apart(url, plain, addresses, primary) -> None:
    location = locate(url)

    assert location.plain_url == plain
    assert list(location.addresses) == addresses
    assert location.primary == primary


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis+sentinel://u:secret@a:1,b:2", "primary is missing"),
        ("redis+sentinel://u:secret@a:1,,b:2/main", "host is missing"),
        ("redis+sentinel://u:secret@a:x/main", "Port could not be cast"),
        ("redis+cluster://u:secret@a:1/3", "only the database 0"),
        ("redis+proxy://u:secret@a:1", "kind is not known"),
        ("http+cluster://u:secret@a:1", "kind is not known"),
        ("redis+cluster://u:secret@[::1", "Invalid IPv6"),
        ("redis://u:secret@[::1", "Invalid IPv6"),
        ("redis://u:secret@h/0x", "h/0x cannot be used .its database is not a number"),
        ("rediss://u:secret@h/-1", "database is not a number"),
        ("redis://u:secret@h/0/1", "database is not a number"),
        ("redis://u:secret@h/1_0", "database is not a number"),
        ("redis://u:secret@h/%EF%BC%91", "database is not a number"),
        ("redis://u:secret@h?db=x", "database is not a number"),
        ("redis://u:secret@h?db=-1", "database is not a number"),
        ("redis://u:secret@h?db=", "database is not a number"),
        ("redis://u:secret@h/1?db=2", r"names the databases \[1, 2\]"),
        ("unix:///run/s?db=0x", "database is not a number"),
        ("redis+sentinel://u:secret@h/main/0x", "database is not a number"),
        ("redis+sentinel://u:secret@h/main/0/1", "database is not a number"),
        ("redis+cluster://u:secret@h?db=1", r"names the databases \[0, 1\]"),
        ("http://u:secret@h/x", "one of the following schemes"),
    ],
)
def test_an_unusable_url_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        RedisConnection(url, timeout_ms=1_000, max_connections=1)

    assert "redis+sentinel://host1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError, match="'colour'"):
        RedisConnection("redis://h?colour=red", timeout_ms=1_000, max_connections=1)


async def test_options_in_the_url_win() -> None:
    url = (
        "redis://127.0.0.1:1?max_connections=3&timeout=2&socket_timeout=0.5&protocol=3"
    )

    connection = RedisConnection(url, timeout_ms=1_000, max_connections=1)

    assert connection._max_connections == 3
    assert connection._timeout == 2
    assert connection._pool.connection_kwargs["socket_timeout"] == 0.5
    with pytest.raises(StoreUnavailableError):
        await connection.call("PING")
    await connection.stop()


def test_secrets_are_left_out() -> None:
    url = "rediss+sentinel://u:secret@a,b/main/0?sentinel_password=secret"

    assert without_secrets(url) == "rediss+sentinel://a,b/main/0"
