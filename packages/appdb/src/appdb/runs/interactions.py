"""Interactions and module attempts, listed from the events of a line of history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appdb.events import DbEventType as E
from appdb.models.events import RunEvent
from appdb.models.run_state import Interaction, ModuleAttempt, outputs_of


def interactions(events: Iterable[RunEvent]) -> list[Interaction]:
    """Return each request among *events*, which are in order, with what settled it: the first answer, or its expiry."""
    found: dict[str, Interaction] = {}
    for event in events:
        asked = event.interaction_id
        if asked is None:
            continue
        if event.type is E.INTERACTION_REQUESTED:
            # Asked again: it moves to the place of the last request.
            found.pop(asked, None)
            found[asked] = Interaction(request=event, response=None)
        elif asked in found and found[asked].response is found[asked].expired is None:
            if event.type is E.INTERACTION_RESPONSE:
                found[asked] = replace(found[asked], response=event)
            elif event.type is E.INTERACTION_EXPIRED:
                found[asked] = replace(found[asked], expired=event)
    return list(found.values())


def module_attempts(events: Iterable[RunEvent]) -> list[ModuleAttempt]:
    """Return how often one module ran, oldest first, each with the retry that followed; *events* are its own."""
    found: list[ModuleAttempt] = []
    for event in events:
        if event.type is E.MODULE_COMPLETED:
            found.append(ModuleAttempt(outputs=outputs_of(event.data), feedback=None))
        elif event.type is E.RETRY_REQUESTED:
            if not found or found[-1].feedback is not None:
                found.append(ModuleAttempt(outputs=None, feedback=event.data))
            else:
                found[-1] = ModuleAttempt(outputs=found[-1].outputs, feedback=event.data)
    return found
