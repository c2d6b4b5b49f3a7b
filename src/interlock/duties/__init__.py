"""What must be done by a time: which duties run, how a developer carries them out, and what is said of those that were
not. `running` is pure; everything else needs a workspace.
"""
