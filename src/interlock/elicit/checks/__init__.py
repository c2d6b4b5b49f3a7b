"""Checks for sandbagging: does a model hold back what it can do? `every.CHECKS` has them by name."""
