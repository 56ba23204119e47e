"""What the documents show can be typed: commands, options, variables, calls.

`tests/connected/test_docs.py` runs the Python that they show.
"""

import ast
import inspect
import re
import subprocess
from pathlib import Path

import pytest
import typer

from revocation.__main__ import app
from revocation.settings import settings_source
from revocation.verifier import Verifier
from tests.documents import PAGES, blocks, commands
from tests.structure.sources import ROOT

NO_COMMANDS = {"pepper", "canary"}
"""After `revocation`, these are texts that docs/store-layout.md hashes."""
COMMANDS = sorted(each for each in set(commands()) if each[1][0] not in NO_COMMANDS)
VARIABLES = {
    (page, name)
    for page, text in PAGES.items()
    for name in re.findall(r"\bREVOCATION_[A-Z_]*[A-Z]\b", text)
}


def test_something_is_shown():
    assert len(blocks("python")) >= 9
    assert len(COMMANDS) >= 20
    assert len(VARIABLES) >= 10


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{page} {' '.join(w)}" for page, w in COMMANDS]
)
def test_a_command_and_its_options_are_there(page, words):
    command, rest = typer.main.get_command(app), list(words)
    while inner := getattr(command, "commands", {}):
        if not rest or rest[0].startswith("-"):
            break
        assert rest[0] in inner, f"{page}: revocation {' '.join(words)}"
        command = inner[rest.pop(0)]
    options = {
        name for each in command.params for name in (*each.opts, *each.secondary_opts)
    }
    given = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert given <= options


@pytest.mark.parametrize(("page", "name"), sorted(VARIABLES))
def test_a_variable_is_a_setting(page, name):
    known = {
        f"REVOCATION_{each.upper()}"
        for each in settings_source._known_names(settings_source.Settings)
    }
    assert name in known | settings_source._OTHER_VARIABLES, page


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_can_be_read(block):
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_shell_can_be_read(block):
    subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)


TARGETS = re.findall(r"^    make ([a-z-]+)", PAGES["README.md"], re.MULTILINE)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_of_make_is_there(target):
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


CALLS = re.findall(r"^\| `(\w+)\(([^)]*)\)`", PAGES["docs/verifier.md"], re.MULTILINE)


def test_the_verifiers_calls_are_shown():
    assert {name for name, _ in CALLS} >= {"check", "verify", "wait_applied"}


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_call_is_shown_with_the_arguments_that_it_needs(name, arguments):
    given = arguments.split(", ")
    inspect.signature(getattr(Verifier, name)).bind("self", *given)


def test_a_link_leads_somewhere():
    """To a file, and where it says so to a heading of it."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not link.startswith("http") and not _leads(page, link)
    ]
    assert lost == []


def _leads(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = page if not path else (page.parent / path).resolve()
    if not target.exists():
        return False
    return not heading or heading in set(map(_anchor, _headings(target)))


def _headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)


def _anchor(heading: str) -> str:
    """Return what GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
