"""Files and functions that fit on a screen, and say what they are."""

import ast
import re
from collections import Counter
from pathlib import Path

from tests.structure.sources import MODULES, PACKAGE, ROOT

MAX_LINES_OF_A_FILE = 350
MAX_LINES_OF_A_FUNCTION = 40
MAX_FILES_AT_THE_ROOT = 20
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
VAGUE_NAMES = {"utils", "util", "common", "helpers", "misc", "core", "base"}

RETIRED = re.compile(
    r"\b(?:Outlet|Outbox|Coalesced|Remembered|Lying|Told|Asked|SoonVerifier|give_up"
    r"|(?:ask|check|verify)_soon|_?(?:MOST|LONGEST|LEAST)_[A-Z_]+)\b"
)
"""Names that the field's words have replaced: `OrderedProducer`, `MAX_...`."""

LONG_FILES = {
    "revocation/store/functions.lua": "a server takes a library as one file",
}
"""Paths, and why they are better in one piece."""

LONG_FUNCTIONS: dict[str, str] = {}
"""`path:function` and why it is better in one piece."""

FILES = sorted(
    path.relative_to(ROOT)
    for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks")
    for path in folder.rglob("*")
    if path.suffix in {".py", ".lua"}
)


def lines_of(function):
    """Of its own: neither docstrings nor the functions inside it, which count alone."""
    first, *_ = function.body
    length = function.end_lineno - function.lineno + 1
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        length -= first.end_lineno - first.lineno + 1
    for node in ast.walk(function):
        if isinstance(node, FUNCTIONS) and node is not function:
            length -= lines_of(node)
    return length


def long_functions():
    return {
        f"{name}:{function.name}": lines_of(function)
        for name, module in MODULES.items()
        for function in module.functions
        if lines_of(function) > MAX_LINES_OF_A_FUNCTION
    }


def test_a_file_is_short():
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in FILES}
    long = {path for path, count in lines.items() if count > MAX_LINES_OF_A_FILE}
    assert long == LONG_FILES.keys()


def test_a_function_is_short():
    assert long_functions().keys() == LONG_FUNCTIONS.keys()


def test_few_files_are_at_the_root():
    assert len([name for name in MODULES if "/" not in name]) <= MAX_FILES_AT_THE_ROOT


def test_a_file_name_is_used_once():
    """So that an editor's tab, which shows the name alone, says which file it is."""
    names = Counter(name.rsplit("/", 1)[-1] for name in MODULES)
    del names["__init__.py"]
    assert [name for name, count in names.items() if count > 1] == []


def test_a_public_class_name_is_used_once():
    names = Counter(
        node.name
        for module in MODULES.values()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_a_module_says_what_it_is():
    assert [
        name for name, module in MODULES.items() if not ast.get_docstring(module.tree)
    ] == []


def test_a_module_is_named_for_what_it_holds():
    assert [
        name
        for name in MODULES
        if VAGUE_NAMES & set(name.removesuffix(".py").split("/"))
    ] == []


def test_a_reading_order_names_files_that_are_there():
    assert [
        f"{name}: {each}"
        for name, module in MODULES.items()
        if name.endswith("__init__.py")
        for each in re.findall(
            r"`([\w/]+\.py|\w+/)`", ast.get_docstring(module.tree) or ""
        )
        if not (module.path.parent / each).exists()
        and not ("/" in each and (PACKAGE / each).exists())
    ] == []


def test_the_field_s_words_are_used():
    assert [
        f"{path}: {word}"
        for path in FILES
        if path.name != Path(__file__).name
        for word in RETIRED.findall((ROOT / path).read_text())
    ] == []
