"""Programs that some tests need, and that no machine needs to have."""

import re
import shutil
from collections.abc import Iterable

import pytest

PROGRAMS = {
    "redis-server": ("Redis 7.0", "redis-server"),
    "node": ("Node.js", "nodejs npm"),
    "npm": ("Node.js", "nodejs npm"),
    "go": ("Go", "golang-go"),
    "envsubst": ("envsubst", "gettext-base"),
}
"""What each is to people, and Debian's packages of it."""

_REASON = "no {program} on the PATH"
_MISSING = re.compile(re.escape(_REASON).replace(re.escape("{program}"), r"([\w-]+)"))


def need(*programs: str) -> str:
    """Return the path of the first program that is there, or skip the test."""
    for program in programs:
        if path := shutil.which(program):
            return path
    pytest.skip(" and ".join(_REASON.format(program=each) for each in programs))


def hint(reasons: Iterable[str]) -> str | None:
    """Return a line that says what was skipped for want of programs, and the remedy."""
    missing = {each for reason in reasons for each in _MISSING.findall(reason)}
    if not missing:
        return None
    found = [PROGRAMS[each] for each in PROGRAMS if each in missing]
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    packages = " ".join(dict.fromkeys(package for _, package in found))
    return f"skipped: {names}; to run them: apt-get install {packages}"
