"""Compute: FLOP of training by formula and by torch's counter, and effective compute with its interval."""
