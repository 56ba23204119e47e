"""The command line as operators and scripts see it. Sibling: unit/test_cli.py."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from revocation.embedded import Kafka
from revocation.embedded.process import free_ports
from revocation.events import encode
from tests.installation import Install, Installation, flush
from tests.traffic import ISSUER, claims, logged_out

pytestmark = [
    pytest.mark.connected,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

LOGOUT = ("publish", "user-logged-out", "--issuer", ISSUER, "--user")


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """Standard output of `--json`."""
        return json.loads(self.out)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two regions and an authority, for all tests here."""
    folder = tmp_path_factory.mktemp("cli")
    installation = Installation(folder, kafka.bootstrap_servers, partitions=2)
    try:
        await installation.create_topics()
        for region in ("eu", "us"):
            installation.add_region(region)
        installation.add_authority()
        await installation.ready()
        yield installation
    finally:
        installation.stop()


async def run(
    installation: Installation, *words: str | Path, stdin: bytes = b"", **more: str
) -> Ran:
    """Run a command with the settings of eu and of all regions, or with others."""
    urls = {region: store.url for region, store in installation.stores.items()}
    settings = {"regions": json.dumps(urls)}
    if "eu" in urls:
        settings |= {"region": "eu", "store_url": urls["eu"]}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "revocation", *map(str, words)),
        env={**installation.env(**{**settings, **more}), "COLUMNS": "200"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert b"Traceback" not in err, err.decode()
    return Ran(await process.wait(), out.decode(), err.decode())


async def publish(installation: Installation, user: str) -> Ran:
    """Publish a logout and wait until all regions have applied it."""
    ran = await run(installation, *LOGOUT, user, "--wait", "applied", "--json")
    assert ran.code == 0, ran.err
    return ran


def of_last_minute(user: str, **more: object) -> dict[str, object]:
    """Return the claims of a token issued a minute ago."""
    return claims(user, now=int(time.time()), **more)


def compact(header: object, payload: object) -> bytes:
    """Return a compact JWT that nobody signed."""
    parts = (json.dumps(part).encode() for part in (header, payload))
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b"c2lnbmF0dXJl"])


def nobody() -> str:
    """Return an address at which nobody answers."""
    return f"127.0.0.1:{free_ports(1)[0]}"


async def test_topics_init_says_what_it_did(install: Install) -> None:
    """It creates once, then only verifies, and refuses what would lose revocations."""
    fresh = await install(partitions=2)
    prefix = f"{fresh.settings['topic_prefix']}-other"

    async def init(**more: str) -> Ran:
        return await run(fresh, "topics", "init", topic_prefix=prefix, **more)

    first, second = await init(), await init()
    wrong, short = await asyncio.gather(
        init(partitions="3"), init(max_outage_seconds=str(30 * 86_400))
    )

    assert (first.code, second.code) == (0, 0)
    assert f"created {prefix}.events\n" in first.out
    assert "created" not in second.out
    assert f"prefix {prefix} are as they must be" in second.out
    assert wrong.code == 1
    assert f"topic {prefix}." in wrong.err
    assert "has 2 partitions, settings say 3" in wrong.err
    assert short.code == 1
    assert f"topic {prefix}." in short.err
    assert "retention.ms" in short.err


async def test_publish_and_wait(installation: Installation) -> None:
    """The answer has the event's id, its receipts and the time of each region."""
    ran = await publish(installation, "pia")
    one = await run(installation, *LOGOUT, "pia", "--wait", "applied:us")

    assert ran.json.keys() == {"id", "receipts", "applied_ms"}
    (receipt,) = ran.json["receipts"]
    assert receipt.partition("-")[0] in {"0", "1"}
    assert ran.json["applied_ms"].keys() == {"eu", "us"}
    assert all(0 < ms < 10_000 for ms in ran.json["applied_ms"].values())
    assert one.code == 0
    assert "applied ms: us " in one.out
    assert "eu" not in one.out


