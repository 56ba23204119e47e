"""Settings: where they come from, and what is refused.

`test_settings_variables.py` has the variables that are no settings.
"""

import pytest
from pydantic import ValidationError

from revocation import settings as module
from revocation.errors import SettingsError
from revocation.settings import (
    AuthoritySettings,
    IssuerSettings,
    KafkaSettings,
    LimitSettings,
    OneRegionSettings,
    PepperSettings,
    ProjectorSettings,
    PublisherSettings,
    RegionsSettings,
    RouteSettings,
    SidecarSettings,
    StoreSettings,
    TlsSettings,
    TokenSettings,
    VerifierSettings,
)
from revocation.settings.settings_source import Settings

CLASSES = [
    OneRegionSettings,
    TokenSettings,
    LimitSettings,
    IssuerSettings,
    RouteSettings,
    KafkaSettings,
    PepperSettings,
    StoreSettings,
    TlsSettings,
    PublisherSettings,
    AuthoritySettings,
    ProjectorSettings,
    VerifierSettings,
    SidecarSettings,
    RegionsSettings,
]


@pytest.fixture
def pepper_file(tmp_path):
    path = tmp_path / "pepper"
    path.write_text("0123456789abcdef" * 2 + "\n")
    return path


@pytest.fixture
def region(pepper_file):
    """What every region's process must be told."""
    return {
        "region": "eu",
        "store_url": "redis://localhost:6379",
        "pepper_file": pepper_file,
    }


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write the settings file and name it."""

    def write(text):
        path = tmp_path / "revocation.toml"
        path.write_text(text)
        monkeypatch.setenv("REVOCATION_CONFIG", str(path))

    return write


def test_a_setting_is_read_from_argument_then_environment_then_file(
    config, monkeypatch
):
    config("partitions = 3")
    assert KafkaSettings().partitions == 3
    monkeypatch.setenv("REVOCATION_PARTITIONS", "4")
    assert KafkaSettings().partitions == 4
    assert KafkaSettings(partitions=5).partitions == 5


def test_an_empty_variable_counts_as_unset(monkeypatch):
    """Docker Compose passes `${NAME:-}` on as an empty one."""
    monkeypatch.setenv("REVOCATION_PARTITIONS", "")
    monkeypatch.setenv("REVOCATION_CONFIG", "")
    assert KafkaSettings().partitions == 12


def test_one_file_serves_all_processes(config, pepper_file):
    config(
        f'pepper_file = "{pepper_file}"\n'
        'region = "eu"\nstore_url = "redis://localhost"\npulse_interval_ms = 100\n'
        '[regions]\neu = "redis://localhost"'
    )
    assert AuthoritySettings().pulse_interval_ms == 100
    assert SidecarSettings().region == "eu"
    assert RegionsSettings().regions == {"eu": "redis://localhost"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitions = ", "cannot read the settings in"),
        (
            "partitons = 3\nx = 1",
            r"do not exist: partitons \(the nearest is partitions",
        ),
        ("partitions = 0", "REVOCATION_PARTITIONS: Input should be greater than"),
        ('partitions = "many"', "REVOCATION_PARTITIONS: Input should be a valid int"),
    ],
)
def test_a_file_that_is_wrong_is_refused(config, text, message):
    config(text)
    with pytest.raises(SettingsError, match=message):
        KafkaSettings()


def test_a_missing_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("REVOCATION_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match="names no file"):
        KafkaSettings()


def test_each_setting_that_is_wrong_or_missing_is_named(region):
    del region["region"], region["store_url"]
    with pytest.raises(SettingsError) as caught:
        ProjectorSettings(**region, partitions=0)
    message = str(caught.value)
    for name in "REVOCATION_REGION:", "REVOCATION_STORE_URL:", "REVOCATION_PARTITIONS:":
        assert name in message


def test_a_wrong_value_is_not_quoted(monkeypatch):
    monkeypatch.setenv("REVOCATION_REGIONS", "redis://user:secret@host")
    with pytest.raises(SettingsError, match=r"regions.*JSON") as caught:
        RegionsSettings(pepper_file="x")
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        KafkaSettings(partitions="secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_are_frozen_and_documented(cls):
    assert cls.model_config["frozen"]
    assert cls.__doc__


def test_a_setting_cannot_be_changed():
    with pytest.raises(ValidationError):
        KafkaSettings().partitions = 3


def test_every_class_is_tested_here():
    known = {
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Settings)
    }
    assert {each for each in known if not each.__name__.startswith("_")} == {*CLASSES}


# Contradictions -----------------------------------------------------------------------


@pytest.mark.parametrize("cls", [AuthoritySettings, ProjectorSettings])
def test_a_session_must_outlast_three_heartbeats(cls, region):
    cls(**region, session_timeout_ms=3_000, heartbeat_interval_ms=1_000)
    with pytest.raises(SettingsError, match="at most a third"):
        cls(**region, session_timeout_ms=3_000, heartbeat_interval_ms=1_001)


def test_a_store_may_differ_no_more_than_the_clocks_are_allowed_to(region):
    StoreSettings(**region, clock_allowance_seconds=2, max_clock_skew_ms=2_000)
    with pytest.raises(SettingsError, match="clock_allowance_seconds"):
        StoreSettings(**region, clock_allowance_seconds=2, max_clock_skew_ms=2_001)


def test_the_pepper_before_is_another_one(pepper_file):
    with pytest.raises(SettingsError, match="name the same file"):
        PepperSettings(pepper_file=pepper_file, previous_pepper_file=pepper_file)


@pytest.mark.parametrize("regions", [{}, None])
def test_at_least_one_region_is_named(regions, pepper_file):
    given = {} if regions is None else {"regions": regions}
    with pytest.raises(SettingsError, match=r"^REVOCATION_REGIONS: name at least one"):
        RegionsSettings(pepper_file=pepper_file, **given)


@pytest.mark.parametrize("name", ["EU", "-eu", "e u", "", "x" * 33])
def test_a_region_is_a_short_lower_case_word(name, pepper_file, region):
    with pytest.raises(SettingsError, match="REVOCATION_REGIONS"):
        RegionsSettings(pepper_file=pepper_file, regions={name: "redis://host"})
    with pytest.raises(SettingsError, match="REVOCATION_REGION:"):
        StoreSettings(**{**region, "region": name})


@pytest.mark.parametrize("prefix", ["", "a b", "a/b", "x" * 101])
def test_a_topic_prefix_is_what_kafka_allows(prefix):
    with pytest.raises(SettingsError, match="REVOCATION_TOPIC_PREFIX"):
        KafkaSettings(topic_prefix=prefix)


# Secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "servers",
    [
        "kafka",
        "kafka_1:9092,kafka-2.example:9093",
        "a:1, b:2",
        "[::1]:9092",
        "10.0.0.1:1",
    ],
)
def test_brokers_are_hosts_and_ports(servers):
    assert KafkaSettings(bootstrap_servers=servers).bootstrap_servers == servers


@pytest.mark.parametrize(
    "servers",
    ["kafka:port", "kafka:65536", "a:1,", "a b", "[::1", "::1:9092", "PLAIN://a:1"],
)
def test_what_is_no_broker_is_refused_with_what_to_write(servers):
    """Else the Kafka client ends in a traceback, or looks for it in vain."""
    with pytest.raises(
        SettingsError, match=r"BOOTSTRAP_SERVERS: '.*' is not host:port"
    ):
        KafkaSettings(bootstrap_servers=servers)


def test_there_is_no_default_secret():
    with pytest.raises(SettingsError, match="REVOCATION_PEPPER_FILE: Field required"):
        PepperSettings()


def test_peppers_are_read_the_one_that_is_written_first(pepper_file, tmp_path):
    before = tmp_path / "before"
    before.write_bytes(b"x" * 64)
    settings = PepperSettings(pepper_file=pepper_file, previous_pepper_file=before)
    assert settings.peppers == (b"0123456789abcdef" * 2, b"x" * 64)
    assert PepperSettings(pepper_file=pepper_file).peppers == settings.peppers[:1]


@pytest.mark.parametrize("content", [b"", b"x" * 31, b" " * 40, b"x" * 31 + b"\n"])
def test_a_short_pepper_is_refused(content, tmp_path):
    path = tmp_path / "pepper"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="at least 32 are needed; `openssl"):
        _ = PepperSettings(pepper_file=path).peppers


def test_a_pepper_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot read the secret"):
        _ = PepperSettings(pepper_file=tmp_path / "none").peppers


def test_a_password_shows_in_no_representation(region, pepper_file):
    region["store_url"] = url = "redis://user:secret@host"
    assert StoreSettings(**region).store_url == url
    assert "secret" not in repr(StoreSettings(**region))
    regions = RegionsSettings(pepper_file=pepper_file, regions={"eu": url})
    assert "secret" not in repr(regions)


def test_a_password_comes_from_a_file(region, tmp_path):
    path = tmp_path / "password"
    path.write_text("s:e/c\n")
    region |= {"store_url": "redis://user@host:1/0", "store_password_file": path}
    assert StoreSettings(**region).store_url == "redis://user:s%3Ae%2Fc@host:1/0"


# What settings come to ----------------------------------------------------------------

SECONDS = {
    "max_token_lifetime_seconds": 100,
    "max_session_seconds": 1_000,
    "leeway_seconds": 20,
    "clock_allowance_seconds": 3,
    "refresh_period_seconds": 5_000,
    "max_outage_seconds": 70_000,
}


def test_limits_and_rules_follow_from_the_same_settings():
    settings = LimitSettings(**SECONDS)
    assert settings.limits == (101_000, 1_000_000, 23_000)
    rules = settings.rules
    assert rules.longest_token_ms == 101_000
    assert rules.clock_allowance_ms == 3_000
    assert rules.leeway_ms == 20_000


def test_an_ended_session_outlasts_the_tokens_that_are_of_it():
    """However briefly ended sessions are to be remembered."""
    settings = LimitSettings(max_token_lifetime_seconds=7 * 86_400)
    longest = settings.rules.longest_token_ms
    assert settings.limits.longest_session_ms == longest > 86_400_000


def test_an_entry_outlasts_the_last_verifier_that_accepts_a_token():
    """Its clock may be behind the store's by the allowance, on top of the leeway.

    A cut-off reaches tokens that are dated later than itself, by the allowance too.
    """
    settings = LimitSettings(**SECONDS)
    assert settings.limits.leeway_ms == settings.rules.leeway_ms + 3_000
    assert settings.relevance_ms == 147_000


def test_the_log_is_kept_for_a_rebuild_after_the_longest_outage():
    settings = LimitSettings(**SECONDS)
    longest_denial = 1_000_000 + 2 * settings.limits.leeway_ms
    assert settings.window_ms == longest_denial + 5_000_000
    assert settings.retention_ms == settings.window_ms + 70_000_000
    assert settings.relevance_ms <= settings.window_ms


def test_topics_begin_with_the_configured_prefix():
    assert KafkaSettings(topic_prefix="test").topics.events == "test.events"


def test_defaults_keep_to_their_own_rules(region):
    for cls in CLASSES:
        cls(**region, regions={"eu": "redis://host"})
