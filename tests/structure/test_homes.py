"""One home for each kind of name, so that each is typed once."""

import ast
import re

from tests.structure.sources import MODULES, PACKAGE

TOPIC = re.compile(
    r"revocation\.(events|forwarded|entries|dead-letters|rejections|pulse)\b"
)
LAYOUT_BYTES = {b"meta", b"feed"}
METRIC_TYPES = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}

ENVIRONMENT_HOMES = {
    "settings/": "where the environment becomes settings",
    "local/": "passes its own environment on to child processes, finds the cache",
}


def outside(*homes):
    return {
        name: module for name, module in MODULES.items() if not name.startswith(homes)
    }


def test_topics_are_named_in_topics_only():
    assert [
        f"{name}: {text}"
        for name, module in outside("topics.py").items()
        for text in module.texts
        if isinstance(text, str) and TOPIC.search(text)
    ] == []


def test_the_environment_is_read_in_settings_only():
    read = {"os.environ", "os.getenv", "os.environb"}
    assert [
        name
        for name, module in outside(*ENVIRONMENT_HOMES).items()
        if (module.attributes | module.imports) & read
    ] == []


def test_a_home_of_the_environment_still_needs_it():
    assert [
        home
        for home in ENVIRONMENT_HOMES
        if not any(
            name.startswith(home) and "os.environ" in module.attributes
            for name, module in MODULES.items()
        )
    ] == []


def test_metrics_are_declared_in_metrics_only():
    declared = {f"prometheus_client.{each}" for each in METRIC_TYPES}
    assert [
        name
        for name, module in outside("metrics.py").items()
        if module.imports & declared
    ] == []


def test_errors_are_declared_in_errors_only():
    """So that the tree drawn there is all of it."""
    assert [
        f"{name}: {node.name}"
        for name, module in outside("errors.py").items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(
            ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases
        )
    ] == []


def test_redis_is_spoken_to_in_the_store_only():
    assert [
        name
        for name, module in outside("store/").items()
        if module.packages & {"redis", "valkey"}
    ] == []


def test_redis_commands_are_sent_by_the_redis_store_only():
    commands = {"execute_command", "fcall", "fcall_ro", "eval", "evalsha", "pipeline"}
    homes = ("store/redis_store.py", "store/client/redis_connection.py")
    assert [
        name
        for name, module in outside(*homes).items()
        if {each.rsplit(".", 1)[-1] for each in module.attributes} & commands
    ] == []


def test_redis_keys_are_named_in_the_layout_only():
    assert [
        name
        for name, module in outside("store/layout.py").items()
        if module.texts & LAYOUT_BYTES
    ] == []


def test_functions_live_beside_the_store():
    assert [path.parent.name for path in PACKAGE.rglob("*.lua")] == ["store"]
