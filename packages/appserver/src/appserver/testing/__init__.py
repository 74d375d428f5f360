"""Test kit for authors of workflows and of modules: no database, a virtual clock, scripted answers, stubbed tasks."""

from appserver.testing.harness import Harness
from appserver.testing.harness_run import HarnessRun
from appserver.testing.module_contract import module_contract
from appserver.testing.outcome import Outcome, StubbedTask
from appserver.testing.stubs import Fails, Gives, StaysSilent

__all__ = ["Fails", "Gives", "Harness", "HarnessRun", "Outcome", "StaysSilent", "StubbedTask", "module_contract"]
