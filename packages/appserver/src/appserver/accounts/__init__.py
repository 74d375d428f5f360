"""Accounts: users, and how they are made."""
