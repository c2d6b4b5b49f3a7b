"""A policy in plain English, sentence by sentence; `interlock.policy.explain` puts the sections together."""
