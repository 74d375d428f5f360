"""The wall between the hosts: package metadata makes the wrong import impossible."""

from __future__ import annotations

import re
import subprocess
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

OTHER = {"appserver": "appworker", "appworker": "appserver"}


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def requirements(wheel: Path) -> list[Requirement]:
    return [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]


def version_in_source(root: Path, package: str) -> str:
    text = (root / f"packages/{package}/src/{package}/_version.py").read_text()
    found = re.search(r'__version__ = "(.+)"', text)
    assert found is not None
    return found[1]


def importable(commands: Path, package: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([commands / "python", "-I", "-c", code], check=False).returncode == 0


def test_each_host_is_alone_with_appdb(environments: dict[str, Path], package: str) -> None:
    hosts = {name for name in ("appserver", "appworker") if importable(environments[package], name)}

    assert importable(environments[package], "appdb")
    assert hosts == {package} - {"appdb"}


def test_no_host_depends_on_other(environments: dict[str, Path], package: str) -> None:
    command = [str(environments[package] / "python"), "-m", "pip", "list", "--format=freeze"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ours = {line.partition("==")[0] for line in listed.splitlines() if line.startswith("app")}

    assert ours == {"appdb", package}


@pytest.mark.parametrize("host", OTHER)
def test_no_extra_asks_for_other_host(dist: Path, host: str) -> None:
    (wheel,) = dist.glob(f"{host}-*.whl")

    assert OTHER[host] not in {requirement.name for requirement in requirements(wheel)}


@pytest.mark.parametrize("host", OTHER)
def test_host_pins_appdb_exactly(dist: Path, root: Path, host: str) -> None:
    (wheel,) = dist.glob(f"{host}-*.whl")
    pins = [str(requirement) for requirement in requirements(wheel) if requirement.name == "appdb"]

    assert pins == [f"appdb=={version_in_source(root, 'appdb')}"]


@pytest.mark.parametrize("host", OTHER)
def test_host_without_its_appdb_is_not_installable(
    environments: dict[str, Path], dist: Path, host: str, tmp_path: Path
) -> None:
    (wheel,) = dist.glob(f"{host}-*.whl")
    # --no-index: strangers' packages of the same names must not be able to fill the gap.
    python = str(environments["appdb"] / "python")
    command = [python, "-m", "pip", "install", "--no-index", "--target", str(tmp_path), str(wheel)]
    refused = subprocess.run(command, check=False, capture_output=True, text=True)

    assert refused.returncode != 0
    assert "appdb==" in refused.stderr


@pytest.mark.parametrize("host", OTHER)
def test_no_source_line_names_other_host(root: Path, host: str) -> None:
    sources = [path for path in (root / f"packages/{host}/src").rglob("*") if path.is_file()]
    naming = [path for path in sources if OTHER[host].encode() in path.read_bytes()]

    assert len(sources) > 10
    assert [path for path in naming if "__pycache__" not in path.parts] == []


def test_appdb_code_names_no_host(root: Path) -> None:
    sources = list((root / "packages/appdb/src").rglob("*.py"))
    imports = re.compile(r"^\s*(from|import) (appserver|appworker)\b", re.MULTILINE)

    assert [path for path in sources if imports.search(path.read_text())] == []
