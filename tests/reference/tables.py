"""What both pages are made of: docstrings below names, units and rows of a table."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

UNITS: Final = {
    "seconds": "s",
    "ms": "ms",
    "bytes": "bytes",
    "ratio": "0 or 1",
    "records": "records",
    "entries": "entries",
    "total": "count",
}

_PAGE: Final = re.compile(r"docs/([a-z-]+\.md)")


def docstrings(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield each name that is assigned with a text below it, and the text."""
    for statement, after in pairwise(body):
        if isinstance(statement, ast.AnnAssign | ast.Assign):
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    target = getattr(statement, "target", None)
                    name = target or statement.targets[0]
                    yield name.id, " ".join(text.split())


def cells(*cells: str) -> str:
    text = " | ".join(cell.replace("|", "&#124;") for cell in cells)
    return _PAGE.sub(r"[\g<0>](../\1)", f"| {text} |")
