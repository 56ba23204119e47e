"""Settings as TOML, for people to copy."""

import json
from collections.abc import Mapping
from typing import Any


def toml_value(value: Any) -> str:
    """Write a text, number, truth value, list or table in one line.

    What JSON writes of all but tables, TOML reads as the same.
    """
    if isinstance(value, Mapping):
        members = (f"{json.dumps(name)} = {toml_value(value[name])}" for name in value)
        return f"{{ {', '.join(members)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)


def toml_issuer(issuer: str, values: Mapping[str, Any]) -> list[str]:
    """Return the lines of an issuer's settings."""
    lines = (f"{name} = {toml_value(value)}" for name, value in values.items())
    return [f"[issuers.{json.dumps(issuer)}]", *lines]


def toml_lifetime(seconds: int, usual: int) -> list[str]:
    """Return the lines that let an installation keep revocations for so long.

    None where that is as long as it usually does.
    """
    if seconds <= usual:
        return []
    return [
        f"max_token_lifetime_seconds = {seconds}  # of the whole installation",
        "",
    ]
