"""The package as text: parsed, never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "revocation"


@dataclass(frozen=True)
class Module:
    """One Python file of the package."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(PACKAGE))

    @property
    def name(self) -> str:
        """The dotted name."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), self.path)

    @cached_property
    def imports(self) -> frozenset[str]:
        """The dotted names imported, members of modules among them."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self}: imports are absolute"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return frozenset(found)

    @property
    def packages(self) -> frozenset[str]:
        """The packages that it imports from."""
        return frozenset(name.split(".")[0] for name in self.imports)

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    @cached_property
    def texts(self) -> frozenset[str | bytes]:
        """The literal texts of code; docstrings are for people."""
        docstrings = {
            id(node.value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        return frozenset(
            node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str | bytes)
            and id(node) not in docstrings
        )

    @cached_property
    def attributes(self) -> frozenset[str]:
        """What is reached by dots from a name, such as `time.time`."""
        return frozenset(
            ast.unparse(node)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute)
        )


MODULES = {str(module): module for module in map(Module, sorted(PACKAGE.rglob("*.py")))}
_BY_NAME = {module.name: module for module in MODULES.values()}


def imported_modules(module: Module) -> set[Module]:
    """The package's own modules that a module imports, and the packages they are in."""
    found = set()
    for name in module.imports:
        parts = name.split(".")
        for length in range(2, len(parts) + 1):
            inner = _BY_NAME.get(".".join(parts[:length]))
            if inner is not None and inner is not module:
                found.add(inner)
    return found


def part_of(name: str) -> str:
    """The file or folder right under `revocation/`; nothing for the package itself."""
    part = name.removesuffix(".py").split("/")[0]
    return "" if part == "__init__" else part


def reached_from(module: Module, *, through_packages: bool = True) -> set[Module]:
    """All of the package's modules that importing a module leads to, and itself."""
    reached, waiting = {module}, [module]
    while waiting:
        at = waiting.pop()
        if not through_packages and at.path.name == "__init__.py":
            continue
        for inner in imported_modules(at) - reached:
            reached.add(inner)
            waiting.append(inner)
    return reached
