"""The page about migrating shows code that runs."""

import re

import pytest

from tests.structure.sources import ROOT

PAGE = (ROOT / "docs" / "migrating.md").read_text()
EXAMPLES = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.py")}
SHOWN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def parts(shown):
    """Whole statements: examples may have others between them."""
    return [part.strip("\n") for part in re.split(r"\n\n\n", shown)]


def test_code_is_shown():
    assert len(SHOWN) == 4


@pytest.mark.parametrize("shown", SHOWN, ids=range(len(SHOWN)))
def test_what_is_shown_stands_in_one_example(shown):
    assert any(
        all(part in example for part in parts(shown)) for example in EXAMPLES.values()
    )


@pytest.mark.parametrize("path", re.findall(r"\]\(\.\./([^)]+)\)", PAGE))
def test_what_is_linked_is_there(path):
    assert (ROOT / path).is_file()
