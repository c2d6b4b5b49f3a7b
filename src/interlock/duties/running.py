"""Duties that run: what started each, by when it must be done, and whether it was (docs/semantics.md, rules 47 to 50).

Guarantees: a function of what the ledger says and of a time, with no clock and no files. A deadline is kept or missed
by ledger time: by when a statement that a duty was done stood in the ledger, whatever date it gives. A statement that
does not count is told with the reason, and changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.duties.account import Account, Done, Ignored, Running
from interlock.duties.starts import from_decisions, from_facts, from_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interlock.decide.facts import Facts, Version
    from interlock.duties.account import Decided, State


def running(
    versions: Sequence[Version], facts: Facts, decisions: Sequence[Decided], done: Sequence[Done], *, at: datetime
) -> Account:
    """Every duty that has started, as it stands at a time, by what the ledger says.

    `versions` are those of one policy, in their order; decisions and statements stand in the order of their entries.
    """
    starts = [*from_versions(versions), *from_facts(versions, facts), *from_decisions(versions, decisions)]
    starts.sort(key=lambda it: it.cause.entry)
    found = {item.digest: item for start in starts for item in start.items(at)}
    words, ignored = _words(found, done)
    lapses = {it.of: it.entry for it in facts.lapses}
    told = (_stands(item, words.get(item.digest), lapses.get(item.digest), at) for item in found.values())
    return Account(tuple(told), tuple(ignored))


def _stands(item: Running, answer: Done | None, lapse: int | None, at: datetime) -> Running:
    """A duty with its state."""
    late = item.due is not None and (answer.at if answer else at) > item.due
    if answer is not None:
        state: State = "done late" if late else "done"
    elif item.lifted is not None and (item.due is None or item.lifted <= item.due):
        state = "lifted"
    else:
        state = "overdue" if late else "open"
    return replace(item, state=state, answer=answer, lapse=lapse)


# -- who says that it was done -----------------------------------------------------------------------------------------


def _words(found: Mapping[str, Running], done: Sequence[Done]) -> tuple[dict[str, Done], list[Ignored]]:
    """The first statement that counts, for each duty; and those that do not count."""
    counted, ignored = dict[str, Done](), list[Ignored]()
    for word in done:
        why = _against(found.get(word.of), word)
        if why:
            ignored.append(Ignored(word.entry, word.duty, why))
        else:
            counted.setdefault(word.of, word)
    return counted, ignored


def _against(item: Running | None, word: Done) -> str:
    """Why a statement does not show that a duty was done; nothing, if it does."""
    if item is None or word.entry <= item.cause.entry:
        return f"no duty {word.of[:12]} had started"
    if (word.duty, word.about) != (item.duty, item.subject):
        return f"it is about `{word.duty}` of another, expected `{item.duty}` of what that is about"
    if item.by and not any(role in word.signers and named <= word.at for role, named in item.by.items()):
        expected = " or ".join(f"`{role}`" for role in item.by)
        return f"signed by {', '.join(sorted(word.signers))}, expected {expected}"
    if word.done < item.opens:
        return f"done {timestamp(word.done)}, before it could be: from {timestamp(item.opens)} on"
    return ""
