"""The vectors for other languages: current, complete, and true of this implementation.

`test_recipe.py` runs them through a server, and through the verifier in JavaScript.
"""

import json
import re
from dataclasses import asdict, fields, replace

import pytest

from revocation.claims.claims import Rules
from revocation.decision import Beyond, Reason
from revocation.entries import Kind
from revocation.store.layout import INDEXED_KINDS
from tests.recipe.cases import CASES
from tests.recipe.reading import PATH, VECTORS, answer, lying_in, name_of
from tests.recipe.vectors import documents, export, vector as as_vector

NEVER_DECIDED = {
    *(Reason.MALFORMED, Reason.ISSUER_UNTRUSTED, Reason.TYPE_REFUSED),
    *(Reason.ALGORITHM_REFUSED, Reason.KEY_UNKNOWN, Reason.SIGNATURE_INVALID),
    *(Reason.AUDIENCE_REFUSED, Reason.NOT_YET_VALID, Reason.INTROSPECTION_INACTIVE),
}
"""Reasons that are given before the claims are judged, or by somebody else."""


def test_the_file_is_what_the_cases_say():
    """If this fails: `make schemas`, and read the difference."""
    assert [PATH.name] == [*documents()]
    assert PATH.read_bytes() == documents()[PATH.name]
    assert [path.name for path in PATH.parent.iterdir()] == [PATH.name]


def test_export_writes_the_same_each_time(tmp_path):
    (first,) = export(tmp_path / "new" / "folder")
    (second,) = export(tmp_path)
    assert first.read_bytes() == second.read_bytes() == PATH.read_bytes()


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_this_implementation_agrees(vector):
    region = vector["region"]
    given = answer(
        vector, lying_in(vector), ready=region["ready"], as_of=region["as_of"]
    )
    assert given == vector["expected"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_reason_is_what_a_person_expects(case):
    vector = as_vector(case)
    verdict = vector["expected"]["verdict"]
    assert verdict["reason"] == case.reason
    assert verdict["active"] is (case.reason is Reason.ACTIVE)


def test_what_a_person_does_not_expect_is_never_written():
    wrong = replace(CASES[0], reason=Reason.EXPIRED)
    with pytest.raises(ValueError, match="expects expired, the verdict is active"):
        as_vector(wrong)


def test_each_reason_that_can_be_decided_is_there():
    reasons = {vector["expected"]["verdict"]["reason"] for vector in VECTORS}
    assert reasons == set(Reason) - NEVER_DECIDED


def kinds_looked_up(vector):
    start = 2 * len(f"{{{vector['prefix']}}}")
    return {key[start : start + 2] for key in vector["expected"]["keys"]}


def test_each_kind_is_looked_up_and_rejects():
    looked_up = set().union(*map(kinds_looked_up, VECTORS))
    rejecting = {
        each.entry.target.kind
        for case in CASES
        for each in case.entries
        if case.reason not in (Reason.ACTIVE, Reason.NOT_READY)
    }
    assert len(looked_up) == len(Kind) == len(INDEXED_KINDS)
    assert rejecting == set(Kind)


def test_each_policy_is_there():
    assert {vector["policy"]["beyond"] for vector in VECTORS} == set(Beyond)


def test_each_case_has_a_name_and_keys_of_its_own():
    """So that one server can hold all of them."""
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS) >= 60
    prefixes = [vector["prefix"] for vector in VECTORS]
    assert len(set(prefixes)) == len(prefixes)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,16}", prefix) for prefix in prefixes)


def test_any_reader_of_json_can_read_the_file():
    """ASCII, no lone surrogate, no number that is none (RFC 7493)."""
    text = PATH.read_text()
    assert text.isascii()
    assert not re.search(r"\\ud[89ab]..(?!\\ud[c-f])", text)
    assert not re.search(r"NaN|Infinity", text)


# The page -----------------------------------------------------------------------------

PAGE = PATH.parents[2] / "docs" / "other-languages.md"


def test_the_page_names_each_reason_and_each_rule():
    page = PAGE.read_text()
    named = {*re.findall(r"`([a-z_]+)`", page)}
    assert {str(reason) for reason in set(Reason) - NEVER_DECIDED} <= named
    assert {*VECTORS[0]["rules"], *VECTORS[0]["policy"]} - {"beyond"} <= named
    assert {str(beyond) for beyond in Beyond} <= named


def test_the_page_has_the_defaults():
    rows = dict(
        re.findall(r"^\| `([\w.]+)` \| (.+?) \|", PAGE.read_text(), re.MULTILINE)
    )
    rules = Rules(longest_token_ms=3_600_000)
    defaults = {each.name: getattr(rules, each.name) for each in fields(rules)}
    names = {f"names.{name}": value for name, value in asdict(rules.names).items()}
    for name in {*VECTORS[0]["rules"], *names} - {"names"}:
        value = (defaults | names)[name]
        shown = " ".join(value) if isinstance(value, tuple) else json.dumps(value)
        shown = shown or "[]"
        assert rows[name].replace("`", "") == shown.replace('"', "")


def test_the_page_points_to_what_is_there():
    for _, link in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", PAGE.read_text()):
        assert (PAGE.parent / link).is_file()
