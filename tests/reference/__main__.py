"""Writes the pages; `make docs` calls this."""

from tests.reference import FOLDER, pages

FOLDER.mkdir(exist_ok=True)
for path, text in pages().items():
    path.write_text(text)
