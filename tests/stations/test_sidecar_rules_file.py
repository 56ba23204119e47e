"""Changes of the rules file: no request sees half of one."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from revocation.decision import DEFAULT_POLICIES
from revocation.errors import SettingsError
from revocation.sidecar.rules_file import RulesFile
from tests.installation import eventually

PUBLIC = '[[rules]]\npath = "/health"\npublic = true\n'
SCOPED = '[[rules]]\npath = "/health"\nscopes = ["s"]\n'
BROKEN = "[[rules]]\npath = 7\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(PUBLIC)
    return path


@pytest.fixture
async def file(path):
    file = RulesFile(path, policies=DEFAULT_POLICIES, poll_seconds=0.005)
    await file.start()
    yield file
    await file.stop()


def is_public(file):
    return file.current.find("GET", "/health").public


def counted(result):
    labels = {"result": result}
    return REGISTRY.get_sample_value("revocation_rules_reloads_total", labels) or 0


def current():
    return REGISTRY.get_sample_value("revocation_rules_current_ratio")


async def becomes(file, *, public):
    async def changed():
        return is_public(file) is public

    await eventually(changed, pause=0.005)


async def refused(before):
    async def noticed():
        return counted("refused") > before

    await eventually(noticed, pause=0.005)


async def test_the_task_that_watches_the_file_is_restarted(file, path, monkeypatch):
    monkeypatch.setattr("revocation.background._CHECK_SECONDS", 0.005)
    file._following._task.cancel()
    path.write_text(SCOPED)
    await becomes(file, public=False)


async def test_a_change_takes_effect_soon(file, path):
    assert is_public(file)
    path.write_text(SCOPED)
    await becomes(file, public=False)


async def test_a_replaced_file_is_noticed(file, path, tmp_path):
    """As editors and Kubernetes replace it: another inode, or another link."""
    new = tmp_path / "new.toml"
    new.write_text(SCOPED)
    new.rename(path)
    await becomes(file, public=False)
    new.write_text(PUBLIC)
    link = tmp_path / "link"
    link.symlink_to(new)
    link.rename(path)
    await becomes(file, public=True)


async def test_a_broken_file_leaves_the_rules_unchanged(file, path, capsys):
    before, rules = counted("refused"), file.current
    path.write_text(BROKEN)
    await refused(before)
    assert file.current is rules
    assert current() == 0
    assert "rules.toml:2: rules.path" in capsys.readouterr().out
    path.write_text(SCOPED)
    await becomes(file, public=False)
    assert current() == 1


async def test_an_emptied_file_leaves_the_rules_unchanged(file, path):
    """An empty file is valid TOML, and would require only a token."""
    before, rules = counted("refused"), file.current
    path.write_text("")
    await refused(before)
    assert file.current is rules
    assert current() == 0


async def test_a_broken_file_is_reported_once(file, path):
    before = counted("refused")
    path.write_text(BROKEN)
    await refused(before)
    await asyncio.sleep(0.05)
    assert counted("refused") == before + 1


async def test_a_removed_file_leaves_the_rules_unchanged(file, path):
    before = counted("refused")
    path.unlink()
    await refused(before)
    assert is_public(file)
    path.write_text(SCOPED)
    await becomes(file, public=False)


async def test_a_file_that_is_being_written_is_awaited(path):
    """Half of it may be valid TOML, and protect less."""
    file = RulesFile(path, policies=DEFAULT_POLICIES, poll_seconds=0.02)
    await file.start()
    with path.open("a") as written:
        for _ in range(20):
            written.write("# more\n")
            written.flush()
            await asyncio.sleep(0.01)
            assert len(file.current) == 1
        written.write(PUBLIC.replace("health", "live"))
    await eventually(lambda: asyncio.sleep(0, len(file.current) == 2), pause=0.01)
    await file.stop()


async def test_a_request_during_a_reload_sees_one_set_of_rules(file, path):
    """The set is replaced as a whole; one in use never changes."""
    rules = file.current
    path.write_text(SCOPED)
    assert await file.reload()
    assert rules.find("GET", "/health").public
    assert not is_public(file)


async def test_a_reload_returns_whether_it_succeeded(path):
    file = RulesFile(path, policies=DEFAULT_POLICIES)
    before = counted("applied")
    assert await file.reload()
    assert counted("applied") == before + 1
    path.write_text(BROKEN)
    assert not await file.reload()
    assert is_public(file)


async def test_of_several_reloads_the_last_counts(file, path):
    for text in (SCOPED, PUBLIC, SCOPED):
        path.write_text(text)
        done = [file.reload() for _ in range(3)]
        assert await asyncio.gather(*done) == [True] * 3
        assert is_public(file) is (text == PUBLIC)


async def test_without_a_file_everything_needs_a_token():
    file = RulesFile(None, policies=DEFAULT_POLICIES)
    await file.start()
    assert await file.reload()
    assert not is_public(file)
    await file.stop()


def test_at_start_the_file_must_be_valid(path):
    path.write_text(BROKEN)
    with pytest.raises(SettingsError, match=r"^rules\.toml:2: "):
        RulesFile(path, policies=DEFAULT_POLICIES)
    path.unlink()
    with pytest.raises(SettingsError, match="cannot read the rules"):
        RulesFile(path, policies=DEFAULT_POLICIES)
