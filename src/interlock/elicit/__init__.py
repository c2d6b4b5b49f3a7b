"""Trying hard: fine-tuning that brings out what a model can do."""
