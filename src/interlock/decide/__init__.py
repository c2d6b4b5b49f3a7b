"""The rule: facts and a policy in, a decision out. Pure: no files, no clock, no randomness, no floats."""
