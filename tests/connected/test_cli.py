"""Publishing and checking as operators do: real processes on a real installation.

Siblings: `test_cli_setup.py` (commands that need no running station) and
`test_status.py` (`revocation status`).
"""

import base64
import json
import time
from pathlib import Path

import pytest

from revocation.entries import Kind, Target
from revocation.events import encode
from tests.connected.typed import NOWHERE, Done, has, publish, token, typed
from tests.installation import Installation
from tests.traffic import ISSUER, logged_out, user
from tests.unit.tokens import AUDIENCE, jwk, key_for, key_set, mint

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]


# Publish ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["user-logged-out", "--user", "cli-1", "--reason", "test"], user("cli-1")),
        (["token-revoked", "--jti", "j"], Target(Kind.TOKEN, ISSUER, "j")),
        (
            ["data-deleted", "--resource", "dataset:7", "--time", "2026-01-01"],
            Target(Kind.RESOURCE, ISSUER, "dataset:7"),
        ),
        (
            ["client-revoked", "--client", "shop", "--disable"],
            Target(Kind.CLIENT, ISSUER, "shop"),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_event_is_published_and_applied(
    running: Installation, words: list[str], target: Target
) -> None:
    done = publish(running, *words, "--issuer", ISSUER)
    assert done.code == 0, done.err
    report = done.json
    (receipt,) = report["receipts"]
    partition, offset = map(int, receipt.split("-"))
    assert report["id"]
    assert 0 <= partition < 4 <= offset + 4
    assert report["applied_ms"]["eu"] > 0
    assert has(running, target)


def test_a_bulk_event_has_a_receipt_for_each_partition(running: Installation) -> None:
    names = [f"bulk-{number}" for number in range(20)]
    words = [word for name in names for word in ("--users", name)]
    done = publish(running, "users-revoked", "--issuer", ISSUER, *words)
    assert len(done.json["receipts"]) == 4
    assert has(running, *map(user, names))


def test_the_output_for_people(running: Installation) -> None:
    words = ("publish", "user-logged-out", "--issuer", ISSUER, "--user", "cli-2")
    done = typed(running, *words, "--wait", "applied:eu")
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert done.code == 0
    assert lines.keys() == {"id", "receipts", "applied ms"}
    assert lines["applied ms"].startswith("eu ")


TRUSTED = json.dumps(
    {ISSUER: {"jwks_file": "-", "algorithms": ["ES256"], "audiences": [AUDIENCE]}}
)


def test_an_issuer_that_no_verifier_knows_is_warned_of(running: Installation) -> None:
    """An issuer without its last slash is applied, and revokes nothing."""
    slip = ISSUER.rstrip("/")
    words = ("user-logged-out", "--issuer", slip, "--user", "slip")
    done = typed(running, "publish", *words, "--wait", "applied", issuers=TRUSTED)
    told = publish(running, *words, issuers=TRUSTED)

    assert done.code == told.code == 0
    for each in done, told:
        assert f"the nearest in REVOCATION_ISSUERS is {ISSUER}\n" in each.err
    assert f"no verifier configured here knows {slip}\n" in done.out
    assert told.json["unknown_issuers"] == [slip]


def test_unknown_issuers_in_a_file_are_warned_of(running: Installation) -> None:
    of_another = logged_out("other").model_dump(mode="json", exclude_none=True)
    of_another["data"]["issuer"] = "idp"
    lines = b"\n".join([encode(logged_out("mine")), json.dumps(of_another).encode()])
    words = ("publish", "--file", "-", "--json")
    done = typed(running, *words, stdin=lines, issuers=TRUSTED)

    assert done.code == 0
    assert done.json["unknown_issuers"] == ["idp"]
    assert done.err.count("warning: ") == 1


def test_a_known_issuer_is_not_warned_of(running: Installation) -> None:
    words = ("user-logged-out", "--issuer", ISSUER, "--user", "known")
    for issuers in ({}, {"issuers": TRUSTED}):
        done = publish(running, *words, **issuers)
        assert (done.code, done.json["unknown_issuers"]) == (0, [])
        assert "warning" not in done.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--wait", "soon"], "--wait takes applied"),
        (["--wait", "applied:mars"], "no region 'mars'; REVOCATION_REGIONS has eu"),
        (["--user", ""], "data.user: String should have at least 1 character"),
        (["--version", "0"], "data.version: Input should be greater"),
    ],
)
def test_a_wrong_command_publishes_nothing(
    running: Installation, words: list[str], complaint: str
) -> None:
    command = ("publish", "user-logged-out", "--issuer", ISSUER, "--user", "wrong")
    done = typed(running, *command, *words)
    assert done.code == 2
    assert complaint in " ".join(done.err.replace("│", " ").split())
    assert done.out == ""


def test_a_timeout_is_reported_with_the_receipt(
    running: Installation,
) -> None:
    """It is in the log nevertheless; the receipt allows a later check."""
    regions = {"eu": running.stores["eu"].url, "mars": f"redis://{NOWHERE}"}
    done = publish(
        running,
        *("user-logged-out", "--issuer", ISSUER, "--user", "cli-3"),
        *("--timeout", "0.7"),
        regions=json.dumps(regions),
    )
    assert done.code == 3
    assert "not applied within 0.7 s in: mars" in done.err
    assert done.json["receipts"]
    assert has(running, user("cli-3"))


