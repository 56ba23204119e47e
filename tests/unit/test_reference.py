"""docs/reference/ against the code: every setting and every metric, and what it means.

`tests/reference/` writes the pages.
"""

import ast
import re

from revocation import settings
from revocation.guard.refreshes import RefreshReason
from revocation.settings import settings_source
from revocation.verifier.fallback.fallback_source import Result
from tests.reference import FOLDER, metrics_page, pages, settings_page
from tests.structure.sources import MODULES, ROOT

SETTINGS = settings_page.declared()
METRICS = {each.name: each for each in metrics_page.declared_metrics()}
PAGES = pages()
CALLS = [
    node
    for module in MODULES.values()
    for node in ast.walk(module.tree)
    if isinstance(node, ast.Call)
]


def test_the_pages_are_what_the_code_says():
    changed = [path.name for path, text in PAGES.items() if path.read_text() != text]
    assert not changed, "run `make docs`"


def test_no_setting_is_left_out():
    known = settings_source._known_names(settings_source.Settings)
    assert SETTINGS.keys() == known


def test_every_setting_has_a_meaning():
    silent = [
        name
        for name, cls in SETTINGS.items()
        if not settings_page.meanings(cls).get(name, "").endswith(".")
    ]
    assert not silent


def test_every_class_of_settings_that_is_made_has_a_reader():
    names = {name for name in settings.__all__ if name.endswith("Settings")}
    made = {ast.unparse(call.func) for call in CALLS} & names
    assert made == {cls.__name__ for cls in settings_page.READERS}
    assert all(map(settings_page.readers, SETTINGS))


def test_every_metric_has_a_meaning_and_is_counted():
    silent = [
        name
        for name, each in METRICS.items()
        if not each.metric._documentation.endswith(".")
        or not metrics_page.stations(name)
    ]
    assert not silent


def test_every_label_is_explained():
    explained = {
        name: tuple(re.findall(r"(?:^|\. )`([a-z]+)`: ", each.labels))
        for name, each in METRICS.items()
    }
    assert explained == {
        name: tuple(each.metric._labelnames) for name, each in METRICS.items()
    }


def given():
    """Yield each text that code gives for a label, with the metric's name."""
    for call in CALLS:
        match call.func:
            case ast.Attribute(value=ast.Attribute(attr=name), attr="labels"):
                for value in call.args:
                    if isinstance(value, ast.Constant):
                        yield name, value.value


def test_every_value_that_code_gives_for_a_label_is_named():
    operations = (ROOT / "docs" / "operations.md").read_text()
    named = {name: each.labels for name, each in METRICS.items()}
    named["STALLS"] = operations
    values = {*given()}
    assert len(values) >= 14
    values |= {("REFRESHES", each.value) for each in RefreshReason}
    values |= {("INTROSPECTIONS", each.value) for each in Result}
    assert [each for each in values if f"`{each[1]}`" not in named[each[0]]] == []


def test_links_lead_somewhere():
    broken = [
        (path.name, link)
        for path, text in PAGES.items()
        for link in re.findall(r"\]\((\.\./[a-z-]+\.md)", text)
        if not (FOLDER / link).is_file()
    ]
    assert not broken
