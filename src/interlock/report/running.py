"""Duties that run, in a line for people, and as plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interlock.decide.facts import Subject
    from interlock.duties.account import Running


def line(it: Running, subjects: Mapping[str, Subject]) -> str:
    """A duty in a line: its id, how it stands, by when, what, and what started it."""
    return f"{it.digest[:12]}  {it.state:<9}  {due(it):<20}  {it.what} ({'; '.join(notes(it, subjects))})"


def due(it: Running) -> str:
    """By when it is due."""
    return timestamp(it.due) if it.due else "no deadline"


def notes(it: Running, subjects: Mapping[str, Subject]) -> Iterator[str]:
    """What is to be said of it beside what it is and how it stands."""
    subject = subjects.get(it.subject or "")
    who = f", by {' or '.join(it.by)}" if it.by else ""
    yield f"`{it.duty}` for {it.about}" + (f" of `{subject.name}`" if subject else "") + who
    yield f"{it.cause.text}, entry {it.cause.entry}"
    if it.opens > it.since:
        yield f"from {timestamp(it.opens)}"
    if not it.binding:
        yield f"{it.modality}: not binding"
    if it.answer is not None:
        yield f"done in entry {it.answer.entry}, {timestamp(it.answer.at)}"
    if it.lapse is not None:
        yield f"not in time: entry {it.lapse}"
    elif it.lapsed:
        yield "not on record: interlock duties run"


def to_json(it: Running, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    """A duty and how it stands."""
    subject, answer = subjects.get(it.subject or ""), it.answer
    return {
        "id": it.digest,
        "duty": it.duty,
        "what": it.what,
        "about": it.about,
        "to": list(it.to),
        "subject": subject.name if subject else None,
        "deployment": it.deployment,
        "by": [*it.by],
        "notify": list(it.notify),
        "binding": it.binding,
        "started_by": {"entry": it.cause.entry, "what": it.cause.text},
        "since": timestamp(it.since),
        "from": timestamp(it.opens),
        "due": timestamp(it.due) if it.due else None,
        "state": it.state,
        "lifted": timestamp(it.lifted) if it.lifted else None,
        "done": None
        if answer is None
        else {
            "entry": answer.entry,
            "at": timestamp(answer.at),
            "done": timestamp(answer.done),
            "signers": sorted(answer.signers),
            "document": answer.document,
        },
        "recorded_overdue": it.lapse,
    }
