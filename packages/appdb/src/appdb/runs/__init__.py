"""Runs of workflows: the event log, branches, and the state that is folded from events.

The modules in the order of a run's life: ``open``; ``event_log`` with ``transitions`` and ``writer_line``; ``reader``
with ``lineage``, ``fold`` and ``snapshots``; ``fork``; ``repair``; ``deletion``.
"""
