"""From logs to result statements: `look` says what would be recorded, `record` signs and appends it.

Guarantees: what is signed is what was looked at, or nothing; the logs' bytes lie in the workspace before the statement
that names them stands in the ledger; a log of which the ledger says the same already is not recorded again; one whose
run is there with other bytes names that earlier item, which goes on counting.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.due import runner
from interlock.evaluate.importing import harness, location
from interlock.evaluate.importing.found import Found, MeasureOf, count
from interlock.evidence.imported import ImportedPredicate
from interlock.evidence.predicates import UNKNOWN, statement
from interlock.policy.model import Measure
from interlock.workspace import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from interlock.decide.facts import Subject
    from interlock.evidence.predicates import ResultPredicate
    from interlock.evidence.read import Evidence
    from interlock.policy.model import Policy
    from interlock.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: the subject that the logs are said to be of, and, where a log leaves a choice, the choice."""

    subject: Subject
    measure: str | None = None
    scorer: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One task of the log at `place`, and the `predicate` that would be recorded. `doubts`: what it leaves open.

    `entry` is where the ledger has it already, if it does.
    """

    place: str
    found: Found
    measure: Measure
    predicate: ImportedPredicate
    doubts: tuple[str, ...]
    entry: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one log holds: items, and tasks that no measure of the policy is of."""

    items: tuple[Item, ...]
    others: tuple[str, ...]


def look(evidence: Evidence, log: str, wanted: Wanted) -> Look:
    """Read the log at a path or URL, hold it against itself, and say what would be recorded.

    Raises:
        UsageError: it is not there, is of nothing that the policy measures, or leaves a choice open.
        EvidenceError: it is damaged, contradicts itself, or names another subject.
    """
    if wanted.subject.digest not in evidence.manifests:
        raise UsageError(f"`{wanted.subject.name}` is a run from scratch that has no weights yet: no log can be of it")
    found, others = _read(log, _measure_of(evidence.policy, wanted.measure), wanted.scorer)
    if not found:
        measured = ", ".join(f"`{task}`" for task in _tasks(evidence.policy)) or "nothing"
        raise UsageError(
            f"log `{log}` is of {', '.join(f'`{it}`' for it in others) or 'nothing'}; the policy measures {measured}"
        )
    return Look(tuple(_item(evidence, log, it, wanted) for it in found), tuple(others))


def record(workspace: Workspace, item: Item, wanted: Wanted) -> tuple[Item, str | None]:
    """Keep the item's logs in the workspace, sign what they say, and append it.

    Returns the item as the ledger now makes it, and the statement's digest; None: it stood there already.

    Raises:
        UsageError: the role's key is not here, or the log is gone.
        EvidenceError: the log changed since it was looked at, or the ledger would refuse the statement.
        LedgerError: it did not become durable.
    """
    evidence, subject = workspace.read(), wanted.subject
    item = _as_of(evidence, item, subject)  # the log that this one edits may just have been recorded
    if item.entry is not None:
        return item, None
    signing = workspace.signing(evidence, wanted.role or runner(evidence.policy, item.measure.name))
    made = statement("result", name=subject.name, digest=subject.digest, predicate=item.predicate.to_json())
    sources = (item.place, *(location.beside(item.place, name) for name, _ in item.found.files[1:]))
    for source, (name, digest) in zip(sources, item.predicate.files, strict=True):
        _keep(workspace.folder / name, source, digest)
    # crash point: logs that nothing names yet; the same command again finds them equal and goes on
    return item, workspace.append(made, signing)


def _keep(path: Path, source: str, digest: str) -> None:
    content = location.fetch(source)
    if hashlib.sha256(content).hexdigest() != digest:
        raise EvidenceError(f"log `{source}` changed while it was imported")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def _read(log: str, measure_of: MeasureOf, scorer: str | None) -> tuple[list[Found], list[str]]:
    """What a log says, told apart by its first bytes."""
    content, name = location.fetch(log), location.name(log)
    if not content.startswith(b"{"):
        if not content.startswith(b"PK") and not name.endswith(".eval"):
            raise EvidenceError(f"log `{log}` is neither an Inspect log nor results of lm-evaluation-harness")
        return _inspect(content, name, "eval", measure_of, scorer)
    document = harness.parse(content, f"log `{log}`")
    if isinstance(document, dict) and harness.is_results(document):
        return harness.read(
            document,
            content,
            name,
            beside=lambda other: location.fetch(location.beside(log, other)),
            measure_of=measure_of,
            scorer=scorer,
        )
    return _inspect(content, name, "json", measure_of, scorer)


def _inspect(
    content: bytes, name: str, form: Literal["eval", "json"], measure_of: MeasureOf, scorer: str | None
) -> tuple[list[Found], list[str]]:
    from interlock.evaluate.importing import inspect_log

    read = inspect_log.read(content, name, form=form, measure_of=measure_of, scorer=scorer)
    return ([read], []) if isinstance(read, Found) else ([], list(read[:1]))


# -- which measure ----------------------------------------------------------------------------------------------------


def _tasks(policy: Policy) -> dict[str, list[Measure]]:
    """The tasks that can be imported, each with its measures."""
    found: dict[str, list[Measure]] = {}
    for measure in policy.measures.values():
        if isinstance(measure, Measure):
            found.setdefault(measure.task, []).append(measure)
    return found


