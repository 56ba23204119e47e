"""Optional programs that some tests need."""

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
"""The common name of each program, and its Debian packages."""

_REASON = "no {program} on the PATH"
_MISSING = re.compile(re.escape(_REASON).replace(re.escape("{program}"), r"([\w-]+)"))


def need(*programs: str) -> str:
    """Return the path of the first installed program, or skip the test."""
    for program in programs:
        if path := shutil.which(program):
            return path
    pytest.skip(" and ".join(_REASON.format(program=each) for each in programs))


def hint(reasons: Iterable[str]) -> str | None:
    """Return a line on tests skipped for missing programs, and how to run them."""
    missing = {each for reason in reasons for each in _MISSING.findall(reason)}
    if not missing:
        return None
    found = [PROGRAMS[each] for each in PROGRAMS if each in missing]
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    packages = " ".join(dict.fromkeys(package for _, package in found))
    return f"skipped: {names}; to run them: apt-get install {packages}"