def test_lines_of_a_file(running: Installation, tmp_path: Path) -> None:
    """Good lines are applied; bad ones are reported by number, without content."""
    good = [encode(logged_out(f"line-{number}")) for number in range(3)]
    bad = [b"not json", good[0].replace(b"logged_out", b"zaphod")]
    lines = [good[0], bad[0], b"", good[1], bad[1], good[2]]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    done = publish(running, "--file", str(file))
    assert done.code == 1
    assert done.json["published"] == 3
    assert [each["line"] for each in done.json["refused"]] == [2, 5]
    assert "line 2: malformed_event: not JSON" in done.err
    assert "line 5: unknown_event_type: " in done.err
    assert "zaphod" not in done.err + done.out
    assert has(running, *(user(f"line-{number}") for number in range(3)))


def test_lines_from_stdin(running: Installation) -> None:
    lines = b"".join(encode(logged_out(f"in-{n}")) + b"\n" for n in range(5))
    done = publish(running, "--file", "-", stdin=lines)
    assert done.code == 0
    assert done.json["published"] == 5
    assert has(running, *(user(f"in-{number}") for number in range(5)))


def test_a_file_that_is_not_there(running: Installation, tmp_path: Path) -> None:
    done = publish(running, "--file", str(tmp_path / "missing"))
    assert done.code == 2
    assert "missing" in done.err


# Check --------------------------------------------------------------------------------


def test_a_token_is_checked(running: Installation) -> None:
    """Exit code 0 if active, 3 if not, with the reason and the event."""
    publish(running, "user-logged-out", "--issuer", ISSUER, "--user", "mallory")
    good = typed(running, "check", stdin=token("cli-good"))
    told = typed(running, "check", stdin=token("mallory"))
    bad = typed(running, "check", "--json", stdin=token("mallory"))
    assert good.code == 0
    assert good.out.startswith("active in eu, as of ")
    assert (told.code, bad.code) == (3, 3)
    assert "REJECTED: issued_before_cut_off in eu" in told.out
    assert bad.json["reason"] == "issued_before_cut_off"
    assert f"receipt: {bad.json['receipt']}\n" in told.out


def test_the_store_of_a_region_is_found_among_those_of_all(
    running: Installation,
) -> None:
    """As with the file of the local system, which names no store for the command."""
    found = {"store_url": "", "region": ""}
    asked = typed(running, "check", "--region", "eu", stdin=token("cli-good"), **found)
    assert (asked.code, asked.out[:12]) == (0, "active in eu"), asked.err
    only = typed(running, "check", stdin=token("cli-good"), **found)
    assert (only.code, only.out[:12]) == (0, "active in eu"), only.err
    other = typed(running, "check", "--region", "us", stdin=token("cli-good"), **found)
    assert (other.code, "give --region one of eu\n" in other.err) == (2, True)


def test_a_jwt_is_checked_with_its_key(running: Installation) -> None:
    publish(running, "key-revoked", "--issuer", ISSUER, "--kid", "cli-key")

    def jwt(kid: str) -> bytes:
        header = json.dumps({"alg": "ES256", "kid": kid}).encode()
        parts = [header, token("cli-good"), b"signature"]
        return b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in parts)

    good = typed(running, "check", "--route", "write", stdin=jwt("other") + b"\n")
    bad = typed(running, "check", "--json", stdin=jwt("cli-key"))
    assert good.code == 0, good.out
    assert bad.code == 3
    assert bad.json["reason"] == "key_revoked"


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        ([], b"", "neither a JSON claims set nor a compact JWT"),
        ([], b"a.b", "neither a JSON claims set nor a compact JWT"),
        ([], b"\xff.\xff.\xff", "neither a JSON claims set nor a compact JWT"),
        (["--route", "wirte"], b"{}", "known: read, write"),
    ],
)
def test_input_that_cannot_be_checked(
    running: Installation, words: list[str], stdin: bytes, complaint: str
) -> None:
    done = typed(running, "check", *words, stdin=stdin)
    assert done.code == 2
    assert complaint in " ".join(done.err.replace("│", " ").split())


def test_a_token_is_verified(running: Installation, tmp_path: Path) -> None:
    """Its signature and every rule about it, then as `check` does."""
    publish(running, "user-logged-out", "--issuer", ISSUER, "--user", "verified")
    jwks = tmp_path / "jwks.json"
    jwks.write_bytes(key_set(jwk("ES256")))
    rules = {
        "jwks_file": str(jwks),
        "algorithms": ["ES256"],
        "audiences": [AUDIENCE],
    }
    issuers = json.dumps({ISSUER: rules})

    def verified(name: str, *words: str, key: str = "key-1") -> Done:
        now = int(time.time())
        # With a client of its own: other tests here revoke clients, too.
        claims = {"sub": name, "client_id": "verify", "jti": f"verify-{name}"}
        times = {"iat": now - 60, "exp": now + 600}
        made = mint(key=key_for("ES256", key), iss=ISSUER, **claims, **times)
        return typed(running, "verify", *words, stdin=made.encode(), issuers=issuers)

    good, bad = verified("cli-good"), verified("verified", "--json")
    forged = verified("cli-good", key="forged")
    assert (good.code, bad.code, forged.code) == (0, 3, 3), good
    assert good.out.startswith("active in eu, as of ")
    assert bad.json["reason"] == "issued_before_cut_off"
    assert forged.out.startswith("REJECTED: signature_invalid in eu, not looked up")


def test_without_issuers_nothing_is_verified(running: Installation) -> None:
    done = typed(running, "verify", stdin=b"a.b.c")
    assert done.code == 2
    assert "REVOCATION_ISSUERS" in done.err


def test_an_unreachable_region_cannot_be_checked(running: Installation) -> None:
    done = typed(running, "check", stdin=token("alice"), store_url=f"redis://{NOWHERE}")
    assert done.code == 1
    assert done.err.startswith("store_unavailable: ")
