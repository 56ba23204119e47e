"""Variables that are no settings: refused, and whoever set them told what to do.

`test_settings.py` has those that are.
"""

import re

import pytest

from revocation.errors import SettingsError
from revocation.settings import KafkaSettings, LimitSettings
from tests.structure.sources import ROOT

NAMED = re.compile(r"\bREVOCATION_[A-Z][A-Z_]*[A-Z]\b")
PLACES = ("*.md", "*.yml", "Makefile", "Dockerfile", "docs", "deploy", "examples")
SOURCES = ("revocation", "benchmarks")


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("REVOCATION_MAX_TOKEN_LIFETIME_SECOND", "MAX_TOKEN_LIFETIME_SECONDS"),
        ("revocation_store_prefx", "STORE_PREFIX"),
        ("Revocation_Sidecar_Prot", "SIDECAR_PORT"),
        # Unlike a setting, this one is read as it is spelt.
        ("revocation_config", "CONFIG"),
        ("REVOCATION_VERSION_CLAIM", "CLAIMS"),
        ("REVOCATION_", "[A-Z_]+"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused(variable, nearest, monkeypatch):
    """By every process, and never with the value: it may be a secret."""
    monkeypatch.setenv(variable, "secret")
    expected = rf"{variable} \(the nearest is REVOCATION_({nearest})\)"
    for cls in (KafkaSettings, LimitSettings):
        with pytest.raises(SettingsError, match=expected) as caught:
            cls(partitions=3)
        assert "secret" not in str(caught.value)


def test_all_variables_that_are_no_settings_are_named(monkeypatch):
    monkeypatch.setenv("REVOCATION_PARTITION", "3")
    monkeypatch.setenv("REVOCATION_REGIO", "eu")
    with pytest.raises(SettingsError, match=r"PARTITION \(.*REGIO \("):
        KafkaSettings()


@pytest.mark.parametrize(
    "variable",
    [
        "revocation_partitions",
        "REVOCATION_SIDECAR_PORT",
        "REVOCATION_CACHE_DIR",
        "REVOCATIONS_OF_ANOTHER",
    ],
)
def test_a_variable_that_another_reads_is_accepted(variable, monkeypatch):
    """One environment serves all processes; and its case does not matter."""
    monkeypatch.setenv(variable, "7")
    assert KafkaSettings().partitions in {7, 12}


def test_an_unknown_variable_that_is_empty_counts_as_unset(monkeypatch):
    monkeypatch.setenv("REVOCATION_PARTITION", "")
    assert KafkaSettings().partitions == 12


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REVOCATION_EU_SERVICE_HOST", "10.0.0.1"),
        ("REVOCATION_EU_SERVICE_PORT", "8181"),
        ("REVOCATION_EU_SERVICE_PORT_HTTP", "8181"),
        ("REVOCATION_EU_PORT", "tcp://10.0.0.1:8181"),
        ("REVOCATION_EU_PORT_8181_TCP", "tcp://10.0.0.1:8181"),
        ("REVOCATION_EU_PORT_8181_TCP_PROTO", "tcp"),
        ("REVOCATION_EU_PORT_53_UDP_ADDR", "10.0.0.1"),
        # Services called `revocation`, `revocation-sidecar` and `revocation-metrics`;
        # the last two make variables that are settings as well.
        ("REVOCATION_SERVICE_HOST", "10.0.0.1"),
        ("REVOCATION_PORT", "tcp://10.0.0.1:8181"),
        ("REVOCATION_SIDECAR_PORT", "tcp://10.0.0.1:8181"),
        ("REVOCATION_METRICS_PORT", "tcp://10.0.0.1:9100"),
    ],
)
def test_what_kubernetes_says_of_services_is_refused(variable, value, monkeypatch):
    """With what it is, and what turns it off."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rf"{variable}: .*Kubernetes") as caught:
        KafkaSettings()
    assert "enableServiceLinks: false" in str(caught.value)


def names_in(*places):
    """Return each variable that files name, with a file that does."""
    paths = {path for place in places for path in ROOT.glob(place)}
    paths |= {inner for path in paths if path.is_dir() for inner in path.rglob("*")}
    texts = {".md", ".yml", ".yaml", ".toml", ".py", ".env", ".sh", ".template", ""}
    for path in sorted(paths):
        if path.is_file() and path.suffix in texts and "node_modules" not in path.parts:
            for name in NAMED.findall(path.read_text()):
                yield name, path.relative_to(ROOT)


def test_every_variable_that_is_written_anywhere_is_known(monkeypatch):
    """In docs, configurations, examples, benchmarks and messages."""
    found = dict(names_in(*PLACES, *SOURCES))
    assert len(found) > 25
    lists = {"REVOCATION_REVOCABLE_CLAIMS": "[]"}
    for name in found.keys() - {"REVOCATION_CONFIG"}:
        monkeypatch.setenv(name, lists.get(name, "1"))
    assert LimitSettings().leeway_seconds == 1
