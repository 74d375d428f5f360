"""Numbered migrations. Each has ``async def up(database)``, can be run again, and never changes after its release."""
