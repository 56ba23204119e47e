"""Decides whether a server is suitable as a region's store. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_MIN_VERSION: Final = {"redis_version": 7, "valkey_version": 8}


def find_fault(info: Mapping[str, Any]) -> str | None:
    """Return what makes a server unsuitable, or None. Valkey also reports Redis 7.2."""
    name = "valkey_version" if "valkey_version" in info else "redis_version"
    version = str(info.get(name, "unknown"))
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) < _MIN_VERSION[name]:
        return f"{name} is {version}; use Redis 7.0, Valkey 8 or later"
    # INFO has the policy even on managed services, which often forbid CONFIG.
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return (
            f"its maxmemory-policy is {policy}: evicting a key would make a revoked "
            "token valid again. Run `CONFIG SET maxmemory-policy noeviction` and set "
            "the same in its configuration file"
        )
    return None
