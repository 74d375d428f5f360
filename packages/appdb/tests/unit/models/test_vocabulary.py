"""Words of a newer release are read, kept and written out as they are, wherever a stored document has one."""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, TypeAdapter

from appdb import DbEventType, Task, TaskEventType, TaskState, UnreadableError, models
from appdb.models import RunStatus, is_known
from appdb.models.base import Value
from appdb.models.tasks import TaskDocument
from appdb.models.vocabulary import word
from appsupport.documents.collections_page import EXAMPLES

LATER = "of_tomorrow"
EXAMPLES_WITH_WORDS = [
    (example, name) for example in EXAMPLES for name, value in example.values.items() if isinstance(value, StrEnum)
]


def stored_models() -> list[type[Value]]:
    """Return every model of a part of a stored document."""
    for info in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"appdb.models.{info.name}")
    found, left = [], [Value]
    while left:
        left += (subclasses := left.pop().__subclasses__())
        found += [model for model in subclasses if model.__module__.startswith("appdb.models.")]
    return found


def bare_words(hint: Any) -> Iterator[type[StrEnum]]:
    """Yield the enumerations in *hint* that take known words alone."""
    if get_origin(hint) is Annotated:
        return  # its one use in models is ``Stored``
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        yield hint
    for part in get_args(hint):
        yield from bare_words(part)


def test_every_stored_word_may_be_newer() -> None:
    bare = {
        f"{model.__name__}.{name}"
        for model in stored_models()
        for name, hint in get_type_hints(model, include_extras=True).items()
        for _ in bare_words(hint)
    }

    assert Task in stored_models()
    assert bare == set()


@pytest.mark.parametrize(
    ("example", "name"), [pytest.param(*one, id=f"{one[0].collection}.{one[1]}") for one in EXAMPLES_WITH_WORDS]
)
@pytest.mark.filterwarnings("error")
def test_document_with_newer_word_round_trips(example: Any, name: str) -> None:
    document = example.document() | {name: LATER}
    read = example.model.from_document(document)
    kept = getattr(read, name)

    assert type(kept) is type(example.values[name])
    assert (kept, kept.value, str(kept), f"{kept}") == (LATER,) * 4
    assert not is_known(kept)
    assert read.to_document()[name] == LATER
    assert read.model_dump(mode="json", by_alias=True)[name] == LATER
    assert example.model.from_document(document) == copy.deepcopy(read) == read


def test_documents_with_words_exist() -> None:
    assert len(EXAMPLES_WITH_WORDS) >= 8


def test_newer_word_equals_no_known_one() -> None:
    later = word(TaskState, LATER)

    assert later not in list(TaskState)
    assert later == word(TaskState, LATER)
    assert len({later, word(TaskState, LATER)}) == 1
    assert not later.final
    assert not word(TaskEventType, LATER).terminal
    assert not word(RunStatus, LATER).closed
    assert word(TaskState, "queued") is TaskState.QUEUED
    with pytest.raises(ValueError, match=LATER):
        TaskState(LATER)


def test_non_word_is_refused() -> None:
    document = next(example for example in EXAMPLES if example.model is TaskDocument).document()
    for value in (1, None, ["queued"], {"a": 1}):
        with pytest.raises(UnreadableError):
            Task.from_document(document | {"state": value})


def test_newer_word_passes_other_models() -> None:
    class View(BaseModel):
        type: DbEventType

    seen = View(type=word(DbEventType, LATER))

    assert TypeAdapter(View).dump_json(seen) == b'{"type":"of_tomorrow"}'
    with pytest.raises(ValueError, match="type"):
        View.model_validate({"type": LATER})
