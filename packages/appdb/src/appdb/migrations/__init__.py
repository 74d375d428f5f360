"""Numbered migrations, ``mNNNN_pre_what.py``, and their runner. A migration never changes after its release.

A migration has a docstring (its first line is shown to users), ``CONTRACT``, ``async def up(database, steps)``, and
``async def down(database, steps)`` where what it does can be undone, else ``IRREVERSIBLE`` with the reason. It does
everything through ``steps``, which record their progress in the database, so the next run resumes a killed one.
"""
