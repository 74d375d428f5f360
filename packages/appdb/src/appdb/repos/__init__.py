"""Repositories: typed models in, typed models out, each lookup together with its owner."""
