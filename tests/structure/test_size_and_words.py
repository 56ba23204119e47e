"""Files and functions that fit on a screen, and say what they are."""

import ast
import re

import pytest

from tests.structure.sources import MODULES, PACKAGE, ROOT

MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_FUNCTION = 40
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
VAGUE_NAMES = {"utils", "util", "common", "helpers", "misc", "core", "base"}

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
        if lines_of(function) > MOST_LINES_OF_A_FUNCTION
    }


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_short(path):
    is_short = len((ROOT / path).read_text().splitlines()) <= MOST_LINES_OF_A_FILE
    assert is_short is (str(path) not in LONG_FILES)


def test_a_function_is_short():
    assert long_functions().keys() == LONG_FUNCTIONS.keys()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is(name):
    assert ast.get_docstring(MODULES[name].tree)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_named_for_what_it_holds(name):
    assert not VAGUE_NAMES & set(name.removesuffix(".py").split("/"))


@pytest.mark.parametrize("name", [name for name in MODULES if "__init__" in name])
def test_a_reading_order_names_files_that_are_there(name):
    module = MODULES[name]
    named = re.findall(r"`(\w+\.py|\w+/)`", ast.get_docstring(module.tree))
    for each in named:
        assert (module.path.parent / each).exists(), each
