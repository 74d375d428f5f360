"""Numbered migrations, ``mNNNN_pre_what.py``, which never change after their release, and what runs them.

A migration has a docstring (its first line is shown to users), ``CONTRACT``, ``async def up(database, steps)``, and
``async def down(database, steps)`` where what it does can be undone, else ``IRREVERSIBLE`` with the reason. All that it
does goes through ``steps``, which keep in the database how far they are: a run that was killed is gone on with.
"""
