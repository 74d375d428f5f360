"""Modules of workflows: pure helpers until the engine is built on them."""
