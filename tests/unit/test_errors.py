"""The tree of errors: as documented, with stable codes."""

import re

import pytest

from revocation import errors
from revocation.errors import RevocationError


def descendants(cls):
    return [cls, *[each for sub in cls.__subclasses__() for each in descendants(sub)]]


def drawn():
    """The tree in the module's docstring, as (name, name of the base)."""
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        match = re.fullmatch(r" {4}([│├└─ ]*)(\w+Error)", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            yield match[2], path[depth - 1] if depth else "Exception"


ERRORS = descendants(RevocationError)


def test_the_tree_is_as_drawn():
    assert list(drawn()) == [(each.__name__, each.__base__.__name__) for each in ERRORS]


def test_codes_are_unique():
    codes = [each.code for each in ERRORS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_has_its_own_code_and_docstring(error):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", vars(error)["code"])
    assert error.__doc__
    assert isinstance(error.retriable, bool)


@pytest.mark.parametrize(
    "error",
    [each for each in ERRORS if issubclass(each, errors.ContractError)],
)
def test_a_record_that_breaks_the_contract_never_becomes_right(error):
    assert not error.retriable
