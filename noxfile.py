"""What contributors and CI run; `nox --list` shows it all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2026.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "unit", "integration", "packages"]

ROOT = Path(__file__).parent
PACKAGES = ("appdb", "appserver", "appworker")
DIST = ROOT / ".nox" / "dist"
GROUPS = nox.project.load_toml("pyproject.toml")
PYTEST = ("python", "-I", "-m", "pytest")
# -I: the checkout is never importable, so what is tested is what was built.
AT_ONCE = ("-n", "3", "--dist", "loadfile")
"""Most tests wait for a database: three files at a time keep two cores busy, each process with a MongoDB of its own."""
WITH_DATABASE = {"appdb": ("property", "migration", "contract", "integration")}
"""Folders of tests that need a MongoDB, where there are more than the one; those of the longest files first."""


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layers."""
    session.install(*_group("lint"), *_wheels(session, *PACKAGES))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly: sources, tests, tools."""
    session.install(*_group("types"), *_wheels(session, "appdb[embedded]", "appserver", "appworker[media,openai]"))
    for package in PACKAGES:
        session.run("mypy", f"packages/{package}/src")
    session.run("mypy", *(f"packages/{package}/tests" for package in PACKAGES), "tests", "demo", "bench")
    session.run("mypy", "noxfile.py", "conftest.py")


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def unit(session: nox.Session, package: str) -> None:
    """Test each built wheel by itself, without a database."""
    session.install(*_group("test"), *_wheels(session, _with_extras(package)))
    session.run(*PYTEST, f"packages/{package}/tests/unit", *session.posargs)


@nox.session
@nox.parametrize("package", [*PACKAGES, "acceptance", "faults"], ids=[*PACKAGES, "acceptance", "faults"])
def integration(session: nox.Session, package: str) -> None:
    """Test each built wheel against a real MongoDB; all hosts together, each from an environment of its own; faults."""
    if package == "acceptance":
        _acceptance(session)
        return
    if package == "faults":
        _faults(session, "-m", "short")
        return
    session.install(*_group("integration"), *_wheels(session, "appdb[embedded]", _with_extras(package)))
    folders = [f"packages/{package}/tests/{folder}" for folder in WITH_DATABASE.get(package, ("integration",))]
    shared = () if package == "appworker" else _at_once(session)  # a worker's tests measure time
    session.run(*PYTEST, *folders, *shared, *session.posargs)


@nox.session
def drivers(session: nox.Session) -> None:
    """Test appdb against a real MongoDB on the other driver, PyMongo's own async client."""
    session.install(*_group("integration"), *_wheels(session, "appdb[embedded]"))
    folders = [f"packages/appdb/tests/{folder}" for folder in WITH_DATABASE["appdb"]]
    # Closed while a monitor connects, PyMongo's client leaves that one socket to the garbage collector.
    overlook = ("-W", "ignore:unclosed <socket:ResourceWarning")
    options = (*overlook, *_at_once(session), *session.posargs)
    session.run(*PYTEST, *folders, *options, env={"APPDB_DRIVER": "pymongo"})


def _at_once(session: nox.Session) -> tuple[str, ...]:
    """Return what shares tests among processes; not where some are chosen, or where all would share one server."""
    return () if session.posargs or "APP_MONGO_URI" in os.environ else AT_ONCE


