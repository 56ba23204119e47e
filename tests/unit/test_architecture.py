"""docs/architecture.md says what the code is: paths, functions, layers, lists."""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from typer import Typer

from revocation.__main__ import app
from revocation.decision import REJECTING, Reason
from revocation.entries import Kind
from revocation.events import EVENT_TYPES
from revocation.jwt.presets import presets
from tests.structure.sources import MODULES, PACKAGE, ROOT
from tests.structure.test_guarantees import KEPT
from tests.structure.test_imports import LAYERS

PAGE = (ROOT / "docs" / "architecture.md").read_text()
SECTIONS = {
    text.split("\n", 1)[0].strip(): text
    for text in re.split(r"^###? ", PAGE, flags=re.MULTILINE)[1:]
}
PATH = r"[\w./-]+\.(?:py|lua|md|toml|mjs|json)"
NAMED = re.compile(rf"`({PATH})`((?: `[\w.]+`)*)")
DRAWN = re.findall(
    rf"({PATH}) {{2,}}([A-Za-z_][\w.]*)",
    SECTIONS["The journey of an event"] + SECTIONS["The journey of a token"],
)
ELSEWHERE = (
    *("docs/architecture.md", "docs/issuers/", "docs/reference/"),
    "tests/unit/test_architecture.py",
)
"""Files that name much, and are not touched for it, or are written by a command."""


def files() -> dict[str, str]:
    """Return the files that people write, by path, and what is in them."""
    found = (
        path
        for folder in ("revocation", "tests", "docs", "deploy", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua", ".md", ".mjs", ".toml"}
    )
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in found}
    return {
        path: text for path, text in texts.items() if not path.startswith(ELSEWHERE)
    }


FILES = files()


def locate(path: str) -> Path:
    """Return the file that the page means by a path."""
    inner = PACKAGE / path
    return inner if inner.exists() else ROOT / path


@cache
def definitions(path: str) -> dict[str, str]:
    """Return what a file defines and how: functions, classes and members, constants."""
    text = locate(path).read_text()
    if path.endswith(".lua"):
        return dict.fromkeys(re.findall(r"function (\w+)", text), "")
    lines = text.splitlines()
    return {
        name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for name, node in _defined(ast.parse(text).body)
    }


