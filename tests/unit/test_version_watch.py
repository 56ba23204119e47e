"""A version claim that is not a version is reported and not silently trusted."""

import pytest
from structlog.testing import capture_logs

from revocation import metrics
from revocation.claims.claims import Token, read_token
from revocation.verifier.reporting.version_watch import MANY_USERS, VersionWatch
from tests.unit.strategies import CLAIMS, RULES


def token(issuer: str, user: str, version: int | None, after: int = 0) -> Token:
    claims = {**CLAIMS, "iss": issuer, "sub": user, "ver": version}
    read = read_token({**claims, "iat": CLAIMS["iat"] + after}, RULES)
    assert isinstance(read, Token)
    return read


def doubts(issuer: str, cause: str) -> float:
    return metrics.VERSION_DOUBTS.labels(issuer, cause)._value.get()


def test_a_version_that_falls_is_reported_once_and_counted_each_time() -> None:
    issuer, watch = "https://falls.example", VersionWatch()
    with capture_logs() as logs:
        for after, version in enumerate([3, 4, 2, 5, 1]):
            watch.note(token(issuer, "alice", version, after))
    assert doubts(issuer, "backwards") == 2
    assert [each["cause"] for each in logs] == ["backwards"]
    assert "version_claim" in logs[0]["remedy"]
    assert "alice" not in str(logs)


def test_an_older_token_with_an_older_version_is_as_it_should_be() -> None:
    issuer, watch = "https://older.example", VersionWatch()
    for after, version in ((5, 4), (1, 3), (5, 4), (6, 4)):
        watch.note(token(issuer, "alice", version, after))
    assert doubts(issuer, "backwards") == 0


@pytest.mark.parametrize(("version", "counted"), [(1, 2), (0, 0), (None, 0)])
def test_one_version_for_many_users_is_reported(
    version: int | None, counted: int
) -> None:
    """0 is that of everybody who was never revoked."""
    issuer, watch = f"https://constant-{version}.example", VersionWatch()
    for number in range(MANY_USERS + 1):
        watch.note(token(issuer, f"user-{number}", version))
    assert doubts(issuer, "constant") == counted


def test_versions_that_differ_are_believed() -> None:
    issuer, watch = "https://counts.example", VersionWatch()
    for number in range(2 * MANY_USERS):
        watch.note(token(issuer, f"user-{number}", 1 + (number == 7)))
    assert doubts(issuer, "constant") == 0


def test_what_is_remembered_is_bounded() -> None:
    watch = VersionWatch()
    for number in range(5_000):
        watch.note(token("https://many.example", f"user-{number}", 0))
    for number in range(300):
        watch.note(token(f"https://issuer-{number}.example", "alice", 0))
    assert len(watch._issuers["https://many.example"].users) == 4_096
    assert len(watch._issuers) == 256
