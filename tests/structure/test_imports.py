"""Who may import whom: a pure core, and stations that share contracts only."""

import pytest

from tests.structure.sources import MODULES, imported_modules, reached_from

CORE = [
    "errors.py",
    "entries.py",
    "updates.py",
    "event_data.py",
    "events.py",
    "reading.py",
    "binary_mode.py",
    "whole_token.py",
    "topics.py",
    "ledger.py",
    "claim_names.py",
    "claim_sets.py",
    "claims.py",
    "decision.py",
    "store/layout.py",
]
PURE = [
    *CORE,
    *("authority/conclude.py", "projector/progress.py", "verifier/replica.py"),
]
IMPURE_PACKAGES = {
    *("faust", "mode", "aiokafka", "confluent_kafka", "rocksdict"),
    *("redis", "valkey", "hiredis"),
    *("asyncio", "uvloop", "socket", "ssl", "subprocess", "threading"),
    *("uvicorn", "starlette", "httpx", "typer", "rich", "structlog"),
    *("os", "pathlib", "random", "secrets"),
}
CLOCKS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns"),
    *("time.perf_counter", "time.perf_counter_ns"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"),
}
STATIONS = {"publisher", "authority", "projector", "verifier", "sidecar", "gateway"}
AROUND = {"cli", "ops", "embedded", "demo", "__main__"}
MAY_IMPORT = {("sidecar", "verifier")}


def part_of(name):
    """The file or folder right under `revocation/`."""
    return name.removesuffix(".py").split("/")[0]


def test_the_pure_modules_are_there():
    assert set(PURE) <= set(MODULES)


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_does_no_io(name):
    """Nor does anything that it imports."""
    for module in reached_from(MODULES[name]):
        packages = {imported.split(".")[0] for imported in module.imports}
        assert not packages & IMPURE_PACKAGES, f"{name} reaches {module}"


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_reads_no_clock(name):
    """Time is an argument, so that two readers of one log conclude the same."""
    module = MODULES[name]
    assert not (module.attributes | module.imports) & CLOCKS


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_station(name):
    reached = {part_of(str(module)) for module in reached_from(MODULES[name])}
    assert not reached & (STATIONS | AROUND)


@pytest.mark.parametrize("name", MODULES)
def test_stations_share_contracts_and_never_each_other(name):
    station = part_of(name)
    for module in imported_modules(MODULES[name]):
        other = part_of(str(module))
        if station in STATIONS and other != station:
            assert other not in AROUND, f"{name} imports {module}"
            assert other not in STATIONS or (station, other) in MAY_IMPORT, (
                f"{name} imports {module}"
            )