async def test_publish_of_many_users(installation: Installation) -> None:
    """An option that may be repeated, and one of an optional member."""
    bulk = ("publish", "users-revoked", "--issuer", ISSUER, "--reason", "breach")
    users = [word for number in range(20) for word in ("--users", f"bulk-{number}")]
    ran = await run(installation, *bulk, *users, "--wait", "applied", "--json")
    checked = await check(installation, of_last_minute("bulk-19"))

    assert ran.code == 0, ran.err
    assert len(ran.json["receipts"]) == 2
    assert checked.code == 3


async def test_what_was_published_is_said_though_not_applied(
    installation: Installation,
) -> None:
    """Exit 3 leaves the receipts on stdout: the event is in the log."""
    away = json.dumps({"away": f"redis://{nobody()}/0"})
    wait = ("--wait", "applied:away", "--timeout", "0.2", "--json")
    ran = await run(installation, *LOGOUT, "ida", *wait, regions=away)

    assert ran.code == 3
    assert ran.err.startswith("not_applied: not applied within 0.2 s in: away")
    assert len(ran.json["receipts"]) == 1
    assert ran.json["applied_ms"] is None


async def test_publish_lines(installation: Installation, tmp_path: Path) -> None:
    """Bad lines are named by number, good ones are applied; from a file or stdin."""
    lines = [
        *(encode(logged_out("line-1")), b"nonsense", b"", encode(logged_out("line-4"))),
        encode(logged_out("line-5")).replace(b"logged_out", b"eaten"),
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    many = ("publish", "--wait", "applied", "--json", "--file")
    mixed, good = await asyncio.gather(
        run(installation, *many, file),
        run(installation, *many, "-", stdin=encode(logged_out("line-0"))),
    )
    users = ("line-0", "line-1", "line-4")
    checked = await asyncio.gather(
        *(check(installation, of_last_minute(user)) for user in users)
    )

    assert (mixed.code, good.code) == (1, 0), mixed.err + good.err
    assert "line 2: malformed_event: " in mixed.err
    assert "line 5: unknown_event_type: " in mixed.err
    assert "line 3" not in mixed.err
    assert mixed.json["published"] == 2
    assert [each["line"] for each in mixed.json["refused"]] == [2, 5]
    assert mixed.json["applied_ms"].keys() == {"eu", "us"}
    assert (good.json["published"], good.json["refused"]) == (1, [])
    assert [each.code for each in checked] == [3, 3, 3]


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        ((*LOGOUT, "u", "--wait", "nonsense"), {}, "--wait takes applied"),
        ((*LOGOUT, "u", "--wait", "applied:mars"), {}, "no region 'mars'"),
        ((*LOGOUT, "u", "--wait", "applied"), {"regions": ""}, "REVOCATION_REGIONS"),
        (("publish", "--wait", "soon", "--file", "-"), {}, "--wait takes applied"),
        (("publish", "--wait", "applied", *LOGOUT[1:], "u"), {}, "after the subcom"),
        (("publish", "--file", "-", *LOGOUT[1:], "u"), {}, "either --file or"),
        ((*LOGOUT, ""), {}, "data.user"),
        (LOGOUT[:-1], {}, "--user"),
        (("publish", "--file", "no-such-file"), {}, "no-such-file"),
    ],
)
async def test_wrong_usage_publishes_nothing(
    installation: Installation,
    words: tuple[str, ...],
    more: dict[str, str],
    said: str,
) -> None:
    """Exit 2, though no broker is there: none was asked."""
    ran = await run(installation, *words, bootstrap_servers=nobody(), **more)

    assert ran.code == 2, ran.err
    assert said in ran.err


async def check(installation: Installation, token: object, *words: str) -> Ran:
    """Run `check --json` with claims, or with bytes as they are, on stdin."""
    stdin = token if isinstance(token, bytes) else json.dumps(token).encode()
    return await run(installation, "check", "--json", *words, stdin=stdin)


