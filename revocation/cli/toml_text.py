"""Settings as TOML, to be copied."""

import json
from collections.abc import Mapping
from typing import Any


def toml_value(value: Any) -> str:
    """Return a string, number, boolean, list or table as TOML in one line.

    Except for tables, JSON's notation is valid TOML of the same meaning.
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
    """Return the lines that make an installation keep revocations for this long.

    Empty where the default is long enough.
    """
    if seconds <= usual:
        return []
    return [
        f"max_token_lifetime_seconds = {seconds}  # of the whole installation",
        "",
    ]
