"""The name by which the released migration 2 reaches ``fill_claim_keys``; nothing else imports this module.

Released migrations are checksummed and never change, so what they import must stay where it was.
"""

from __future__ import annotations

from appdb._queries.task_claims import fill_claim_keys as adopt

__all__ = ["adopt"]
