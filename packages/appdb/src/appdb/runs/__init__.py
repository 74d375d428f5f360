"""Runs of workflows: their log, their branches and the state that follows from them."""
