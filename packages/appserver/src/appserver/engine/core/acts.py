"""Sub-actions that a person asks for while a question is open, such as another picture."""

from __future__ import annotations

from appserver.engine.core.causes import Act
from appserver.engine.core.deciding import acted
from appserver.engine.core.draft import Draft
from appserver.engine.core.effects import start_work
from appserver.engine.core.place import Place, open_place
from appserver.engine.core.turn import turn_of
from appserver.errors import ActionRefusedError
from appserver.modules.contract import Fail

REQUEST = "request_id"
"""In the start of a sub-action, the request that asked for it."""


def take_action(draft: Draft, cause: Act) -> None:
    """Start the work of a sub-action; the same request again changes nothing.

    Raises:
        ActionRefusedError: The module's question is not open, does not offer the action, or the module refuses it.
    """
    state = draft.state
    if any(sub.started.data.get(REQUEST) == cause.request_id for sub in state.sub_actions.values()):
        return
    place = _asking_place(draft, cause)
    start = place.started(state)
    turn = None if start is None else turn_of(draft, place, start)
    if draft.needs:
        return
    if turn is None:
        raise ActionRefusedError(cause.action, f"this host cannot run {place.module.type}; another one does")
    effect = acted(turn.module, turn.inputs, turn.seen, cause.action, dict(cause.arguments))
    if isinstance(effect, Fail):
        raise ActionRefusedError(cause.action, effect.message)
    start_work(draft, turn, effect, {REQUEST: cause.request_id})


def _asking_place(draft: Draft, cause: Act) -> Place:
    """Return the place of the module whose question is open and offers the action."""
    place, pending = open_place(draft.picture.definition, draft.state), draft.state.pending
    if place is None or pending is None or pending.module != cause.module:
        raise ActionRefusedError(cause.action, f"module {cause.module} asks nothing now")
    offered = pending.data.get("actions", ())
    if cause.action not in offered:
        raise ActionRefusedError(cause.action, f"module {cause.module} offers {', '.join(offered) or 'no actions'}")
    return place
