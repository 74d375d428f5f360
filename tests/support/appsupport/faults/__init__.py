"""Fault tests: workers to kill, the ledger of what was acknowledged, and its checks."""