def _defined(
    body: Iterable[ast.stmt], before: str = ""
) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        match node:
            case ast.ClassDef():
                yield before + node.name, node
                yield from _defined(node.body, f"{before}{node.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield before + node.name, node
            case ast.AnnAssign(target=ast.Name(name)):
                yield before + name, node


def test_a_path_that_is_named_is_there():
    named = re.findall(rf"`({PATH})`", PAGE) + [path for path, _ in DRAWN]
    assert len(named) >= 80
    assert [path for path in named if not locate(path).is_file()] == []


def test_the_picture_names_what_is_there():
    picture = (ROOT / "docs" / "images" / "journeys.svg").read_text()
    paths = [
        path
        for text in re.findall(r'class="p">([^<]+)<', picture)
        for path in text.split()
        if path.endswith((".py", "/"))
    ]
    assert len(paths) >= 10
    assert [path for path in paths if not (PACKAGE / path).exists()] == []


def test_what_is_named_in_a_file_is_defined_there():
    named = DRAWN + [
        (path, name)
        for path, names in NAMED.findall(PAGE)
        for name in re.findall(r"`([\w.]+)`", names)
    ]
    assert len(named) >= 70
    assert [
        f"{path} {name}" for path, name in named if name not in definitions(path)
    ] == []


def test_a_line_that_decides_stands_where_it_is_said():
    rows = re.findall(
        rf"^\| [^|]+ \| `({PATH})` `([\w.]+)` \| `(.+)` \|$",
        SECTIONS["In a minute"],
        re.MULTILINE,
    )
    assert len(rows) >= 9
    assert [
        f"{path} {name}: {line}"
        for path, name, line in rows
        if line not in definitions(path)[name]
    ] == []


def test_the_tree_is_complete():
    """Each folder, and each file at the root, with a phrase."""
    tree = SECTIONS["The tree"]
    shown = re.findall(r"^  ([\w/.]+) {2,}\S.{8,}$", tree, re.MULTILINE)
    folders = {f"{path.parent.relative_to(PACKAGE)}/" for path in _inits()} - {"./"}
    at_the_root = {name for name in MODULES if "/" not in name}
    assert sorted(shown) == sorted(folders | at_the_root)


def _inits():
    return PACKAGE.rglob("__init__.py")


def test_the_layers_are_those_that_are_tested():
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", SECTIONS["The layers"], re.MULTILINE)
    shown = {
        int(number): {
            "" if name == "revocation" else name
            for name in re.findall(r"`(\w+)`", parts)
        }
        for number, parts in rows
    }
    assert shown == {at: set(layer) for at, layer in enumerate(LAYERS, 1)}


def test_each_promise_has_its_place():
    rows = re.findall(
        rf"^\| `([a-z-]+)` \| (.+) \| `({PATH})` \|$",
        SECTIONS["Where each promise is kept"],
        re.MULTILINE,
    )
    assert {(name, test) for name, _, test in rows} == {
        (promise.name, promise.file) for promise in KEPT
    }
    assert [name for name, where, _ in rows if not NAMED.search(where)] == []


ALIKE = {
    "An event type": [
        [
            rf"\b{model.__name__}\b"
            rf"|\b{re.escape(name.removeprefix('revocation.'))}\b"
            rf"|\b{model.model_fields['data'].annotation.__name__}\b"
            for name, model in EVENT_TYPES.items()
            if name != "revocation.user.enabled"  # which rejects nothing
        ],
    ],
    "A kind of target": [
        [rf"\bKind\.{kind.name}\b|^    {kind.name} = " for kind in Kind],
        [rf"\b{reason.name}\b|\b{reason}\b" for reason in REJECTING],
        [rf"^\| `{kind}` \|" for kind in Kind],
    ],
    "A reason": [
        [rf"\b{reason.name}\b|\b{reason}\b" for reason in {*Reason} - {*REJECTING}]
    ],
    "A preset": [[rf"\b{name}\b" for name in presets()]],
    "A proxy": [["Envoy|envoy", "nginx", "Traefik|traefik"]],
}
"""Of each list: patterns of which one of every existing thing matches. Where all of
them stand, a new one belongs as well."""


def everywhere(patterns: Iterable[str]) -> set[str]:
    """Return the files in which each pattern is found."""
    rules = [re.compile(each, re.MULTILINE) for each in patterns]
    return {
        path for path, text in FILES.items() if all(rule.search(text) for rule in rules)
    }


def without_tests_of(section: str, paths: set[str]) -> set[str]:
    """Leave out what only shows or tries proxies: the list names the folders."""
    shown = ("tests/", "examples/") if section == "A proxy" else ()
    return {path for path in paths if not path.startswith(shown)}


def listed(section: str) -> set[str]:
    """Return the paths that begin a line of a list."""
    paths = re.findall(rf"^- `({PATH})`", SECTIONS[section], re.MULTILINE)
    return {str(locate(path).relative_to(ROOT)) for path in paths}


@pytest.mark.parametrize("section", ALIKE)
def test_a_list_has_each_file_where_all_of_its_kind_stand(section):
    found = set.union(*map(everywhere, ALIKE[section]))
    assert listed(section) == without_tests_of(section, found)


def test_a_setting_goes_where_settings_are_declared():
    homes = {
        f"revocation/{name}"
        for name, module in MODULES.items()
        if name.startswith("settings/")
        and any(
            isinstance(node, ast.ClassDef) and node.name != "Settings"
            for node in module.tree.body
        )
    }
    assert listed("A setting") == homes


def test_a_metric_is_declared_and_counted():
    """Nothing else imports what metrics are made of (`structure/test_homes.py`)."""
    assert listed("A metric") == {
        "revocation/metrics.py",
        "tests/unit/test_metrics.py",
    }


def test_a_command_is_in_the_module_that_is_named():
    groups = {group.typer_instance for group in app.registered_groups}
    homes = {each.callback.__module__ for each in app.registered_commands}
    homes |= {
        name
        for name, module in sys.modules.items()
        if name.startswith("revocation.cli.")
        and any(value in groups for value in _apps(module))
    }
    shown = re.findall(r"`(cli/\w+)\.py`", SECTIONS["A command"])
    assert {f"revocation.{path.replace('/', '.')}" for path in shown} == homes


def _apps(module: ModuleType) -> list[Typer]:
    return [value for value in vars(module).values() if isinstance(value, Typer)]


def test_each_preset_has_its_file_and_page():
    missing = [
        path
        for name in presets()
        for path in (f"jwt/presets/{name}.toml", f"docs/issuers/{name}.md")
        if not locate(path).is_file()
    ]
    assert missing == []


def test_the_words_that_are_ours_are_explained():
    glossary = SECTIONS["Words"]
    for word in (
        *("entry", "target", "kind", "cut-off", "pulse", "watermark", "mark"),
        *("receipt", "verdict", "epoch", "canary", "identity"),
    ):
        assert re.search(rf"^- \*\*{word}\*\*", glossary, re.MULTILINE), word


def test_the_way_in_names_targets_and_files_that_are_there():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        name
        for words in re.findall(r"\bmake((?: [a-z-]+)+)", page)
        for name in words.split()
    }
    assert {"setup", "check", "test", "schemas"} <= targets
    assert [
        name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)
    ] == []
    named = set(re.findall(r"\btests/\w+", page))
    assert [path for path in named if not (ROOT / path).exists()] == []
