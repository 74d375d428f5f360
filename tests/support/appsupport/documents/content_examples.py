"""Examples of documents of content, its bytes, people, and the package itself."""

from __future__ import annotations

from bson import ObjectId

from appdb._queries.config import CONTRACT_ID, LOCK_ID, sweep_id
from appdb._queries.migrations import RUNNING_ID
from appdb._schema import collections
from appdb.migrations.contract import CONTRACT_VERSION
from appdb.models import ContentKind, GenerationStatus, Role
from appdb.models.access_keys import AccessKey
from appdb.models.config import StoredContract, StoredLock, StoredSetting, SweepPosition
from appdb.models.content_generation_metadata import GenerationDocument
from appdb.models.generated_content import ContentDocument
from appdb.models.gridfs import FileChunk, StoredFile
from appdb.models.migrations import AppliedMigration, MigrationStep, RunningMigration
from appdb.models.refresh_tokens import RefreshFamily
from appdb.models.users import UserDocument
from appdb.utils import derived_id
from appsupport.documents.example import (
    ASKED,
    BRANCH,
    BYTES,
    CONTENT,
    FILE_BYTES,
    GENERATION,
    MADE,
    PICTURE,
    RUN,
    TASK,
    USER,
    Example,
    at,
    made_id,
    sha256,
)

PIECE = ObjectId("69b5a1b8e4b0c2d3f4a50617")


def _bytes(bucket: str, name: str, length: int, **metadata: str) -> tuple[Example, Example]:
    """Return what GridFS keeps of one file."""
    bytes_id = BYTES if bucket == collections.MEDIA_BUCKET else FILE_BYTES
    stored = {
        "id": bytes_id,
        "filename": name,
        "metadata": metadata,
        "chunk_bytes": 261_120,
        "length": length,
        "uploaded_at": at(3),
    }
    piece = {"id": PIECE, "file_id": bytes_id, "number": 0, "data": PICTURE}
    return (
        Example(
            collection=f"{bucket}.files",
            what="Bytes in GridFS by id, and to whom they belong.",
            model=StoredFile,
            values=stored,
        ),
        Example(
            collection=f"{bucket}.chunks", what="A piece of the bytes, here a short one.", model=FileChunk, values=piece
        ),
    )


CONTENTS = (
    Example(
        collection=collections.GENERATIONS,
        what="A generation: who asked, for what, and how it went.",
        model=GenerationDocument,
        values=MADE
        | {
            "id": GENERATION,
            "task_id": TASK,
            "run_id": RUN,
            "branch_id": BRANCH,
            "step": "plan",
            "module": "draw",
            "sub_action_id": "draw/1",
            "interaction_id": ASKED,
            "prompt_id": "p1",
            "provider": "local",
            "operation": "txt2img",
            "request": {"prompt": "a bridge in the fog"},
            "source_data": {"seed": 7},
            "provider_task_id": "p-4711",
            "usage": {"images": 1},
            "status": GenerationStatus.PENDING,
            "error": None,
            "completed_at": None,
            "pruned_at": None,
        },
    ),
    Example(
        collection=collections.CONTENTS,
        what="A content item; its bytes are in GridFS `media` under `file_id`.",
        model=ContentDocument,
        values=MADE
        | {
            "id": CONTENT,
            "task_id": TASK,
            "generation_id": GENERATION,
            "key": "picture",
            "kind": ContentKind.IMAGE,
            "role": "picture",
            "media_type": "image/png",
            "filename": "picture.png",
            "size": len(PICTURE),
            "sha256": sha256(PICTURE),
            "decoded_type": "image/png",
            "file_id": BYTES,
            "attempt": 1,
            "index": 0,
            "seed": 7,
            "width": 1024,
            "height": 576,
            "duration_seconds": None,
            "caption": "A bridge in the fog",
            "preview_id": None,
            "is_preview": False,
            "in_generation": True,
            "seq": 129,
        },
    ),
    *_bytes(collections.MEDIA_BUCKET, "picture.png", len(PICTURE), owner_id=USER, task_id=TASK),
    *_bytes(collections.FILES_BUCKET, "log.txt", 70_000, owner_id=USER, run_id=RUN),
)