def _measure_of(policy: Policy, asked: str | None) -> MeasureOf:
    tasks = _tasks(policy)
    if asked is not None and asked not in {it.name for measures in tasks.values() for it in measures}:
        raise UsageError(f"the policy has no measure `{asked}` of a task; it measures {', '.join(tasks) or 'nothing'}")

    def measure_of(names: tuple[str, ...]) -> Measure | None:
        measures = [it for name in names for it in tasks.get(name, ()) if asked in {None, it.name}]
        if len(measures) > 1:
            several = ", ".join(f"`{it.name}`" for it in measures)
            raise UsageError(f"`{names[0]}` is what {several} measure; choose with --measure")
        if measures and measures[0].on == "deployment":
            raise UsageError(
                f"`{measures[0].name}` is measured on a deployment, which no log names; "
                "this version imports logs of models"
            )
        return measures[0] if measures else None

    return measure_of


# -- what is recorded -------------------------------------------------------------------------------------------------


def _item(evidence: Evidence, log: str, found: Found, wanted: Wanted) -> Item:
    measure = _measure_of(evidence.policy, wanted.measure)(found.names)
    assert measure is not None  # noqa: S101  the log was read for it
    _refuse_another_subject(log, found, wanted.subject)
    try:
        counts = count(found, measure)
    except EvidenceError as error:
        raise EvidenceError(f"log `{log}`: {error}") from None
    folder = f"logs/imported/{found.files[0][1][:16]}"
    predicate = ImportedPredicate(
        kind=found.kind,
        run=found.run,
        status=found.status,
        edit_of=None,
        updates=found.updates,
        edited=found.edited,
        task=measure.task,
        version=found.version,
        metric=found.metric,
        scorer=found.scorer,
        samples=found.samples,
        files=tuple((f"{folder}/{location.name(name)}", digest) for name, digest in found.files),
        outcomes=found.outcomes,
        counts=counts,
        model=found.model,
        model_args=found.model_args,
        adapter=found.adapter,
        template=found.template,
        environment=found.packages,
    )
    doubts = tuple(_doubts(evidence, found, measure, wanted.subject))
    spare = replace(found, answers=())  # they are counted and hashed; several logs need not fit into memory at once
    return _as_of(evidence, Item(log, spare, measure, predicate, doubts, None), wanted.subject)


def _as_of(evidence: Evidence, item: Item, subject: Subject) -> Item:
    """The item as it would be recorded after what the ledger holds."""
    earlier = _earlier(evidence, item.found, item.measure, subject)
    entry = _standing(evidence, item.predicate, subject)
    return replace(item, predicate=replace(item.predicate, edit_of=earlier), entry=entry)


def _refuse_another_subject(log: str, found: Found, subject: Subject) -> None:
    """A run of `interlock evaluate` names the subject that it hashed."""
    said = found.model_args.get("subject")
    if said is not None and len(said) == len(subject.digest) and said != subject.digest:
        raise EvidenceError(f"log `{log}` names subject {said[:12]}, expected {subject.digest[:12]} (`{subject.name}`)")


def _standing(evidence: Evidence, made: ImportedPredicate, subject: Subject) -> int | None:
    """The entry that already says of these bytes what is to be recorded of them."""
    on_subject = {result.entry for result in evidence.facts.results if result.subject == subject.digest}
    return next((entry for entry in on_subject if _says(evidence.results[entry], made)), None)


def _says(known: ResultPredicate | ImportedPredicate, made: ImportedPredicate) -> bool:
    """Whether a statement on the same bytes counts to the same. Who names a log says nothing of what is in it: another
    filter of the same run may have other scores, and a bad log may be named with good ones.
    """
    counts = made.counts
    if {digest for _, digest in known.files} != {digest for _, digest in made.files}:
        return False
    if isinstance(known, ImportedPredicate):
        same = (known.protocol, known.scorer, known.outcomes) == (made.protocol, made.scorer, made.outcomes)
        return same and known.counts == counts
    same = (known.protocol.task, known.protocol.metric) == (made.task, made.metric)
    said = (known.protocol.samples, known.scored, Fraction(known.correct))
    return same and said == (counts.planned, counts.scored, counts.total or Fraction(counts.correct))


def _earlier(evidence: Evidence, found: Found, measure: Measure, subject: Subject) -> str | None:
    """The latest statement on the same run with other bytes: the log that this one is an edit of."""
    digests = {record.entry: record.digest for record in evidence.records}
    earlier = None
    for result in evidence.facts.results:
        known = evidence.results[result.entry]
        if isinstance(known, ImportedPredicate):
            same = found.run != UNKNOWN and (known.kind, known.run, known.task) == (found.kind, found.run, measure.task)
        else:
            same = known.plan == found.model_args.get("plan")
        if same and result.subject == subject.digest and found.files[0][1] not in {it for _, it in known.files}:
            earlier = digests[result.entry]
    return earlier


def _doubts(evidence: Evidence, found: Found, measure: Measure, subject: Subject) -> list[str]:
    """What the log leaves open, for people. None of it would matter less if it were said: no log is believed."""
    has_adapter = any(name.startswith("adapter/") for name, _ in evidence.manifests[subject.digest].files)
    checks: Mapping[str, bool] = {
        "it does not say which weights answered": "weights" not in found.model_args,
        f"it names no adapter, and `{subject.name}` has one": has_adapter and found.adapter == UNKNOWN,
        f"it names the adapter `{found.adapter}`, and `{subject.name}` has none": not has_adapter
        and found.adapter != UNKNOWN,
        f"it ran version {found.version}, the policy measures version {measure.task_version}": found.version
        != str(measure.task_version),
        f"it ended with status `{found.status}`": found.status not in {"success", UNKNOWN},
        f"it was changed after the run ({found.updates or 0} updates, {found.edited or 0} edited scores)": bool(
            found.updates or found.edited
        ),
        f"not held against its samples: {', '.join(found.unchecked)}": bool(found.unchecked),
    }
    return [text for text, holds in checks.items() if holds]
