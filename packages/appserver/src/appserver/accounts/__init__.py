"""Accounts: users and how somebody becomes one."""
