"""Test kit for authors of workflows and of modules."""

from appserver.testing.module_contract import module_contract

__all__ = ["module_contract"]
