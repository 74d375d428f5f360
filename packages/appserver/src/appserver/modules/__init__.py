"""Modules of workflows: the parts of a step that make, choose or ask."""
