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

from collections.abc import Iterable
from dataclasses import dataclass

from interlock.printable import printable

OK, INTERNAL, USAGE, HOLD, INVALID, FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


#: Mistakes that are printed at the most.
SHOWN = 100


class InterlockError(Exception):
    """Base of all errors that Interlock raises on purpose. `exit_code` is the process exit code.

    Each argument is one line of its text. What others wrote may stand in it: what is not printable is escaped.
    """

    exit_code = INTERNAL

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of its text, to be printed."""
        return tuple(printable(str(line)) for line in self.args)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class UsageError(InterlockError):
    """The caller named something that does not exist, or asked for something that cannot be done."""

    exit_code = USAGE


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """What is wrong at one place of a file; line and column are counted from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PolicyError(InterlockError):
    """A policy, or its cases, cannot be read. `mistakes` has all that is wrong; the error's text the first 100."""

    exit_code = USAGE

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        shown, more = self.problems[:SHOWN], len(self.mistakes) - SHOWN
        super().__init__(*shown, *([f"and {more} more, not shown"] if more > 0 else []))

    @property
    def problems(self) -> list[str]:
        """One `file:line:column: message` line for each mistake."""
        return [str(mistake) for mistake in self.mistakes]


class EvidenceError(InterlockError):
    """Evidence is malformed, wrongly signed, altered, or does not belong where it stands."""

    exit_code = INVALID


class LedgerError(InterlockError):
    """The ledger does not verify, or an append did not become durable."""

    exit_code = INVALID


def missing_extra(extra: str, package: str) -> UsageError:
    """The one sentence shown when an optional dependency is absent."""
    return UsageError(f"`{package}` is not installed; install it with: pip install 'interlock[{extra}]'")
