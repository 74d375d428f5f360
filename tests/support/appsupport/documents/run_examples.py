"""Examples of documents of workflows and their runs."""

from __future__ import annotations

from decimal import Decimal

from appdb import DbEventType, content_hash
from appdb._schema import collections
from appdb.models import (
    AnswerDraft,
    AnswerLink,
    Branch,
    BranchSegment,
    FileCategory,
    FileFormat,
    FileRole,
    PendingQuestion,
    Position,
    RunEvent,
    RunStatus,
    RunVersion,
    SourceType,
    TemplateVisibility,
    Usage,
    VersionKind,
    WorkflowVersion,
)
from appdb.models.budgets import BudgetDocument, BudgetKind
from appdb.models.option_usage import OptionUsageDocument
from appdb.models.snapshots import Snapshot
from appdb.models.weighted_keywords import WeightedKeywordDocument
from appdb.models.workflow_files import FileDocument
from appdb.models.workflow_runs import DeletedRun, RunDocument
from appdb.models.workflow_templates import TemplateDocument
from appdb.utils import derived_id
from appsupport.documents.example import (
    ASKED,
    BRANCH,
    MADE,
    ROOT,
    RUN,
    TASK,
    TEMPLATE,
    USER,
    VERSION,
    Example,
    at,
    made_id,
    sha256,
)

DEFINITION = {"steps": [{"id": "plan", "modules": ["ask", "choose"]}]}
REQUEST = '{"prompt": "a bridge in the fog"}'

