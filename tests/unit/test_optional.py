"""What is said of the tests that were skipped for want of a program."""

import pytest

from tests.optional import hint, need


def reason(*programs, monkeypatch, tmp_path):
    """Return why a test is skipped that needs one of the programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception) as skipped:
        need(*programs)
    return str(skipped.value)


def test_one_line_says_what_was_skipped_and_what_to_install(monkeypatch, tmp_path):
    there = {"monkeypatch": monkeypatch, "tmp_path": tmp_path}
    reasons = [
        *(reason("npm", **there), reason("node", **there)),
        *(reason("redis-server", **there) for _ in range(3)),
        "unconditional skip",
    ]
    assert hint(reasons) == (
        "skipped: Redis 7.0, Node.js; to run them: "
        "apt-get install redis-server nodejs npm"
    )


def test_either_of_two_programs_will_do(monkeypatch, tmp_path):
    said = reason("node", "go", monkeypatch=monkeypatch, tmp_path=tmp_path)
    assert hint([said]) == (
        "skipped: Node.js, Go; to run them: apt-get install nodejs npm golang-go"
    )
    (tmp_path / "go").touch(mode=0o755)
    assert need("node", "go") == str(tmp_path / "go")


def test_nothing_is_said_where_nothing_was_skipped():
    assert hint([]) is None
    assert hint(["no proxy for this machine"]) is None
