"""An auditor asks again: some samples of a recorded result, drawn by the ledger, against the subject's own weights.

Guarantees: the log that is compared with is the one that the result names, byte for byte, with the outcomes that it
binds; the subject's files are hashed before they are used, and were touched by nobody until it had answered; task,
elicitation and seed are the result's; nothing that lay on the disk before is taken for an answer. Of a run that stopped
early the samples before the stop are compared with the order that the plan committed to, and the looks with the
answers.
What it leaves to the caller: signing the report, and the machine. Another kind of CPU may answer otherwise where the
model is undecided (see `local`), which is why the report says how the two environments differ.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import execute, sampling
from interlock.evidence.predicates import ResultPredicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interlock.decide.facts import Checkpoint, Result
    from interlock.evaluate.execute import Progress
    from interlock.evaluate.logs import Answer
    from interlock.evidence.read import Evidence
    from interlock.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Difference:
    """A sample run that was answered or scored otherwise than its log says."""

    sample: str
    epoch: int
    recorded: Answer
    seen: Answer


@dataclass(frozen=True, slots=True)
class Order:
    """The order that a plan committed to by its `seed`, and the samples of a run that stopped after `stopped_at` which
    are not among its first ones: each stands in for one that was left out.
    """

    seed: int
    stopped_at: int
    out_of_turn: frozenset[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What asking again gave. `environment` has what differs between the recorded run and this one; `order` is there
    for a run that was allowed to stop early.
    """

    result: str
    entry: int
    subject: str
    checkpoint: Checkpoint
    total: int
    drawn: tuple[str, ...]
    differences: tuple[Difference, ...]
    environment: Mapping[str, tuple[str | None, str | None]]
    log_sha256: str
    chosen_by: frozenset[str]
    order: Order | None = None

    @property
    def passed(self) -> bool:
        """Whether every sample that was asked again agrees, and those of a run that stopped early are the first."""
        return not self.disagreeing

    @property
    def checked(self) -> frozenset[str]:
        """The samples that were asked again, and those that are not where the plan's order puts them."""
        return frozenset(self.drawn) | (self.order.out_of_turn if self.order else frozenset())

    @property
    def disagreeing(self) -> frozenset[str]:
        """Those of them that were answered or scored otherwise, or asked out of turn."""
        return frozenset(it.sample for it in self.differences) | (self.order.out_of_turn if self.order else frozenset())

    @property
    def agreed(self) -> int:
        """How many of the drawn samples were answered and scored alike."""
        return len(self.drawn) - len(self.differences)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        found = sampling.interval(len(self.differences), drawn=len(self.drawn), total=self.total)
        return {
            "result": self.result,
            "entry": self.entry,
            "subject": self.subject,
            "checkpoint": {
                "size": self.checkpoint.size,
                "root": self.checkpoint.root,
                "time": timestamp(self.checkpoint.time),
            },
            "samples": {"total": self.total, "drawn": list(self.drawn)},
            "agreed": self.agreed,
            "disagreed": [_to_json(one) for one in self.differences],
            "disagreeing": {
                "rate": f"{len(self.differences)}/{len(self.drawn)}",
                "of_all": {"least": found.least, "most": found.most, "of": self.total},
                "confidence": str(found.confidence),
                "method": sampling.METHOD,
            },
            "environment": {name: list(both) for name, both in self.environment.items()},
            "log_sha256": self.log_sha256,
            **({"order": _order_to_json(self.order)} if self.order else {}),
            "last_entry_shares_signers_with_result": sorted(self.chosen_by),
        }


def find(evidence: Evidence, wanted: str | None) -> Result:
    """The result with this entry number or digest (or its first eight or more digits); the latest one for None.

    Raises:
        UsageError: there is no such result, or several.
    """
    results = evidence.facts.results
    if wanted is None:
        found = results[-1:]
    elif wanted.isascii() and wanted.isdecimal() and len(wanted) < 8:
        found = tuple(it for it in results if it.entry == int(wanted))
    else:
        found = tuple(it for it in results if len(wanted) >= 8 and it.digest.startswith(wanted))
    if len(found) == 1:
        return found[0]
    known = ", ".join(str(it.entry) for it in results[-8:]) or "none yet"
    raise UsageError(f"no single result `{(wanted or 'latest')[:80]}` in the ledger; the last ones are entries {known}")


