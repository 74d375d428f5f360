"""Results of actors: any raised error is an outcome, however odd."""

from __future__ import annotations

import threading

import pytest

from appworker import DiscardError
from appworker.execution.results import ActorFailed, actor_result_of


class HeavyError(Exception):
    """Holds what cannot be stored, as errors of HTTP clients do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, object())
        self.request = threading.Lock()
        self.itself = self

    def __str__(self) -> str:
        return str(self.args[0])


class MuteError(HeavyError):
    """Cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (HeavyError("refused"), ActorFailed(kind="HeavyError", message="refused", retry=True)),
        (
            MuteError("refused"),
            ActorFailed(kind="MuteError", message="MuteError, which cannot be told: its __str__ fails", retry=True),
        ),
        (DiscardError(HeavyError("refused")), ActorFailed(kind="Discarded", message="refused", retry=False)),  # type: ignore[arg-type]  # as untyped code does
    ],
    ids=["attributes that cannot be stored", "no text", "an error for a reason"],
)
def test_error_is_text_whatever_it_holds(error: Exception, failed: ActorFailed) -> None:
    assert actor_result_of(error, None) == failed