async def test_check(installation: Installation) -> None:
    """Claims or a compact JWT on stdin; the receipt is what `publish` gave."""
    (receipt,) = (await publish(installation, "cleo")).json["receipts"]
    key = ("publish", "key-revoked", "--issuer", ISSUER, "--kid", "k1")
    assert (await run(installation, *key, "--wait", "applied")).code == 0
    active, rejected, signed, for_people = await asyncio.gather(
        check(installation, of_last_minute("dora"), "--route", "write"),
        check(installation, b" %b\n" % compact({"kid": "k2"}, of_last_minute("cleo"))),
        check(installation, compact({"kid": "k1"}, of_last_minute("dora"))),
        run(installation, "check", stdin=json.dumps(of_last_minute("cleo")).encode()),
    )

    assert (active.code, active.json["active"]) == (0, True)
    assert active.json["region"] == "eu"
    assert 0 <= active.json["staleness_ms"] < 5_000
    assert (rejected.code, rejected.json["reason"]) == (3, "issued_before_cut_off")
    assert rejected.json["receipt"] == receipt
    assert (signed.code, signed.json["reason"]) == (3, "key_revoked")
    assert for_people.code == 3
    assert for_people.out.startswith("REJECTED: issued_before_cut_off in eu, as of ")
    assert f"receipt: {receipt}" in for_people.out


async def test_check_of_garbage(installation: Installation) -> None:
    """What is no token is wrong usage, not a verdict."""
    garbage = (b"", b"{", b"a.b.c", b"\xff\xfe.\xff.", compact({}, [1]))
    checked = await asyncio.gather(*(check(installation, each) for each in garbage))

    for ran in checked:
        assert ran.code == 2, ran
        assert "neither a JSON claims set nor a compact JWT" in ran.err


async def test_status(installation: Installation) -> None:
    """A table for people, JSON for machines; exit 3 if any region is not ready."""
    await publish(installation, "sam")
    away = {"eu": installation.stores["eu"].url, "away": f"redis://{nobody()}/0"}
    table, ready, partly, cut = await asyncio.gather(
        run(installation, "status"),
        run(installation, "status", "--json"),
        run(installation, "status", "--json", regions=json.dumps(away)),
        run(installation, "status", regions=json.dumps(away)),
    )

    assert (table.code, ready.code, partly.code, cut.code) == (0, 0, 3, 3)
    assert table.out.count(" ready ") == 2
    assert ready.json["regions"].keys() == {"eu", "us"}
    eu = ready.json["regions"]["eu"]
    assert (eu["ready"], eu["partitions_rebuilt"]) == (True, 2)
    assert eu["partitions"].keys() == {"0", "1"}
    assert 0 <= eu["lag_records"] < 100
    assert partly.json["regions"]["eu"]["ready"] is True
    assert partly.json["regions"]["away"]["ready"] is False
    assert partly.json["regions"]["away"]["error"]
    assert "unreachable" in cut.out


async def test_status_of_a_flushed_region(installation: Installation) -> None:
    """Nothing is known of its age; it is ready again once it is rebuilt."""
    projector = installation.stations["projector-us"]
    projector.kill()
    try:
        await flush(installation.stores["us"])
        report, table = await asyncio.gather(
            run(installation, "status", "--json"), run(installation, "status")
        )
    finally:
        projector.start()
        await installation.ready()

    assert (report.code, table.code) == (3, 3)
    assert report.json["regions"]["eu"]["ready"] is True
    assert report.json["regions"]["us"]["ready"] is False
    assert report.json["regions"]["us"]["staleness_ms"] is None
    assert "not ready" in table.out
    assert (await run(installation, "status")).code == 0


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("check",), "region"),
        (("check",), "store_url"),
        (("sidecar",), "store_url"),
        (("projector",), "pepper_file"),
        (("status",), "regions"),
    ],
)
async def test_missing_settings_are_named(
    installation: Installation, words: tuple[str, ...], missing: str
) -> None:
    """By the variable to set, with exit 2."""
    ran = await run(installation, *words, stdin=b"{}", **{missing: ""})

    assert ran.code == 2
    assert ran.err.startswith("invalid_settings: ")
    assert f"REVOCATION_{missing.upper()}: " in ran.err


@pytest.mark.parametrize(
    "words", [("topics", "init"), (*LOGOUT, "u"), ("status",), ("projector",)]
)
async def test_broker_that_is_down(
    installation: Installation, words: tuple[str, ...]
) -> None:
    """Exit 1, and which setting to look at."""
    ran = await run(installation, *words, bootstrap_servers=nobody())

    assert ran.code == 1
    assert "check REVOCATION_BOOTSTRAP_SERVERS" in ran.err.splitlines()[-1]
