"""Contents of wheels and sdists: exactly what they should be."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

DIST_INFO = {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_wheel_holds_only_its_package(wheel: Path, package: str, root: Path) -> None:
    source = root / f"packages/{package}/src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    expected = {name for name in files if not {"__pycache__", ".ruff_cache"} & set(name.split("/"))}
    held = names(wheel)
    info = {name.partition(".dist-info/")[2] for name in held if ".dist-info/" in name}

    assert {name for name in held if ".dist-info/" not in name} == expected
    assert info == DIST_INFO | {"entry_points.txt"}
    assert f"{package}/py.typed" in held
    assert not [name for name in held if name.endswith(".pth")]


def test_version_is_same_everywhere(wheel: Path, package: str, root: Path) -> None:
    version = wheel.name.split("-")[1]
    source = (root / f"packages/{package}/src/{package}/_version.py").read_text()
    changelog = (root / f"packages/{package}/CHANGELOG.md").read_text()
    heading = re.search(r"^## (\S+)", changelog, re.MULTILINE)

    assert f'__version__ = "{version}"' in source
    assert heading is not None
    assert heading[1] == version


def test_twine_and_check_wheel_contents_agree(wheel: Path, package: str, dist: Path) -> None:
    (sdist,) = dist.glob(f"{package}-*.tar.gz")
    for command in (["twine", "check", "--strict", str(wheel), str(sdist)], ["check_wheel_contents", str(wheel)]):
        checked = subprocess.run([sys.executable, "-m", *command], check=False, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_sdist_holds_sources_tests_and_texts(package: str, dist: Path) -> None:
    (sdist,) = dist.glob(f"{package}-*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}

    assert tops == {"src", "tests", "README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore"}


def test_wheel_rebuilt_from_sdist_is_same(wheel: Path, package: str, dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob(f"{package}-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    command = ["build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "again"), str(source)]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    (again,) = (tmp_path / "again").glob("*.whl")

    assert names(again) == names(wheel)