WORKFLOWS = (
    Example(
        collection=collections.WORKFLOW_TEMPLATES,
        what="A named workflow of one owner.",
        model=TemplateDocument,
        values=MADE
        | {
            "id": TEMPLATE,
            "name": "film",
            "visibility": TemplateVisibility.VISIBLE,
            "derived_from": None,
            "merged_ids": (),
            "revision": 1,
            "updated_at": at(1),
            "used_at": at(60),
        },
    ),
    Example(
        collection=collections.WORKFLOW_VERSIONS,
        what="One immutable definition of a workflow, found by the hash of its content.",
        model=WorkflowVersion,
        values=MADE
        | {
            "id": VERSION,
            "template_id": TEMPLATE,
            "content_hash": content_hash(DEFINITION),
            "source_type": SourceType.JSON,
            "kind": VersionKind.RAW,
            "parent_id": None,
            "requires": (),
            "merged_ids": (),
            "size": 88,
            "definition": DEFINITION,
        },
    ),
    Example(
        collection=collections.WORKFLOW_RUNS,
        what="A run: whose, which version and branch, and caches of where its events have led.",
        model=RunDocument,
        values=MADE
        | {
            "id": RUN,
            "project": "film",
            "template_id": TEMPLATE,
            "version_id": VERSION,
            "branch_id": BRANCH,
            "parent_id": None,
            "ancestors": [],
            "status": RunStatus.AWAITING_INPUT,
            "open": True,
            "position": Position(step="plan", module="choose", interaction_id=ASKED, started=True, ended=None),
            "event_count": 8,
            "updated_at": at(60),
            "touched_at": at(60),
            "completed_at": None,
            "question": PendingQuestion(interaction_id=ASKED, since=at(50)),
            "waiting_number": None,
            "listed": True,
            "deleting": False,
            "on_begin": None,
            "cancelling": None,
        },
    ),
    Example(
        collection=collections.WORKFLOW_RUNS,
        what="The mark of a deleted run, which stays for a day.",
        model=DeletedRun,
        values={"id": made_id("wf_", 19), "owner_id": USER, "deleting": True, "deleted_at": at(days=1)},
    ),
    Example(
        collection=collections.RUN_VERSIONS,
        what="From which event on a run followed a version, and for what client.",
        model=RunVersion,
        values=MADE
        | {
            "id": made_id("rv_", 10),
            "run_id": RUN,
            "version_id": VERSION,
            "seq": 0,
            "capabilities": ["video"],
            "requires": [{"capability": "video", "priority": 1}],
        },
    ),
    Example(
        collection=collections.EVENTS,
        what="One event of a run; numbers are dense from 0 over all its branches.",
        model=RunEvent,
        values=MADE
        | {
            "id": made_id("evt_", 11),
            "run_id": RUN,
            "branch_id": ROOT,
            "seq": 5,
            "type": DbEventType.INTERACTION_REQUESTED,
            "step": "plan",
            "module": "choose",
            "interaction_id": ASKED,
            "version_id": VERSION,
            "data": {"interaction_id": ASKED, "question": "Which picture?"},
        },
    ),
    Example(
        collection=collections.BRANCHES,
        what="A line of history: what each branch gives to it, from the root on.",
        model=Branch,
        values=MADE
        | {
            "id": BRANCH,
            "run_id": RUN,
            "lineage": [
                BranchSegment(branch_id=ROOT, first_seq=0, cutoff_seq=5),
                BranchSegment(branch_id=BRANCH, first_seq=7, cutoff_seq=None),
            ],
            "deleting": False,
        },
    ),
    Example(
        collection=collections.SNAPSHOTS,
        what="A state that was folded before; it names the events that it keeps.",
        model=Snapshot,
        values=MADE
        | {
            "id": derived_id("snap_", RUN, ROOT, "205", "1"),
            "run_id": RUN,
            "branch_id": ROOT,
            "seq": 205,
            "fold_version": 2,
            "state": {
                "seq": 205,
                "stable_seq": 205,
                "last_type": "output_stored",
                "position": {"step": "plan", "module": None, "interaction_id": None, "started": True, "ended": None},
                "steps": [],
                "modules": [{"step": "plan", "names": ["ask"]}],
                "outputs": [made_id("evt_", 12)],
                "given": [],
                "unknown_type": None,
                "pending": None,
                "error": None,
            },
        },
    ),
    Example(
        collection=collections.FILES,
        what="An artefact of a run; inline up to 64 KiB, else in GridFS `files` under `file_id`.",
        model=FileDocument,
        values=MADE
        | {
            "id": made_id("wff_", 13),
            "run_id": RUN,
            "branch_id": BRANCH,
            "category": FileCategory.API_CALLS,
            "group": "call-1",
            "name": "request.json",
            "role": FileRole.REQUEST,
            "format": FileFormat.JSON,
            "metadata": {"model": "local-1"},
            "size": len(REQUEST),
            "sha256": sha256(REQUEST.encode()),
            "file_id": None,
            "updated_at": at(),
            "text": REQUEST,
            "replaced_file_id": None,
        },
    ),
    Example(
        collection=collections.USAGE,
        what="What one call to a model used and cost, exactly.",
        model=Usage,
        values=MADE
        | {
            "id": made_id("tok_", 14),
            "run_id": RUN,
            "branch_id": BRANCH,
            "task_id": TASK,
            "step_id": "plan",
            "module_name": "ask",
            "provider": "local",
            "model": "local-1",
            "operation": "chat",
            "display_name": "Local model",
            "input_tokens": 812,
            "output_tokens": 96,
            "units": Decimal(0),
            "cost": Decimal("0.001287"),
        },
    ),
    Example(
        collection=collections.BUDGETS,
        what="A limit of what a run, a user, or a user in a day may cost; live tasks tell what is reserved.",
        model=BudgetDocument,
        values=MADE
        | {
            "id": f"day:{USER}",
            "kind": BudgetKind.DAY,
            "run_id": None,
            "limit": Decimal(5),
            "spent": Decimal("0.001287"),
            "day": at(),
            "counted": True,
            "updated_at": at(),
            "touched_at": at(),
        },
    ),
    Example(
        collection=collections.ANSWER_LINKS,
        what="The right of whoever has a token to answer one question; the token itself is stored nowhere.",
        model=AnswerLink,
        values=MADE
        | {
            "id": f"lnk_{sha256(b'token')}",
            "run_id": RUN,
            "interaction_id": "choose_1",
            "expires_at": at(),
        },
    ),
    Example(
        collection=collections.ANSWER_DRAFTS,
        what="What a user has begun to answer.",
        model=AnswerDraft,
        values={
            "id": derived_id("dft_", USER, RUN, "choose_1"),
            "owner_id": USER,
            "run_id": RUN,
            "interaction_id": "choose_1",
            "value": {"text": "a bridge in"},
            "updated_at": at(),
        },
    ),
    Example(
        collection=collections.OPTION_USAGE,
        what="How often an owner picked an option.",
        model=OptionUsageDocument,
        values={
            "id": derived_id("opt_", USER, TEMPLATE, "plan", "choose", "night"),
            "owner_id": USER,
            "template_id": TEMPLATE,
            "step_id": "plan",
            "module": "choose",
            "option": "night",
            "count": 3,
            "last_used_at": at(),
            "use_id": made_id("use_", 15),
            "use_ids": [derived_id("", made_id("use_", 15))],
        },
    ),
    Example(
        collection=collections.WEIGHTED_KEYWORDS,
        what="A keyword that a workflow used; its weight halves as time passes.",
        model=WeightedKeywordDocument,
        values={
            "id": derived_id("kw_", USER, TEMPLATE, "mood", "fog"),
            "owner_id": USER,
            "template_id": TEMPLATE,
            "category": "mood",
            "keyword": "fog",
            "weight": 1.5,
            "last_used_at": at(),
            "details": {"color": "grey"},
            "use_id": made_id("use_", 16),
            "use_ids": [derived_id("", made_id("use_", 16))],
        },
    ),
)
