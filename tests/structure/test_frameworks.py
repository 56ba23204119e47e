"""Web frameworks are the services' choice: the library alone brings none."""

import pytest

from tests.structure.sources import MODULES, reached_from

FRAMEWORKS = {"fastapi", "flask", "starlette", "django", "werkzeug"}
HOMES = {"web/fastapi.py": {"fastapi"}}
SERVERS = ("sidecar/", "demo/", "gateway/")


def frameworks_of(module):
    return {imported.split(".")[0] for imported in module.imports} & FRAMEWORKS


def test_importing_the_library_imports_no_framework():
    for module in reached_from(MODULES["__init__.py"]):
        assert not frameworks_of(module), module


@pytest.mark.parametrize(
    "name", [name for name in MODULES if not name.startswith(SERVERS)]
)
def test_a_framework_is_imported_in_its_home_only(name):
    assert frameworks_of(MODULES[name]) == HOMES.get(name, set())
