"""The module keeps the contract of modules, and splits scripts."""

from __future__ import annotations

from appserver_module_example.split_script import SplitScript

from appserver.modules.contract import Done
from appserver.testing import module_contract


def test_module_keeps_contract() -> None:
    effects = module_contract(SplitScript(), inputs=[{"script": ""}, {"script": "a\n\n" * 300}])

    assert isinstance(effects[-1], Done)
    assert [scene["text"] for scene in effects[-1].outputs["scenes"]] == [
        "Twice a day the sea goes out.",
        "Under a stone a crab waits.",
    ]
