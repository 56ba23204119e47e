"""The vectors through a real server: asked in Python, and by a verifier in JavaScript.

The latter stands for other languages. Its one package is fetched by npm, by the hash in
the lock, into the cache folder that Kafka's jars are in.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from redis.asyncio import Redis

from revocation.local.jars import CACHE_VARIABLE
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from tests.optional import need
from tests.recipe.reading import PATH, VECTORS, answer, find, lying_in, put
from tests.unit.strategies import LIMITS

pytestmark = pytest.mark.connected

HERE = Path(__file__).parent
PROJECT = ("package.json", "package-lock.json", ".npmrc")
CAPTURED = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "text": True,
}


@pytest.fixture
async def server(store):
    """A server that holds every vector's region."""
    running = store()
    layout = Layout("unused", (b"unused",))
    async with RedisStore(running.url, layout, limits=LIMITS) as loading:
        await loading.check_suitable()
    async with Redis.from_url(running.url, protocol=2) as raw:
        for vector in VECTORS:
            await put(raw, vector)
    return running


async def test_a_server_gives_back_what_was_written_and_it_decides_the_same(server):
    async with Redis.from_url(server.url, protocol=2) as raw:
        for vector in VECTORS:
            hits, ready, as_of = await find(raw, vector)
            held = {key: hit for key, hit in hits.items() if hit is not None}
            assert held.items() <= lying_in(vector).items()
            given = answer(vector, hits, ready=ready, as_of=as_of)
            assert given == vector["expected"], vector["name"]


# JavaScript ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def packages():
    """The folder of the packages; the first time npm fills it, whole or not at all."""
    chosen = os.environ.get(CACHE_VARIABLE)
    cache = Path(chosen) if chosen else Path.home() / ".cache" / "revocation"
    locked = b"".join((HERE / name).read_bytes() for name in PROJECT)
    folder = cache / f"recipe-{hashlib.blake2b(locked, digest_size=4).hexdigest()}"
    if not folder.is_dir():
        npm = need("npm")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".recipe-") as scratch:
            project = Path(scratch, "project")
            project.mkdir()
            for name in PROJECT:
                shutil.copy(HERE / name, project)
            done = subprocess.run([npm, "ci"], cwd=project, check=False, **CAPTURED)
            assert done.returncode == 0, f"npm cannot fetch:\n{done.stdout}"
            # Another run may have been faster.
            with contextlib.suppress(OSError):
                project.rename(folder)
    return folder / "node_modules"


@pytest.fixture
def recipe(tmp_path, packages):
    """A folder where the verifier in JavaScript can run."""
    (tmp_path / "node_modules").symlink_to(packages)
    for name in ("verify.mjs", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    return tmp_path


def verify(recipe, server, path=PATH):
    """Return the exit code and all that was written."""
    command = [need("node"), "verify.mjs", server.url, path]
    done = subprocess.run(command, cwd=recipe, check=False, **CAPTURED)
    return done.returncode, done.stdout


def test_a_verifier_in_javascript_agrees(recipe, server):
    code, output = verify(recipe, server)
    assert output == f"{len(VECTORS)} cases, 0 differences\n"
    assert code == 0


def test_a_difference_would_be_noticed(recipe, server, tmp_path):
    wrong = json.loads(PATH.read_text())
    wrong[2]["expected"]["verdict"]["reason"] = "active"
    wrong[5]["expected"]["keys"].pop()
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(wrong))
    code, output = verify(recipe, server, path)
    assert code == 1
    assert f"{len(VECTORS)} cases, 2 differences" in output
    for number in (2, 5):
        assert f"{wrong[number]['name']}\n  expected " in output


def test_the_lock_says_what_and_not_from_where():
    lock = json.loads((HERE / "package-lock.json").read_text())
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    held = {name: each for name, each in lock["packages"].items() if name}
    assert {name.removeprefix("node_modules/") for name in held} == {*wanted}
    assert all(each["integrity"].startswith("sha512-") for each in held.values())
    assert "resolved" not in str(lock)
    assert "://" not in str(lock)
    assert all(version[0].isdecimal() for version in wanted.values())