def _acceptance(session: nox.Session) -> None:
    session.install(*_group("acceptance"), *_wheels(session, "appdb[embedded]"))
    if not _find_chromium(session):
        session.run("playwright", "install", "chromium")
    commands = {f"APP_TEST_{name.upper()}_BIN": str(folder) for name, folder in _environments(session).items()}
    session.run(*PYTEST, "tests/acceptance", *session.posargs, env=commands)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill, freeze, cut and fill what hosts and databases stand on; `APP_TEST_FAULT_ROUNDS=20` repeats the faults."""
    _faults(session)


def _faults(session: nox.Session, *selection: str) -> None:
    wheels = _wheels(session, "appdb[embedded]", "appserver", "appworker[media,openai]")
    session.install(*_group("integration"), *wheels)
    session.run(*PYTEST, "tests/faults", *selection, *session.posargs)


@nox.session
def packages(session: nox.Session) -> None:
    """Check what would be released: contents, metadata, and the wall between the hosts."""
    session.install(*_group("packages"))
    _build(session)
    session.run(*PYTEST, "tests/packages", *session.posargs, env={"APP_TEST_DIST": str(DIST)})


@nox.session
def docs(session: nox.Session) -> None:
    """Write docs/collections.md again from the models, and docs/modules.md from the classes."""
    session.install(*_group("test"), *_wheels(session, "appdb", "appserver"))
    for page in ("collections_page", "modules_page"):
        session.run("python", "-m", f"appsupport.documents.{page}", env={"PYTHONPATH": str(ROOT / "tests/support")})


@nox.session
def demo(session: nox.Session) -> None:
    """Run everything on this machine: `-- --port 8000` until interrupted, or `-- --check` for the story once."""
    session.install(*_group("demo"), *_wheels(session, "appdb"))
    places = [f"--{name}={folder}" for name, folder in _environments(session).items()]
    session.run("python", "demo/run.py", *places, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure queue and worker against bare driver calls in one run; `-- --json FILE` for programs."""
    session.install(*_group("bench"), *_wheels(session, "appdb[embedded]", "appserver", "appworker"))
    paths = {"PYTHONPATH": f"{ROOT / 'tests/support'}:{ROOT / 'demo'}"}
    session.run("python", "bench/measure.py", *session.posargs, env=paths)


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(GROUPS, name))


def _with_extras(package: str) -> str:
    return "appworker[media,openai]" if package == "appworker" else package


def _find_chromium(session: nox.Session) -> str | None:
    named = session.env.get("APP_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if named is None:
        session.warn("there is no Chromium on PATH; Playwright fetches its own")
    return named


def _build(session: nox.Session) -> None:
    """Build all wheels and sdists, unless they are built of the same sources already."""
    stamp, state = DIST.with_suffix(".sha256"), _digest(_sources())
    if stamp.exists() and stamp.read_text() == state:
        return
    shutil.rmtree(DIST, ignore_errors=True)
    session.install("build>=1.3,<2", "hatchling>=1.27,<2")
    for package in PACKAGES:
        session.run(
            "python", "-m", "build", "--no-isolation", "--outdir", str(DIST), f"packages/{package}", silent=True
        )
    stamp.write_text(state)


def _sources() -> list[Path]:
    """Return the files that wheels and sdists are made of."""
    files = [file for file in (ROOT / "packages").rglob("*") if file.is_file()]
    return sorted(file for file in files if "__pycache__" not in file.parts and ".ruff_cache" not in file.parts)


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(hashlib.sha256(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes()).digest())
    return whole.hexdigest()


def _wheels(session: nox.Session, *wanted: str) -> list[str]:
    """Return requirements for built wheels: the wanted ones and appdb, by path, so that no index is asked for them."""
    _build(session)
    names = [*wanted, *(["appdb"] if not any(name.startswith("appdb") for name in wanted) else [])]
    return [f"{name} @ {_wheel(name.partition('[')[0]).as_uri()}" for name in dict.fromkeys(names)]


def _wheel(package: str) -> Path:
    return next(DIST.glob(f"{package}-*.whl"))


def _environments(session: nox.Session) -> dict[str, Path]:
    """Make an environment for the database, the API host and the worker host each, and return their command folders."""
    wanted = {"database": ["appdb[embedded]"], "server": ["appserver"], "worker": ["appworker[media,openai]"]}
    return {name: _environment(session, name, requirements) for name, requirements in wanted.items()}


def _environment(session: nox.Session, name: str, requirements: list[str]) -> Path:
    place = ROOT / ".nox" / "hosts" / name
    commands = place / ("Scripts" if sys.platform == "win32" else "bin")
    wheels = _wheels(session, *requirements)
    stamp = place / "wheels.sha256"
    state = _digest(sorted(DIST.glob("*.whl")))
    if stamp.exists() and stamp.read_text() == state:
        return commands
    session.run_install(sys.executable, "-m", "virtualenv", "--clear", "-q", str(place), external=True)
    session.run_install(str(commands / "python"), "-m", "pip", "install", "-q", *wheels, external=True)
    stamp.write_text(state)
    return commands
