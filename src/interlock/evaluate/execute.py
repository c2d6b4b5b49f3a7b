"""From a plan to a result: announce an evaluation in the ledger, run it, and append what it gave.

Guarantees: the plan stands in the ledger before anything runs; the subject's files are hashed before its weights are
used; the samples that the log holds are the ones the plan announced; counts come from the log's samples. A killed run
is taken up by running the same plan again: finished samples are read from its log folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from interlock.decide.decision import timestamp
from interlock.decide.facts import UNKNOWN, Protocol
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import codebook
from interlock.evaluate.due import SHOTS, runner
from interlock.evidence.predicates import ResultPredicate, protocol_to_json, statement
from interlock.policy.model import Measure
from interlock.subject import manifest
from interlock.workspace import Workspace, now

if TYPE_CHECKING:
    from pathlib import Path

    from inspect_ai import Task

    from interlock.decide.facts import Plan, Subject
    from interlock.evaluate.local import LocalModel
    from interlock.evaluate.logs import LogFacts
    from interlock.evidence.read import Evidence
    from interlock.policy.model import Elicitation, Policy
    from interlock.workspace import Place


class Progress(Interface):
    """Where a long run says how far it is: a word for the stage, steps done, steps in all, and a note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """One step further."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `run` did for one plan."""

    plan: Plan
    result: ResultPredicate


@dataclass(frozen=True, slots=True)
class Ready:
    """A task and the elicited model to ask; `flop` is what the elicitation spent."""

    measure: Measure
    task: Task
    model: LocalModel
    flop: int


def announce(
    workspace: Workspace, *, subject: str, measure: str, elicitation: Elicitation, demonstrations: int, seed: int
) -> str:
    """Append the plan of one evaluation, signed by the role that must run it. Returns the plan's digest.

    `demonstrations` are trained on; under `few-shot` they are shown, and are never fewer than usual.

    Raises:
        UsageError: the subject has no weights yet, the policy has no such measure, or this version cannot run it as
            the policy asks.
        LedgerError: it did not become durable.
    """
    evidence = workspace.read()
    model, policy = evidence.subject(subject), evidence.policy
    if model.digest not in evidence.manifests:
        raise UsageError(
            f"`{model.name}` is a run from scratch that has no weights yet: nothing can be evaluated on it"
        )
    protocol = draft(policy, measure=measure, elicitation=elicitation, demonstrations=demonstrations, seed=seed)
    predicate = {
        "protocol": protocol_to_json(protocol),
        "report_by": timestamp(policy.report_within.after(now())),
    }
    made = statement("plan", name=model.name, digest=model.digest, predicate=predicate)
    return workspace.append(made, workspace.signing(evidence, runner(policy, measure)))


def draft(policy: Policy, *, measure: str, elicitation: Elicitation, demonstrations: int, seed: int) -> Protocol:
    """The protocol that `announce` would write of one evaluation; nothing is written.

    Raises:
        UsageError: the policy has no such measure, or this version cannot run it as the policy asks.
    """
    from interlock.evaluate import logs

    asked = _plain(policy, measure)
    shots = max(SHOTS, demonstrations) if elicitation == "few-shot" else 0
    digest, count = logs.samples_digest(_task(asked, shots=shots, seed=seed))
    return Protocol(
        task=asked.task,
        task_version=asked.task_version,
        metric=asked.metric,
        samples=count,
        samples_digest=digest,
        elicitation=elicitation,
        shots=shots,
        demonstrations=0 if elicitation == "few-shot" else demonstrations,
        seed=seed,
        recipe=_recipe(elicitation),
    )


def run(workspace: Workspace, plan: Plan, *, progress: Progress) -> Outcome:
    """Run one open plan on this machine and append its result.

    Raises:
        UsageError: the subject's files are not on this machine, or the elicitation cannot be run by this version.
        EvidenceError: the files are not those of the subject, or the run gave nothing that can be relied on.
    """
    from interlock.evaluate import inspect_run, local, logs

    evidence = workspace.read()
    subject, protocol = evidence.facts.subjects[plan.subject], plan.protocol
    ready = prepare(workspace, evidence, subject, protocol, progress=progress)
    log = inspect_run.run(
        ready.task,
        local=ready.model,
        model_name=subject.name,
        # The weights as they are after elicitation: a resumed run must not mix answers of two models in one log.
        model_args={"subject": subject.digest, "plan": plan.digest, "weights": local.fingerprint(ready.model)},
        log_dir=log_folder(workspace, plan.digest),
        progress=lambda done, total: progress("answering", done, total),
    )
    found = logs.read(log)
    result = ResultPredicate(
        plan=plan.digest,
        protocol=protocol,
        log=found.sha256,
        log_name=log.relative_to(workspace.folder).as_posix(),
        outcomes=found.outcomes_digest,
        completed=found.completed,
        scored=found.scored,
        correct=found.correct,
        refused_scores=found.refused_scores,
        refused_at_most=found.refused_at_most,
        errored=found.errored,
        limited=found.limited,
        tokens=found.total_tokens,
        flop=ready.flop,
        environment=environment(found, ready.model),
    )
    made = statement("result", name=subject.name, digest=subject.digest, predicate=result.to_json())
    workspace.append(made, workspace.signing(evidence, runner(evidence.policy, ready.measure.name)))
    return Outcome(plan, result)


