"""Numbered migrations. Each has ``async def up(database)``, can be run again, and is never changed after its release."""
