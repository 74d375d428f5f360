"""The page of modules tells what the classes say, and its own module keeps the contract."""

from __future__ import annotations

import re
from typing import Any

from appserver.testing import module_contract
from appsupport.documents.modules_page import MEND, PAGE, with_modules

PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_page_shows_every_module() -> None:
    page = PAGE.read_text("utf-8")

    assert with_modules(page) == page, f"docs/modules.md is behind the classes; run {MEND}"


def test_module_on_page_keeps_contract() -> None:
    code, test = PYTHON.findall(PAGE.read_text("utf-8"))[:2]
    names: dict[str, Any] = {"__name__": "acme_modules"}
    exec(code, names)  # noqa: S102
    exec(test, names)  # noqa: S102
    names["test_contract"]()

    assert module_contract(names["CountWords"](), inputs=[{"text": ""}])
