"""The error families of Interlock, and the exit code that each one ends in.

    InterlockError
    ├── UsageError      2  the command was called wrongly, or a thing it names is not there
    ├── PolicyError     2  the policy's author made a mistake; lists every problem found
    ├── EvidenceError   4  evidence is untrusted, altered or incomplete
    └── LedgerError     4  the ledger's integrity is broken, or it cannot be written

A hold is a result, not an error: `interlock decide` exits with 3 and raises nothing.
The one exception is a gate inside somebody else's loop, which has no other way to stop it: `gate.Held`.
"""

from __future__ import annotations

OK, INTERNAL, USAGE, HOLD, INVALID, FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class InterlockError(Exception):
    """Base of all errors that Interlock raises on purpose. `exit_code` is the process exit code."""

    exit_code = INTERNAL


class UsageError(InterlockError):
    """The caller named something that does not exist, or asked for something that cannot be done."""

    exit_code = USAGE


class PolicyError(InterlockError):
    """A policy cannot be loaded. `problems` has one `file:line:column: message` line for each mistake."""

    exit_code = USAGE

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class EvidenceError(InterlockError):
    """Evidence is malformed, wrongly signed, altered, or does not belong where it stands."""

    exit_code = INVALID


class LedgerError(InterlockError):
    """The ledger does not verify, or an append did not become durable."""

    exit_code = INVALID


def missing_extra(extra: str, package: str) -> UsageError:
    """The one sentence shown when an optional dependency is absent."""
    return UsageError(f"`{package}` is not installed; install it with: pip install 'interlock[{extra}]'")
