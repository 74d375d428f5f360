"""The mixins of ``Database``: settings, history, migrations and recovery."""
