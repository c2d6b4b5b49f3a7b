"""Finding out: which evaluations are due, running them through Inspect, and reading what they gave.

`codebook` and `past_tense` are what tasks ask, `tasks` the same as Inspect tasks, `local` answers with weights on this
machine, `provider` shows that to Inspect, `inspect_run` runs a planned task, `logs` turns a log into facts that can be
signed. Nothing is imported here: torch, transformers and Inspect load only where they are used.
"""
