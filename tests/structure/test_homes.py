"""One home for each kind of name, so that each is typed once."""

import ast
import re

import pytest

from tests.structure.sources import MODULES, PACKAGE

TOPIC = re.compile(
    r"revocation\.(events|forwarded|entries|dead-letters|rejections|pulse)\b"
)
LAYOUT_BYTES = {b"meta", b"feed"}
METRIC_TYPES = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}

ENVIRONMENT_HOMES = {
    "settings/": "where the environment becomes settings",
    "local/": "passes its own environment on to child processes, finds Java",
}


def outside(*homes):
    return [name for name in MODULES if not name.startswith(homes)]


@pytest.mark.parametrize("name", outside("topics.py"))
def test_topics_are_named_in_topics_only(name):
    texts = [text for text in MODULES[name].texts if isinstance(text, str)]
    assert not [text for text in texts if TOPIC.search(text)]


@pytest.mark.parametrize("name", outside(*ENVIRONMENT_HOMES))
def test_the_environment_is_read_in_settings_only(name):
    module = MODULES[name]
    read = {"os.environ", "os.getenv", "os.environb"}
    assert not (module.attributes | module.imports) & read


@pytest.mark.parametrize("home", ENVIRONMENT_HOMES)
def test_a_home_of_the_environment_still_needs_it(home):
    homes = [module for name, module in MODULES.items() if name.startswith(home)]
    assert any("os.environ" in module.attributes for module in homes)


@pytest.mark.parametrize("name", outside("metrics.py"))
def test_metrics_are_declared_in_metrics_only(name):
    declared = {f"prometheus_client.{each}" for each in METRIC_TYPES}
    assert not MODULES[name].imports & declared


@pytest.mark.parametrize("name", outside("errors.py"))
def test_errors_are_declared_in_errors_only(name):
    """So that the tree drawn there is all of it."""
    for node in ast.walk(MODULES[name].tree):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            assert not [each for each in bases if each.endswith(("Error", "Exception"))]


@pytest.mark.parametrize("name", outside("store/"))
def test_redis_is_spoken_to_in_the_store_only(name):
    packages = {imported.split(".")[0] for imported in MODULES[name].imports}
    assert not packages & {"redis", "valkey"}


@pytest.mark.parametrize(
    "name", outside("store/redis_store.py", "store/client/redis_connection.py")
)
def test_redis_commands_are_sent_by_the_redis_store_only(name):
    commands = {"execute_command", "fcall", "fcall_ro", "eval", "evalsha", "pipeline"}
    called = {each.rsplit(".", 1)[-1] for each in MODULES[name].attributes}
    assert not called & commands


@pytest.mark.parametrize("name", outside("store/layout.py"))
def test_redis_keys_are_named_in_the_layout_only(name):
    assert not MODULES[name].texts & LAYOUT_BYTES


def test_functions_live_beside_the_store():
    assert [path.parent.name for path in PACKAGE.rglob("*.lua")] == ["store"]
