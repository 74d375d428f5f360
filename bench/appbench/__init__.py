"""Measures of the queue and the worker against bare driver calls."""
