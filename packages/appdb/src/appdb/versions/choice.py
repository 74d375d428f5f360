"""Version choice: the version of a workflow that a client gets, by its capabilities."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from appdb.models.workflow_versions import VersionKind, VersionSummary


def best_version(versions: Iterable[VersionSummary], capabilities: Collection[str]) -> VersionSummary | None:
    """Return the version that fits *capabilities* best, or ``None`` when none fits.

    Fits: it can run, and each capability that it requires is there. Best: the highest sum of priorities, then the most
    requirements, then the lowest content hash, so that the answer is the same for every host, and for every copy.
    """
    offered = frozenset(capabilities)
    fitting = [one for one in versions if one.kind is not VersionKind.UNRESOLVED and _needs(one) <= offered]
    return min(fitting, key=_rank, default=None)


def _needs(version: VersionSummary) -> frozenset[str]:
    return frozenset(one.capability for one in version.requires)


def _rank(version: VersionSummary) -> tuple[int, int, str]:
    return -sum(one.priority for one in version.requires), -len(version.requires), version.content_hash
