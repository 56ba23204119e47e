"""Each promise has a test that bears its name, and each such test keeps a promise."""

import re
from typing import NamedTuple

from tests.structure.sources import ROOT

TESTS = ROOT / "tests" / "guarantees"
MIN_BROKEN_BY = 20
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


def test_the_table_is_read():
    assert len(KEPT) >= 8
    assert len({promise.name for promise in PROMISES}) == len(PROMISES)


def test_a_promise_has_its_test():
    assert [
        promise.name
        for promise in KEPT
        if promise.test != f"[`{promise.file}`](../{promise.file})"
        or not (ROOT / promise.file).is_file()
    ] == []


def test_a_promises_test_is_marked_and_says_what_it_breaks():
    """How it is first shown broken stands in the table; that it is, is the test's."""
    assert [
        promise.name
        for promise in KEPT
        if "pytest.mark.guarantee" not in (ROOT / promise.file).read_text()
        or len(promise.broken_by) <= MIN_BROKEN_BY
    ] == []


def test_a_planned_promise_claims_nothing():
    assert [
        promise.name
        for promise in PLANNED
        if {promise.test.strip(), promise.broken_by.strip()} != {"-"}
        or (ROOT / promise.file).exists()
    ] == []


def test_a_test_keeps_a_promise_of_the_table():
    files = {str(path.relative_to(ROOT)) for path in TESTS.glob("test_*.py")}
    assert files == {promise.file for promise in KEPT}


def test_a_promise_says_what_it_does_not_cover():
    sections = re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    limits = {
        section.split("\n")[0].strip("`"): "**Not covered.**" in section
        for section in sections
    }
    assert [each.name for each in PROMISES if not limits.get(each.name)] == []
