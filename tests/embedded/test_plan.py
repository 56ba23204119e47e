"""The plan and the settings that stations read must agree."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from revocation.local.plan import Plan
from revocation.settings import (
    AuthoritySettings,
    KafkaSettings,
    ProjectorSettings,
    RegionsSettings,
    SidecarSettings,
)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """An installation of two regions, with its config file written."""
    plan = Plan(
        folder=tmp_path,
        bootstrap_servers="127.0.0.1:9092",
        store_urls={"eu": "redis://127.0.0.1:1/0", "us": "redis://127.0.0.1:2/0"},
        sidecar_ports={"eu": 8_001, "us": 8_002},
        worker_ports={"authority": 8_003, "projector-eu": 8_004, "projector-us": 8_005},
        partitions=3,
        settings={"session_timeout_ms": 2_500, "max_token_lifetime_seconds": 60},
    )
    plan.config_file.write_text(plan.config)
    plan.pepper_file.write_text("p" * 64)
    return plan


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> object:
    """Adopt a station's environment."""

    def take(env: Mapping[str, str]) -> None:
        for name, value in env.items():
            monkeypatch.setenv(name, value)

    return take


def test_stations_in_the_order_of_the_flow(plan: Plan) -> None:
    """One authority; a projector and a sidecar per region."""
    names = [launch.name for launch in plan.stations()]

    assert names == [
        "authority",
        "projector-eu",
        "projector-us",
        "sidecar-eu",
        "sidecar-us",
    ]


def test_the_authority_reads_what_is_planned(plan: Plan, become) -> None:
    """One broker, quick sessions, and ledger files in the folder."""
    become(next(plan.stations()).env)

    settings = AuthoritySettings()

    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert settings.replication_factor == 1
    assert settings.partitions == 3
    assert settings.session_timeout_ms == 2_500
    assert settings.max_token_lifetime_seconds == 60
    assert settings.instance_id == "authority"
    assert settings.data_dir == plan.folder / "authority"
    assert settings.metrics_port == 8_003


def test_projectors_and_sidecars_read_their_own_region(plan: Plan, become) -> None:
    """Each has its region's store; all have the same pepper."""
    launches = {launch.name: launch for launch in plan.stations()}

    become(launches["projector-us"].env)
    projector = ProjectorSettings(region="us")
    become(launches["sidecar-us"].env)
    sidecar = SidecarSettings(region="us")

    assert projector.store_url == sidecar.store_url == "redis://127.0.0.1:2/0"
    assert projector.instance_id == "projector-us"
    assert projector.peppers == sidecar.peppers == (b"p" * 64,)
    assert f"http://127.0.0.1:{sidecar.sidecar_port}" == plan.sidecar_url("us")


def test_the_users_commands_read_the_same_file(plan: Plan, become) -> None:
    """A shell needs only `export REVOCATION_CONFIG=...`."""
    become({"REVOCATION_CONFIG": str(plan.config_file)})

    assert RegionsSettings().regions == plan.store_urls
    assert KafkaSettings().partitions == 3
