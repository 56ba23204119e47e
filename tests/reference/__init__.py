"""Makes docs/reference/: every setting and every metric, as the code declares them."""

from pathlib import Path
from typing import Final

from tests.reference.metrics_page import metrics_lines
from tests.reference.settings_page import settings_lines
from tests.structure.sources import ROOT

FOLDER: Final = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Return each page's text."""
    return {
        FOLDER / "settings.md": "\n".join(settings_lines()),
        FOLDER / "metrics.md": "\n".join(metrics_lines()),
    }
