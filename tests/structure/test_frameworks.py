"""Web frameworks are the services' choice: the library alone brings none."""

from tests.structure.sources import MODULES, reached_from

FRAMEWORKS = {"fastapi", "flask", "starlette", "django", "werkzeug"}
HOMES = {"web/fastapi.py": {"fastapi"}, "local/demo_service.py": {"starlette"}}


def test_importing_the_library_imports_no_framework():
    assert [
        module
        for module in reached_from(MODULES["__init__.py"])
        if module.packages & FRAMEWORKS
    ] == []


def test_a_framework_is_imported_in_its_home_only():
    found = {name: module.packages & FRAMEWORKS for name, module in MODULES.items()}
    assert {name: packages for name, packages in found.items() if packages} == HOMES
