"""Workflow versions: immutable definitions, found by the hash of their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from appdb.models.base import Document, StoredJson, Value
from appdb.models.bounds import STRICT, Name, NewJson
from appdb.models.vocabulary import Stored
from appdb.models.workflow_templates import TemplateMerge
from appdb.utils import uuid7_str


class VersionKind(StrEnum):
    """The use of a version: it runs as it is, is resolved first, or is the result of that."""

    RAW = "raw"
    """A source that can run as it is."""
    UNRESOLVED = "unresolved"
    """A source that cannot run: one of its resolved versions does, chosen by what the client is capable of."""
    RESOLVED = "resolved"
    """Made of an unresolved version, its parent, for clients with certain capabilities."""


class SourceType(StrEnum):
    """The form in which a source was uploaded."""

    JSON = "json"
    ZIP = "zip"


class Requirement(Value):
    """A capability that a client must have."""

    capability: str
    priority: int = 0
    """The higher the sum of a version's priorities, the rather it is chosen."""


class VersionSummary(Document):
    """All of a version but its definition, which may be large."""

    owner_id: str
    template_id: str
    # RFC 8785, which gives the same hash in every language (decision 0011).
    content_hash: str
    """``sha256:`` and the hex digest of the definition's canonical JSON."""
    source_type: Stored[SourceType] = SourceType.JSON
    kind: Stored[VersionKind]
    parent_id: str | None = None
    """The source that a resolved version was made of."""
    requires: tuple[Requirement, ...] = ()
    merged_ids: tuple[str, ...] = ()
    """The ids of duplicates that were merged into this version; they still find it."""
    size: int = 0
    """Bytes of the definition as BSON."""
    created_at: datetime


class WorkflowVersion(VersionSummary):
    """One immutable definition of a workflow, as stored in ``workflow_versions``."""

    definition: StoredJson


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A source to store.

    Args:
        definition: The workflow, a JSON object of at most 4 MiB as BSON.
        source_type: What it was uploaded as.
        version_id: The id that it gets if its content is new to the template.
    """

    __pydantic_config__ = STRICT
    definition: NewJson
    source_type: SourceType = SourceType.JSON
    version_id: Name = field(default_factory=lambda: uuid7_str("ver_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResolvedVersion:
    """A version that a source resolves to.

    Args:
        definition: The workflow, a JSON object of at most 4 MiB as BSON.
        requires: What a client must be capable of to run it; each capability once.
        version_id: The id that it gets if its content is new to the source.
    """

    __pydantic_config__ = STRICT
    definition: NewJson
    requires: Sequence[Requirement] = ()
    version_id: Name = field(default_factory=lambda: uuid7_str("ver_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTree:
    """A source as it is stored, and the resolved versions that were stored with it, in the order given.

    Args:
        source: The source; its id differs from the one given when its content was there before.
        resolved: Its resolved versions.
    """

    source: VersionSummary
    resolved: tuple[VersionSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMerge:
    """Versions of one template with equal content, which are one.

    Args:
        template_id: The template, after its own duplicates were merged.
        kept_id: The version that stays.
        merged_ids: The versions that it stands for from now on; empty when only its hash was wrong.
        content_hash: The hash of their content.
    """

    template_id: str
    kept_id: str
    merged_ids: tuple[str, ...]
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduplication:
    """The duplicates that were merged, or would be.

    Args:
        templates: Merged templates.
        versions: Merged versions.
    """

    templates: tuple[TemplateMerge, ...] = ()
    versions: tuple[VersionMerge, ...] = ()