PEOPLE = (
    Example(
        collection=collections.USERS,
        what="Somebody who owns documents.",
        model=UserDocument,
        values={
            "id": USER,
            "is_guest": False,
            "is_active": True,
            "created_at": at(),
            "username": "Ada",
            "email": "ada@example.org",
            "roles": (Role.USER,),
            "last_sign_in_at": at(1),
            "username_key": "ada",
            "email_key": "ada@example.org",
            "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$...",
            "keys_changed_at": at(),
            "upgraded_at": None,
        },
    ),
    Example(
        collection=collections.ACCESS_KEYS,
        what="An access key, of which only a digest is stored.",
        model=AccessKey,
        values={
            "id": made_id("", 17),
            "user_id": USER,
            "is_active": True,
            "created_at": at(),
            "expires_at": at(days=30),
            "name": "laptop",
            "scopes": ("tasks:read",),
            "last_used_at": at(60),
            "revoked_at": None,
            "digest": sha256(b"the secret"),
            "purge_at": at(days=60),
        },
    ),
    Example(
        collection=collections.REFRESH_TOKENS,
        what="A session: a sign-in, and digests of the refresh tokens that came of it.",
        model=RefreshFamily,
        values={
            "id": made_id("rt_", 18),
            "user_id": USER,
            "created_at": at(),
            "last_used_at": at(900),
            "expires_at": at(900, days=30),
            "ends_at": at(days=90),
            "user_agent": "Firefox",
            "ip_address": "192.0.2.7",
            "revoked_at": None,
            "revoked_because": None,
            "proof": sha256(b"what all share"),
            "live": (sha256(b"the newest token"),),
            "previous": sha256(b"the token before"),
            "rotated_at": at(900),
            "idle_seconds": 2_592_000,
        },
    ),
    Example(
        collection=collections.CONFIG,
        what="The contract: the newest, and as `version` the oldest whose hosts may work here.",
        model=StoredContract,
        values={"id": CONTRACT_ID, "version": 2, "newest": CONTRACT_VERSION, "updated_at": at()},
    ),
    Example(
        collection=collections.CONFIG,
        what="The lock of whoever migrates, while it is held.",
        model=StoredLock,
        values={
            "id": LOCK_ID,
            "holder": "5d9c7c1e8a1b4f0fb2c6d3e4f5a60718",
            "by": "render-7, process 4711",
            "since": at(),
            "expires_at": at(60),
        },
    ),
    Example(
        collection=collections.CONFIG,
        what="Where a sweep goes on: behind the id that it looked at last.",
        model=SweepPosition,
        values={"id": sweep_id(collections.MEDIA_BUCKET), "after": BYTES},
    ),
    Example(
        collection=collections.CONFIG,
        what="A setting, by type and name.",
        model=StoredSetting,
        values={
            "id": derived_id("cfg_", "engine", "limits"),
            "type": "engine",
            "name": "limits",
            "value": {"parallel": 4},
            "revision": 1,
            "created_at": at(),
            "updated_at": at(),
        },
    ),
    Example(
        collection=collections.MIGRATIONS,
        what="A migration that was applied.",
        model=AppliedMigration,
        values={
            "id": "m0003_pre_whole",
            "description": "Create the indexes of runs, events, versions, files, usage, credentials and history.",
            "checksum": sha256(b"the source of the migration"),
            "applied_at": at(),
        },
    ),
    Example(
        collection=collections.MIGRATIONS,
        what="The migration that runs, or whose run was killed, and how far each of its steps is.",
        model=RunningMigration,
        values={
            "id": RUNNING_ID,
            "migration": "m0004_pre_lists",
            "direction": "up",
            "holder": "5d9c7c1e8a1b4f0fb2c6d3e4f5a60718",
            "started_at": at(),
            "updated_at": at(2),
            "steps": {"indexes": MigrationStep(unit="indexes", done=3, total=8, position=None, finished=False)},
        },
    ),
)
