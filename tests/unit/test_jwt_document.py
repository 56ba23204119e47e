"""The page about token verification names an existing test for every point."""

import ast
import re
from pathlib import Path

import pytest

from revocation.jwt.trust import TrustedIssuer

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parents[1] / "docs" / "token-verification.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", DOCUMENT)))
POINTS = {f"3.{number}" for number in range(1, 16)}


def functions_of(name):
    tree = ast.parse((TESTS / name).read_text())
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {each.name for each in tree.body if isinstance(each, functions)}


def test_the_page_is_read():
    assert len(NAMED) > 40


@pytest.mark.parametrize(("name", "test"), NAMED)
def test_a_test_that_the_page_names_is_there(name, test):
    assert test in functions_of(name)


def test_every_point_of_rfc_8725_and_its_draft_has_a_row_with_a_test_of_its_own():
    rows = re.findall(r"^\| (3\.\d+) .*\|(.*)\|$", DOCUMENT, flags=re.MULTILINE)
    assert {point for point, _ in rows} == POINTS
    for point, tests in rows:
        assert f"::test_{point.replace('.', '_')}_" in tests


def test_every_test_of_a_point_stands_on_the_page():
    named = {test for name, test in NAMED if name == "test_jwt_bcp.py"}
    functions = functions_of("test_jwt_bcp.py")
    assert named == {each for each in functions if each.startswith("test_")}


def test_every_setting_of_an_issuer_stands_on_the_page():
    for name in TrustedIssuer.model_fields:
        assert f"`{name}`" in DOCUMENT
