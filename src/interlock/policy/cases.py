"""Tests of a policy: facts that might be, and what the policy must say about them.

    policy = draft(Path("policy.yaml"))
    cases = load(Path("policy.cases.yaml"), policy)
    outcomes = [run(case, [version(policy)]) for case in cases]
    coverage(policy, outcomes)

A case file is read like a policy: all its problems at once, each with file, line and column (docs/policy-tests.md tells
the format). Running a case asks the same `decide` as a gate does, with facts that nobody signed; nothing that comes of
it opens a gate.
"""

from interlock.policy._cases.coverage import coverage
from interlock.policy._cases.file import load
from interlock.policy._cases.run import lines, reasons, run, version
from interlock.policy._cases.values import Case, Coverage, Expected, Failure, Outcome
from interlock.policy.draft import draft

__all__ = [
    "Case",
    "Coverage",
    "Expected",
    "Failure",
    "Outcome",
    "coverage",
    "draft",
    "lines",
    "load",
    "reasons",
    "run",
    "version",
]
