"""Who may import whom: layers, a pure core, and stations that share contracts only."""

from tests.structure.pure import CORE, PURE
from tests.structure.sources import MODULES, imported_modules, part_of, reached_from

LAYERS = (
    ("errors", "entries", "lifecycle", "logs", "metrics", "nearest"),
    ("background", "claims", "clock", "extras", "http", "tls", "topics"),
    ("decision", "identity"),
    ("events", "jwt", "updates"),
    ("ledger", "settings"),
    ("kafka", "store"),
    ("receipts", "watchdog"),
    ("authority", "operate", "projector", "publisher", "verifier"),
    ("guard", "web"),
    ("", "local"),
    ("sidecar",),
    ("export",),
    ("cli",),
    ("__main__",),
)
"""From the bottom: a part imports what is below it. `""` is the package itself."""

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
STATIONS = {"publisher", "authority", "projector", "verifier", "sidecar"}
AROUND = {"cli", "export", "local", "operate", "__main__"}
MAY_IMPORT = {("sidecar", "verifier")}


def test_a_part_imports_from_below_only():
    height = {part: at for at, layer in enumerate(LAYERS) for part in layer}
    assert {part_of(name) for name in MODULES} == height.keys()
    assert [
        f"{name} imports {module}"
        for name in MODULES
        for module in imported_modules(MODULES[name])
        if part_of(name) != part_of(str(module))
        and height[part_of(name)] <= height[part_of(str(module))]
    ] == []


def test_no_module_imports_itself_through_others():
    """A folder's own `__init__.py` is left out: it names what is in the folder."""
    inner = [name for name in MODULES if not name.endswith("__init__.py")]
    assert [
        name
        for name in inner
        for module in imported_modules(MODULES[name])
        if not str(module).endswith("__init__.py")
        and MODULES[name] in reached_from(module, through_packages=False)
    ] == []


def test_a_pure_module_does_no_io():
    """Nor does anything that it imports."""
    assert [
        f"{name} reaches {module}, which imports {', '.join(impure)}"
        for name in PURE
        for module in reached_from(MODULES[name])
        if (impure := module.packages & IMPURE_PACKAGES)
    ] == []


def test_a_pure_module_reads_no_clock():
    """Time is an argument, so that two readers of one log conclude the same."""
    assert [
        name
        for name in PURE
        if (MODULES[name].attributes | MODULES[name].imports) & CLOCKS
    ] == []


def test_the_core_knows_no_station():
    assert [
        f"{name} reaches {module}"
        for name in CORE
        for module in reached_from(MODULES[name])
        if part_of(str(module)) in STATIONS | AROUND
    ] == []


def test_stations_share_contracts_and_never_each_other():
    assert [
        f"{name} imports {module}"
        for name in MODULES
        if (station := part_of(name)) in STATIONS
        for module in imported_modules(MODULES[name])
        if (other := part_of(str(module))) in (STATIONS | AROUND) - {station}
        and (station, other) not in MAY_IMPORT
    ] == []
