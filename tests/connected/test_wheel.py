"""The wheel as users install it: in its own environment and an empty folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.structure.sources import PACKAGE, ROOT

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as pip would."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True
    )
    (found,) = folder.glob("revocation-*.whl")
    return found


@pytest.fixture
def scripts(wheel: Path, tmp_path: Path) -> Path:
    """Install it without a registry; its dependencies are those of the tests."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps"]
    subprocess.run(
        [*command, "--python", python, wheel], check=True, capture_output=True
    )
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("revocation/")}
    assert held == {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_demo_runs_from_the_wheel_in_an_empty_folder(
    scripts: Path, tmp_path: Path
) -> None:
    """With an empty PATH, so without the machine's own Java or Valkey."""
    folder = tmp_path / "empty"
    folder.mkdir()
    inherited = {name: os.environ[name] for name in os.environ if "PYTHON" not in name}
    done = subprocess.run(
        [scripts / "revocation", "demo"],
        cwd=folder,
        env={**inherited, "PATH": "", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Every stale token was rejected in every region" in done.stdout
    assert list(folder.iterdir()) == []
