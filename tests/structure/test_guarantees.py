"""Each promise has a test that bears its name, and each such test keeps a promise."""

import re
from typing import NamedTuple

import pytest

from tests.structure.sources import ROOT

TESTS = ROOT / "tests" / "guarantees"
DOCUMENT = ROOT / "docs" / "guarantees.md"
ROW = re.compile(
    r"\| `([a-z-]+)` \| (kept|planned) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|"
)


class Promise(NamedTuple):
    """A row of the table of promises."""

    name: str
    status: str
    in_short: str
    test: str
    broken_by: str

    @property
    def file(self):
        return f"tests/guarantees/test_{self.name.replace('-', '_')}.py"


PROMISES = [Promise(*row) for row in ROW.findall(DOCUMENT.read_text())]
KEPT = [promise for promise in PROMISES if promise.status == "kept"]
PLANNED = [promise for promise in PROMISES if promise.status == "planned"]


def name_of(promise):
    return promise.name


def test_the_table_is_read():
    assert len(KEPT) >= 8
    assert len({promise.name for promise in PROMISES}) == len(PROMISES)


@pytest.mark.parametrize("promise", KEPT, ids=name_of)
def test_a_promise_has_its_test(promise):
    assert promise.test == f"[`{promise.file}`](../{promise.file})"
    assert (ROOT / promise.file).is_file()


@pytest.mark.parametrize("promise", KEPT, ids=name_of)
def test_a_promises_test_is_marked_and_says_what_it_breaks(promise):
    """How it is first shown broken stands in the table; that it is, is the test's."""
    assert "pytest.mark.guarantee" in (ROOT / promise.file).read_text()
    assert len(promise.broken_by) > 20


@pytest.mark.parametrize("promise", PLANNED, ids=name_of)
def test_a_planned_promise_claims_nothing(promise):
    assert promise.test.strip() == promise.broken_by.strip() == "-"
    assert not (ROOT / promise.file).exists()


def test_a_test_keeps_a_promise_of_the_table():
    files = {str(path.relative_to(ROOT)) for path in TESTS.glob("test_*.py")}
    assert files == {promise.file for promise in KEPT}


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_a_promise_says_what_it_does_not_cover(promise):
    sections = re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    (section,) = [each for each in sections if each.startswith(f"`{promise.name}`\n")]
    assert "**Not covered.**" in section
