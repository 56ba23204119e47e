"""The content of the documents: code blocks, commands and names of settings."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tests.structure.sources import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for pattern in ("README.md", "docs/*.md", "deploy/*.md", "examples/*/*.md")
    for path in sorted(ROOT.glob(pattern))
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^(?: {4}.*\n)+", re.MULTILINE)
_TYPED = re.compile(
    r"^(?:[A-Z_]+=\S+ +)*(?:\.venv/bin/)?revocation +(?P<words>[a-z].*)"
)
_INLINE = re.compile(r"`(?:\.venv/bin/)?revocation +([a-z][^`]*)`")


EXAMPLES = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.py")}


class Block(NamedTuple):
    """A fenced block: its position, language and text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Return the page and the line."""
        return f"{self.page}:{self.line}"

    @property
    def is_of_an_example(self) -> bool:
        """Whether one example contains all of it, with other statements between."""
        parts = [part.strip("\n") for part in self.text.split("\n\n\n")]
        return any(all(each in text for each in parts) for text in EXAMPLES.values())


def blocks(language: str) -> list[Block]:
    """Return the fenced blocks of a language."""
    return [
        Block(page, text[: match.start()].count("\n") + 1, match[1], match[2])
        for page, text in PAGES.items()
        for match in _BLOCK.finditer(text)
        if match[1] == language
    ]


def commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the words after `revocation` in each command, with the page."""
    for page, text in PAGES.items():
        for typed in (*_typed(text), *_INLINE.findall(text)):
            words = tuple(shlex.split(typed, comments=True))
            yield page, words


def _typed(text: str) -> Iterator[str]:
    shown = [match[2] for match in _BLOCK.finditer(text)]
    shown += _INDENTED.findall(text)
    for line in "\n".join(shown).splitlines():
        match = _TYPED.match(line.strip())
        if match is not None:
            yield match["words"]
