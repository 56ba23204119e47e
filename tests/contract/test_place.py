"""What a store URL says about where the server is."""

import pytest

from revocation.errors import SettingsError, StoreUnavailableError
from revocation.store.connection import Connection
from revocation.store.place import locate, without_secrets


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
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        Connection(url, timeout_ms=1_000, max_connections=1)

    assert "redis+sentinel://host1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match="'colour'"):
        Connection("redis://h?colour=red", timeout_ms=1_000, max_connections=1)


async def test_options_in_the_url_win() -> None:
    url = "redis://127.0.0.1:1?max_connections=3&socket_timeout=0.5&protocol=3"

    connection = Connection(url, timeout_ms=1_000, max_connections=1)

    assert connection._max_connections == 3
    assert connection._pool.connection_kwargs["socket_timeout"] == 0.5
    with pytest.raises(StoreUnavailableError):
        await connection.call("PING")
    await connection.stop()


def test_secrets_are_left_out() -> None:
    url = "rediss+sentinel://u:secret@a,b/main/0?sentinel_password=secret"

    assert without_secrets(url) == "rediss+sentinel://a,b/main/0"
