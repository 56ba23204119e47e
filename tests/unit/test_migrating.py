"""The code on the page about migrating runs."""

import re

import pytest

from tests.documents import PAGES, blocks
from tests.structure.sources import ROOT

PAGE = PAGES["docs/migrating.md"]


def test_code_of_the_examples_is_shown():
    """`tests/connected/test_docs.py` runs what is no part of an example."""
    shown = [each for each in blocks("python") if each.page == "docs/migrating.md"]
    assert [each.is_of_an_example for each in shown] == [True] * 4 + [False]


@pytest.mark.parametrize("path", re.findall(r"\]\(\.\./([^)]+)\)", PAGE))
def test_what_is_linked_is_there(path):
    assert (ROOT / path).is_file()