def rerun(
    workspace: Workspace, evidence: Evidence, result: Result, *, count: int, keep: Path, progress: Progress
) -> Report:
    """Ask `count` samples of a result again, and compare. The log of the new run becomes the file `keep`.

    Raises:
        UsageError: it cannot be run again here, or has fewer samples.
        EvidenceError: the recorded log, or the subject's files, are not the recorded ones, or the run failed.
    """
    from interlock.evaluate import inspect_run, local, logs

    said = evidence.results[result.entry]
    if not isinstance(said, ResultPredicate):
        raise UsageError(f"the result of ledger entry {result.entry} was imported: what its log ran is not known here")
    recorded, order = _recorded(workspace, evidence, result, said)
    checkpoint = evidence.facts.checkpoint
    root, digest = bytes.fromhex(checkpoint.root), bytes.fromhex(result.digest)
    drawn = sampling.draw(sorted({sample for sample, _ in recorded}), count, root=root, result=digest)
    subject = evidence.facts.subjects[result.subject]
    ready = execute.prepare(workspace, evidence, subject, result.protocol, work=None, progress=progress)
    if ready.flop < result.flop:
        raise EvidenceError(
            f"the result of ledger entry {result.entry} says that its elicitation spent {result.flop} FLOP, and the "
            f"same again spent {ready.flop}"
        )
    chosen = set(drawn)
    ready.task.dataset = ready.task.dataset.filter(lambda sample: str(sample.id) in chosen)
    arguments = {"subject": subject.digest, "audit": result.digest, "weights": local.fingerprint(ready.model)}
    with tempfile.TemporaryDirectory() as fresh:  # where nobody can have put a finished log
        log = inspect_run.run(
            ready.task,
            local=ready.model,
            model_name=subject.name,
            model_args=arguments,
            log_dir=Path(fresh),
            progress=lambda done, total: progress("asking again", done, total),
        )
        ready.still.check()
        facts, seen = logs.read_answers(log)
        keep.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, keep)
    asked = sorted(run for run in recorded if run[0] in chosen)
    if asked != sorted(seen):
        raise EvidenceError(f"asked {len(seen)} sample runs again, expected {len(asked)}")
    now = execute.environment(facts, ready.model)
    names = sorted(name for name in said.environment.keys() | now.keys() if said.environment.get(name) != now.get(name))
    return Report(
        result=result.digest,
        entry=result.entry,
        subject=subject.digest,
        checkpoint=checkpoint,
        total=len({sample for sample, _ in recorded}),
        drawn=drawn,
        differences=_differences(asked, recorded, seen),
        environment={name: (said.environment.get(name), now.get(name)) for name in names},
        log_sha256=hashlib.sha256(keep.read_bytes()).hexdigest(),
        chosen_by=evidence.records[-1].signers & result.signers,
        order=order,
    )


def _recorded(
    workspace: Workspace, evidence: Evidence, result: Result, said: ResultPredicate
) -> tuple[dict[tuple[str, int], Answer], Order | None]:
    """The answers in the log that a result binds, and whether they are the first ones of an order."""
    from interlock.evaluate import logs, stopping

    path = workspace.check_log(result.entry, said.log_name, said.log)
    facts, answers = logs.read_answers(path)
    counted = ("completed", "scored", "correct", "refused_scores", "refused_at_most", "errored", "limited")
    got = (facts.sha256, facts.outcomes_digest, *(getattr(facts, name) for name in counted))
    bound = (said.log, said.outcomes, *(getattr(said, name) for name in counted))
    task, measure = execute.planned(evidence.policy, said.protocol)
    ids = {sample for sample, _ in answers}
    known = ids <= {str(sample.id) for sample in task.dataset}
    asked = logs.samples_digest(stopping.first(task, sorted(ids)))[0] if known else ""
    size = said.protocol.samples if said.stopped is None else said.stopped.at
    if got != bound or facts.samples_digest != asked or facts.planned != size:
        raise EvidenceError(f"`{said.log_name}` is not what the result of ledger entry {result.entry} says of it")
    if said.stopped is None or said.protocol.order_seed is None:
        return answers, None
    first = stopping.ordered(task, said.protocol.order_seed)[: said.stopped.at]
    order = Order(said.protocol.order_seed, said.stopped.at, frozenset(ids - set(first)))
    if not order.out_of_turn:
        seen = stopping.seen(stopping.outcomes(first, answers, measure), [n for n, _ in said.stopped.looks])
        if seen != said.stopped.looks:
            raise EvidenceError(
                f"the looks that the result of ledger entry {result.entry} tells of are not those of `{said.log_name}`"
            )
    return answers, order


def _differences(
    asked: list[tuple[str, int]],
    recorded: Mapping[tuple[str, int], Answer],
    seen: Mapping[tuple[str, int], Answer],
) -> tuple[Difference, ...]:
    """One a sample: the first of its runs that differs."""
    found: dict[str, Difference] = {}
    for run in asked:
        if recorded[run] != seen[run]:
            found.setdefault(run[0], Difference(*run, recorded[run], seen[run]))
    return tuple(found.values())


def _order_to_json(order: Order) -> dict[str, Any]:
    return {"seed": order.seed, "stopped_at": order.stopped_at, "out_of_turn": sorted(order.out_of_turn)}


def _to_json(one: Difference) -> dict[str, Any]:
    return {
        "sample": one.sample,
        "epoch": one.epoch,
        "recorded": {"answer": one.recorded.text, "correct": one.recorded.correct},
        "seen": {"answer": one.seen.text, "correct": one.seen.correct},
    }
