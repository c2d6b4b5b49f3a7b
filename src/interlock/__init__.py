"""Evaluation-gated scaling: a model scales, deploys or ships only while verified evidence allows it."""
