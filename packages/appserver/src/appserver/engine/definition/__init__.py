"""Definitions of workflows: their form, their problems, and the filling of their references."""