def prepare(
    workspace: Workspace, evidence: Evidence, subject: Subject, protocol: Protocol, *, progress: Progress
) -> Ready:
    """Make everything ready for a run: the files hashed, the samples checked, the model loaded, and elicited.

    Raises:
        UsageError: the subject's files are not on this machine, or this version cannot run the protocol.
        EvidenceError: the files are not those of the subject, or the task asks other samples.
    """
    from interlock.evaluate import local, logs

    place = _place(workspace, evidence, subject, progress)
    measure = _measured(evidence.policy, protocol)
    task = _task(measure, shots=protocol.shots, seed=protocol.seed)
    planned = logs.samples_digest(task)
    if planned != (protocol.samples_digest, protocol.samples):
        raise EvidenceError(
            f"the task's samples are {planned[0][:12]}, the plan announced {protocol.samples_digest[:12]}"
        )
    if protocol.stopping != "fixed":
        raise UsageError(f"this version cannot run a plan that may stop by an {protocol.stopping}; it asks all samples")
    if protocol.recipe not in {UNKNOWN, expected := _recipe(protocol.elicitation)}:
        raise UsageError(
            f"the plan announced the recipe {protocol.recipe[:12]}, and this version would elicit by {expected[:12]}: "
            "its settings are others"
        )
    model, flop = local.load(place.folder, adapter=place.adapter), 0
    if protocol.elicitation == "fine-tuned":
        model, flop = _fine_tune(model, protocol, progress)
    elif protocol.elicitation != "few-shot":
        raise UsageError(f"this version cannot run `{protocol.elicitation}`; it can run few-shot and fine-tuned")
    return Ready(measure, task, model, flop)


def environment(found: LogFacts, model: LocalModel) -> dict[str, str]:
    """What a run depended on beside its protocol: versions of packages, and the number format."""
    return {**found.packages, "dtype": str(model.dtype).removeprefix("torch.")}


def log_folder(workspace: Workspace, plan: str) -> Path:
    """The folder of Inspect logs that belongs to one plan."""
    return workspace.folder / "logs" / plan[:16]


def _place(workspace: Workspace, evidence: Evidence, subject: Subject, progress: Progress) -> Place:
    place = workspace.places().get(subject.digest)
    if place is None:
        raise UsageError(
            f"the files of `{subject.name}` are not known on this machine; run the same `interlock subject add` here"
        )
    found = manifest.of(
        place.folder, adapter=place.adapter, progress=lambda done, total: progress("hashing weights", done, total)
    )
    changed = evidence.manifests[subject.digest].changed(found)
    if changed is not None:
        raise EvidenceError(f"`{place.folder}` is not the subject `{subject.name}` any more: {changed}")
    return place


def _task(measure: Measure, *, shots: int, seed: int) -> Task:
    from interlock.evaluate import tasks

    known = {"interlock/codebook": tasks.codebook}
    if measure.task not in known:
        raise UsageError(f"this version cannot run `{measure.task}`; it knows: {', '.join(known)}")
    task = known[measure.task](shots=shots, seed=seed)
    if (task.version, "accuracy") != (measure.task_version, measure.metric):
        raise UsageError(
            f"this version runs `{measure.task}@{task.version}` for its accuracy, "
            f"the policy asks for `{measure.task}@{measure.task_version}` and its {measure.metric}"
        )
    return task


def _recipe(elicitation: str) -> str:
    """What an assumption's check must have certified to stand for a run of this version."""
    from interlock.elicit.elicitor import recipe
    from interlock.elicit.supervised import Supervised

    return recipe(Supervised()) if elicitation == "fine-tuned" else UNKNOWN


def _fine_tune(model: LocalModel, protocol: Protocol, progress: Progress) -> tuple[LocalModel, int]:
    from interlock.elicit.budget import Meter
    from interlock.elicit.supervised import Supervised

    elicited = Supervised().elicit(
        model,
        codebook.material(protocol.demonstrations, seed=protocol.seed),
        meter=Meter(),
        seed=protocol.seed,
        work=None,
        progress=progress,
    )
    return elicited.adapted.local, elicited.flop


def _plain(policy: Policy, name: str) -> Measure:
    """The measure of this name, where it is one that a run can give."""
    measures = [it.name for it in policy.measures.values() if isinstance(it, Measure)]
    measure = policy.measures.get(name)
    if not isinstance(measure, Measure):
        raise UsageError(f"the policy has no measure `{name}` to run; it has: {', '.join(measures)}")
    if (measure.on, measure.unit) != ("model", "sample"):
        raise UsageError(
            f"`{name}` counts {measure.unit} by {measure.unit} on a {measure.on}; "
            "this version runs the bare model, sample by sample"
        )
    return measure


def _measured(policy: Policy, protocol: Protocol) -> Measure:
    """The measure that a protocol is of."""
    ran = (protocol.task, protocol.task_version, protocol.metric)
    for measure in policy.measures.values():
        if (
            isinstance(measure, Measure)
            and (measure.task, measure.task_version, measure.metric) == ran
            and (measure.on, measure.unit) == ("model", "sample")
        ):
            return measure
    raise UsageError(f"the policy has no measure of `{protocol.task}@{protocol.task_version}`, {protocol.metric}")
