"""Documents of every collection, written as hosts write them; the documented examples are held to them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from appdb import (
    AnswerRepository,
    BudgetRepository,
    Claimer,
    ContentRepository,
    Database,
    DbEventType,
    FileRepository,
    Lease,
    Limit,
    NewEvent,
    NewTask,
    RegistryRepository,
    ScheduleRepository,
    StateRepository,
    Task,
    TaskEventType,
    TaskQueue,
    TokenRepository,
    UserRepository,
    VersionRepository,
    WorkflowRepository,
)
from appdb.content.run_files import MAX_INLINE_BYTES
from appdb.models import (
    AnnouncedActor,
    AnnouncedWorker,
    BudgetKind,
    BudgetScope,
    ContentKind,
    Device,
    FileCategory,
    FileFormat,
    FileRole,
    NewContent,
    NewFile,
    NewGeneration,
    NewRun,
    NewRunEvent,
    NewSchedule,
    NewUsage,
    NewUser,
    NewVersion,
    Origin,
    Run,
    UsedKeyword,
    VersionSummary,
)
from appdb.runs.size_limits import SNAPSHOT_EVERY
from appdb.size_limits import MAX_RECENT_EVENTS
from appsupport.runs.run_events import completed, started, step_started
from appsupport.runs.run_repositories import Runs

USER = "usr_a"
LIMIT = Limit(key="provider:local", rate=60, per=timedelta(minutes=1))
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("render@1",))
ORIGIN = Origin(run_id="wf_a", interaction_id="media_a", prompt_id="p1")


async def write_all(database: Database) -> None:
    """Write to every collection."""
    await _people(database)
    await _registry(database)
    run = await _run(database, await _version(database))
    task = await _task(database)
    await _content(database, task)
    await _files(database, run)
    await _settings(database)


async def _people(database: Database) -> None:
    users = UserRepository(database)
    new = NewUser(user_id=USER, username="Ada", email="ada@example.org", password_hash="$argon2id$v=19$x")
    await users.create(new)
    await users.create_key(owner_id=USER, name="laptop", scopes=["tasks:read"], expires_in=timedelta(days=30))
    token = await users.sign_in(owner_id=USER, device=Device(user_agent="Firefox", ip_address="192.0.2.7"))
    await users.rotate(token.token)


async def _registry(database: Database) -> None:
    worker = AnnouncedWorker(
        id="w1", host="h", pid=1, queues=["default"], actors=["render@1"], slots=4, providers=["p"]
    )
    actor = AnnouncedActor(
        name="render",
        version=1,
        queue="default",
        description="Draw a scene.",
        payload_schema={"type": "object"},
        max_attempts=3,
        timeout_seconds=60.0,
        limits=(LIMIT,),
    )
    await RegistryRepository(database).announce(worker, [actor])
    await ScheduleRepository(database).put(
        NewSchedule(owner_id=USER, name="news", cron="30 6 * * MON-FRI", actor="render", payload={"scene": 1})
    )


async def _version(database: Database) -> VersionSummary:
    versions = VersionRepository(database)
    template = await versions.get_or_create_template("film", owner_id=USER)
    tree = await versions.store(template.id, NewVersion(definition={"steps": ["plan"]}), owner_id=USER)
    return tree.source


async def _run(database: Database, version: VersionSummary) -> Run:
    runs = WorkflowRepository(database)
    new = NewRun(project="film", template_id=version.template_id, version_id=version.id, run_id="wf_a")
    run, _ = await runs.open(new, owner_id=USER)
    await runs.set_version(
        run.id,
        version.id,
        owner_id=USER,
        capabilities=["video"],
        requires=[{"capability": "video", "priority": 1}],
    )
    append = Runs(database).events.append
    first = [step_started("plan"), started("plan", "ask"), completed("plan", "ask", scenes=3)]
    await append(run.id, first, owner_id=USER, branch_id=run.branch_id)
    asked = NewRunEvent(
        type=DbEventType.INTERACTION_REQUESTED, step="plan", module="choose", data={"interaction_id": "media_a"}
    )
    await append(run.id, [started("plan", "choose"), asked], owner_id=USER, branch_id=run.branch_id)
    later = [NewRunEvent(type=DbEventType.OUTPUT_STORED, step="plan", module="choose") for _ in range(SNAPSHOT_EVERY)]
    await append(run.id, later, owner_id=USER, branch_id=run.branch_id)
    await StateRepository(database).get(run.id, owner_id=USER)
    await StateRepository(database).branch_from_interaction(run.id, "media_a", owner_id=USER, branch_id=run.branch_id)
    return await runs.get(run.id, owner_id=USER)


async def _task(database: Database) -> Task:
    queue = TaskQueue(database)
    await queue.set_limit(LIMIT)
    await queue.pause("nightly")
    await queue.enqueue(
        NewTask(
            owner_id=USER,
            actor="render",
            payload={"scene": 1},
            unique_key="scene-1",
            unique_for=timedelta(days=1),
            expires_in=timedelta(days=1),
            limits=(LIMIT,),
            run_id="wf_a",
        )
    )
    (task,) = await queue.claim(CLAIMER)
    lease = Lease.of(task)
    await queue.save_step(lease, "outline", {"scenes": 3})
    told = NewEvent(type=TaskEventType.PROGRESS, data={"fraction": 0.5, "message": "drawing"})
    for first in range(0, 2 * MAX_RECENT_EVENTS, 8):
        await queue.append_events(lease, [told] * 8, seq=first)
    await queue.append_events(lease, [told], seq=2 * MAX_RECENT_EVENTS)
    return task


async def _content(database: Database, task: Task) -> None:
    contents, lease = ContentRepository(database), Lease.of(task)
    given = NewGeneration(
        task_id=task.id, provider="local", operation="txt2img", request={"scene": 1}, source_data={"seed": 7}
    )
    await contents.record(given, owner_id=USER)
    await contents.begin(lease, task, provider="local", operation="txt2img", source_data={"seed": 7}, origin=ORIGIN)
    await contents.report(lease, provider_task_id="p-1", usage={"images": 1})
    picture = NewContent(
        key="picture",
        kind=ContentKind.IMAGE,
        role="picture",
        media_type="image/png",
        filename="picture.png",
        data=b"\x89PNG\r\n\x1a\n",
        index=0,
        seed=7,
        width=1024,
        height=576,
        caption="A bridge in the fog",
    )
    events = await TaskQueue(database).get(task.id, owner_id=USER)
    await contents.store(lease, task, picture, seq=events.event_count)


async def _files(database: Database, run: Run) -> None:
    files = FileRepository(database)
    small = NewFile(
        run_id=run.id,
        branch_id=run.branch_id,
        category=FileCategory.API_CALLS,
        group="call-1",
        name="request.json",
        content={"prompt": "a bridge"},
        format=FileFormat.JSON,
        role=FileRole.REQUEST,
        metadata={"model": "m"},
    )
    large = NewFile(
        run_id=run.id, branch_id="", category=FileCategory.ROOT, name="log.txt", content="x" * (MAX_INLINE_BYTES + 1)
    )
    await files.put(small, owner_id=USER)
    await files.put(large, owner_id=USER)
    usage = NewUsage(
        provider="local",
        model="m",
        operation="txt2img",
        cost=Decimal("0.0125"),
        units=Decimal(1),
        run_id=run.id,
        step_id="plan",
        module_name="ask",
    )
    await TokenRepository(database).record(usage, owner_id=USER)
    scope = BudgetScope(kind=BudgetKind.RUN, run_id=run.id)
    await BudgetRepository(database).set_limit(scope, Decimal(5), owner_id=USER)
    answers = AnswerRepository(database)
    await answers.create_link(run.id, "media_a", owner_id=USER, expires_in=timedelta(days=1))
    await answers.put_draft(run.id, "media_a", {"text": "a bridge in"}, owner_id=USER)


async def _settings(database: Database) -> None:
    await database.set_config("engine", "limits", {"parallel": 4})
    await database.use_options(["night"], owner_id=USER, template_id="tpl_a", step_id="plan", module="choose")
    keyword = UsedKeyword(keyword="fog", category="mood", details={"color": "grey"})
    await database.use_keywords([keyword], owner_id=USER, template_id="tpl_a", half_life=timedelta(days=30))
