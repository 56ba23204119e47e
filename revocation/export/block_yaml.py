"""JSON values as block YAML: what the AsyncAPI document needs, and no more.

A dependency that writes YAML would be there for one file.
"""

import json
import re
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z$][A-Za-z0-9 ._/()-]*(?<! )")
_YAML_WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def to_yaml(value: Any) -> str:
    """Return block YAML; what is not a plain word is written as JSON."""
    return _block(value, "\n").lstrip() + "\n"


def _block(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if value and isinstance(value, dict):
        return "".join(
            f"{indent}{_scalar(key)}:{_block(item, deeper)}"
            for key, item in value.items()
        )
    if value and isinstance(value, list):
        return "".join(f"{indent}- {_block(item, deeper).lstrip()}" for item in value)
    return f" {_scalar(value)}"


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and _PLAIN.fullmatch(value)
    if plain and value.lower() not in _YAML_WORDS:
        return str(value)
    return json.dumps(value)
