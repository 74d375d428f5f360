"""Names in the documents: tests, files, links, footnotes and decisions exist."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    str(file.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "packages/*/README.md")
    for file in ROOT.glob(pattern)
)
BESIDE = ("packages/*/src/*", "packages/*/src", "packages/*/tests", "packages/*", "packages")
"""Folders from which documents name files, beside the repository and their own."""
MADE = (".nox", ".venv")
"""Folders that commands make, and no checkout holds."""
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
CONSTANTS = re.compile(r"((?:`[A-Z_*]+`, )*`[A-Z_*]+`) in `([\w/]+\.py)`")
FILE = re.compile(r"[\w*-]+\.(py|md|toml|yml|css|js)")


def prose(document: str) -> str:
    """Return a document without its blocks of code."""
    return FENCED.sub("", (ROOT / document).read_text(encoding="utf-8"))


@cache
def defined_tests() -> set[str]:
    """Return the names of all tests of the repository."""
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("packages/*/tests/**/*.py")]
    return {name for file in files for name in re.findall(r"\bdef (test_\w+)\(", file.read_text(encoding="utf-8"))}


def missing_tests(text: str, known: set[str]) -> list[str]:
    named = [word for word in QUOTED.findall(text) if word.startswith("test_") and not FILE.fullmatch(word)]
    return [word for word in named if word not in known]


def bases(folder: Path) -> list[Path]:
    return [folder, ROOT, *(place for pattern in BESIDE for place in ROOT.glob(pattern) if place.is_dir())]


def is_place(word: str, places: Iterable[Path]) -> bool:
    """Whether a word in backticks is a path of the repository: it ends as a file, or begins in a folder."""
    first, slash, _ = word.partition("/")
    if not PATH.fullmatch(word) or first in MADE:
        return False
    return bool(FILE.fullmatch(word.rpartition("/")[2]) or (slash and any((base / first).is_dir() for base in places)))


def missing_places(text: str, folder: Path) -> list[str]:
    places = bases(folder)
    named = [word for word in QUOTED.findall(text) if is_place(word, places)]
    return [word for word in named if not any(next(base.glob(word), None) for base in places) and not is_deep(word)]


def is_deep(word: str) -> bool:
    """Whether a file is named without its folder."""
    return "/" not in word and any(next(ROOT.glob(f"{top}/**/{word}"), None) for top in ("packages", "tests", "demo"))


def misplaced_constants(text: str) -> list[str]:
    """Return what is said to be set in a file that does not set it, such as `LEASE` in `appdb/queue/lease.py`."""
    said = [(name, file) for names, file in CONSTANTS.findall(text) for name in QUOTED.findall(names)]
    return [f"{name} in {file}" for name, file in said if not sets(file, name)]


def sets(file: str, name: str) -> bool:
    source = (ROOT / "packages" / file.partition("/")[0] / "src" / file).read_text(encoding="utf-8")
    return re.search(rf"^{name.replace('*', '[A-Z_]*')}\b.* = ", source, re.MULTILINE) is not None


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(text: str, folder: Path) -> list[str]:
    return [link for link in LINK.findall(text) if not leads_somewhere(link, text, folder)]


def leads_somewhere(link: str, text: str, folder: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = folder / path
    if not target.exists():
        return False
    return not anchor or anchor in anchors(FENCED.sub("", target.read_text(encoding="utf-8")) if path else text)


def loose_footnotes(text: str) -> set[str]:
    """Return the footnotes that are used and not defined, or defined and not used."""
    defined = re.findall(r"^\[\^([^\]]+)\]:", text, re.MULTILINE)
    used = re.findall(r"\[\^([^\]]+)\](?!:)", text)
    twice = {name for name in defined if defined.count(name) > 1}
    return (set(defined) ^ set(used)) | twice


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_in_document_exist(document: str) -> None:
    text, folder = prose(document), (ROOT / document).parent

    assert missing_tests(text, defined_tests()) == []
    assert missing_places(text, folder) == []
    assert misplaced_constants(text) == []
    assert broken_links(text, folder) == []
    assert loose_footnotes(text) == set()


def test_wrong_name_of_each_kind_is_found() -> None:
    text = (
        "## Heading\n`test_of_nothing` `test_wrong_name_of_each_kind_is_found` `tests/packages/test_nothing.py` "
        "`test_documents.py` `appdb/base.py` `appdb/nothing` `nothing.py` `image/png` [a](README.md) [b](NOTHING.md) "
        "[c](#heading) [d](#nothing) used[^one] and[^two] "
        "`PAGE_BYTES`, `PAPER_BYTES` in `appdb/size_limits.py`\n\n[^two]: two\n[^three]: three\n"
    )

    assert missing_tests(text, defined_tests()) == ["test_of_nothing"]
    assert missing_places(text, ROOT) == ["tests/packages/test_nothing.py", "appdb/nothing", "nothing.py"]
    assert misplaced_constants(text) == ["PAPER_BYTES in appdb/size_limits.py"]
    assert broken_links(text, ROOT) == ["NOTHING.md", "#nothing"]
    assert loose_footnotes(text) == {"one", "three"}


def test_each_decision_has_number_and_entry() -> None:
    folder = ROOT / "docs/decisions"
    files = sorted(file.name for file in folder.glob("[0-9]*.md"))
    headings = [re.match(r"# (\d+)\.", (folder / name).read_text(encoding="utf-8")) for name in files]

    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    assert [int(found[1]) for found in headings if found] == list(range(1, len(files) + 1))
    assert LINK.findall((folder / "README.md").read_text(encoding="utf-8")) == files


def rooms(package: str) -> set[str]:
    """Return the top folders of a package, as documents name them."""
    source = ROOT / "packages" / package / "src" / package
    return {f"{package}/{folder.parent.name}" for folder in source.glob("*/__init__.py")}


@pytest.mark.parametrize("package", ["appdb", "appserver", "appworker"])
def test_architecture_names_every_room(package: str) -> None:
    named = {"/".join(word.split("/")[:2]) for word in QUOTED.findall(prose("docs/architecture.md"))}

    assert rooms(package) - named == set()
