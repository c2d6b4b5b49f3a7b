"""From a plan to a result: announce an evaluation in the ledger, run it, and append what it gave.

Guarantees: the plan stands in the ledger before anything runs; the subject's files are hashed before its weights are
used, and were touched by nobody from then until the answers are in; every right answer would be graded as right if the
model gave it; the samples that the log holds are the ones the plan announced; counts come from the log's samples. A
killed run is taken up by running the same plan again: finished samples are read from its log folder.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from interlock.decide.decision import timestamp
from interlock.decide.facts import Protocol
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import codebook, eliciting, past_tense
from interlock.evaluate.due import runner
from interlock.evidence.predicates import ResultPredicate, protocol_to_json, statement
from interlock.evidence.roles import in_force
from interlock.policy.model import Measure
from interlock.subject import configs, manifest
from interlock.workspace import Workspace, now, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from inspect_ai import Task

    from interlock.decide.facts import Plan, Subject
    from interlock.elicit.elicitor import Elicitor, Event
    from interlock.elicit.items import Material
    from interlock.evaluate.local import LocalModel
    from interlock.evaluate.logs import Answer, LogFacts
    from interlock.evidence.read import Evidence
    from interlock.policy.model import Elicitation, Policy
    from interlock.subject._folder import Still


#: By what name a config says that the model is a mixture of experts.
_EXPERTS = {"num_local_experts", "num_experts", "n_routed_experts"}
#: The tasks that this version can run, and what an elicitation of each may learn from.
MATERIAL = {"interlock/codebook": codebook.material, "interlock/past-tense": past_tense.material}


class Progress(Interface):
    """Where a long run says how far it is: a word for the stage, steps done, steps in all, and a note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """One step further."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `run` did for one plan. `transcript` tells each step of the elicitation."""

    plan: Plan
    result: ResultPredicate
    transcript: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A task and the elicited model to ask; `flop` is what the elicitation spent, `transcript` tells its steps.

    `still` is the subject's folder as it was hashed: the model may map its weights, so whoever has asked it checks that
    nobody has touched them.
    """

    measure: Measure
    task: Task
    model: LocalModel
    flop: int
    transcript: tuple[Event, ...]
    still: Still


def announce(
    workspace: Workspace,
    *,
    subject: str,
    measure: str,
    elicitation: Elicitation,
    demonstrations: int,
    seed: int,
    elicitor: Elicitor | None = None,
    order_seed: int | None = None,
    attempts: int = 1,
) -> str:
    """Append the plan of one evaluation, signed by the role that must run it. Returns the plan's digest.

    One that may stop early is signed by the policy's independent role, too: for the order of its samples (rule 10).
    The rest as for `draft`. An `elicitor` other than the usual one must be on record (`eliciting.keep`).

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
    protocol = draft(
        policy,
        measure=measure,
        elicitation=elicitation,
        demonstrations=demonstrations,
        seed=seed,
        elicitor=elicitor,
        order_seed=order_seed,
        attempts=attempts,
    )
    predicate = {
        "protocol": protocol_to_json(protocol),
        "report_by": timestamp(policy.report_within.after(now())),
    }
    made = statement("plan", name=model.name, digest=model.digest, predicate=predicate)
    roles = [runner(policy, measure)] + [policy.independent] * (order_seed is not None)
    return workspace.append(made, workspace.signing(evidence, *roles))


def require_reached(workspace: Workspace, subject: str, elicitor: Elicitor) -> None:
    """Refuse an elicitor that trains an adapter where an adapter leaves weights as they are: the experts of a mixture.

    A plan of it could never report. Not seen where the subject's files are not on this machine, or its config calls
    experts by another name: then it is refused when it runs.

    Raises:
        UsageError: it does.
        EvidenceError: the config cannot be read.
    """
    from interlock.elicit.lora import adapters

    place = workspace.places().get(subject)
    if place is None or not adapters(elicitor.describe()) or not (config := place.folder / "config.json").is_file():
        return
    if named := next((name for name, value in configs.members(config) if value and name in _EXPERTS), None):
        raise UsageError(
            f"`{elicitor.name}` trains an adapter, which does not reach a mixture's experts (`{named}` in the config); "
            "choose what trains all weights: --elicitor fine-tune-full, or --elicitor grpo --set weights=all"
        )


def draft(
    policy: Policy,
    *,
    measure: str,
    elicitation: Elicitation,
    demonstrations: int,
    seed: int,
    elicitor: Elicitor | None = None,
    order_seed: int | None = None,
    attempts: int = 1,
) -> Protocol:
    """The protocol that `announce` would write of one evaluation; nothing is written.

    So many `demonstrations` are trained on, or shown, at the least; 0 asks for the usual number. Without an `elicitor`
    it is the usual one. With an `order_seed` the run may stop early, and asks its samples in that order. At least so
    many `attempts` are made at each sample.

    Raises:
        UsageError: the policy has no such measure, or none who is independent to stand for an order, or this version
            cannot run it as the policy asks.
    """
    from interlock.elicit.elicitor import recipe
    from interlock.evaluate import logs, stopping

    asked = _plain(policy, measure)
    elicitor = elicitor or eliciting.usual(elicitation, shots=max(eliciting.SHOTS, demonstrations), attempts=attempts)
    if elicitor.kind != elicitation:
        raise UsageError(f"`{elicitor.name}` is `{elicitor.kind}`, expected one that is `{elicitation}`")
    shots = eliciting.shown(elicitor)
    if elicitation == "few-shot" and shots < demonstrations:
        raise UsageError(f"`{elicitor.name}` shows {shots} examples, the policy asks for {demonstrations}")
    if (tries := eliciting.tries(elicitor)) < attempts:
        raise UsageError(f"`{elicitor.name}` makes {tries} attempts at a question, the policy asks for {attempts}")
    if order_seed is not None:
        if not policy.independent:
            raise UsageError(
                f"`{policy.id}` names no `independent` role, which has to sign the order of the samples of a plan that "
                "may stop early"
            )
        stopping.rule([policy], measure)
        if tries > 1:
            raise UsageError(f"a plan with {tries} attempts at a question cannot stop early, expected 1")
    digest, count = logs.samples_digest(_task(asked, shots=shots, seed=seed))
    trained = eliciting.trained_on(elicitation, demonstrations)
    _material(asked.task, shots, trained, seed)
    return Protocol(
        task=asked.task,
        task_version=asked.task_version,
        metric=asked.metric,
        samples=count,
        samples_digest=digest,
        elicitation=elicitation,
        shots=shots,
        demonstrations=trained,
        seed=seed,
        recipe=recipe(elicitor),
        stopping="fixed" if order_seed is None else "e-process",
        order_seed=order_seed,
        attempts=tries,
    )


def _material(task: str, shots: int, demonstrations: int, seed: int) -> Material:
    """What an elicitor shows or trains on, with questions to choose settings with.

    Raises:
        UsageError: the task has fewer: settings that one question chose would not be those that were meant.
    """
    made = MATERIAL[task](max(shots, demonstrations), seed=seed, dev=eliciting.DEMONSTRATIONS)
    if demonstrations and len(made.dev) < eliciting.DEMONSTRATIONS:
        raise UsageError(
            f"{demonstrations} demonstrations of `{task}` leave {len(made.dev)} questions to choose settings with, "
            f"expected {eliciting.DEMONSTRATIONS}"
        )
    return made


def run(workspace: Workspace, plan: Plan, *, progress: Progress) -> Outcome:
    """Run one open plan on this machine and append its result. What its elicitation saved on the way is removed then.

    Raises:
        UsageError: the subject's files are not on this machine, or the elicitation cannot be run by this version.
        EvidenceError: the files are not those of the subject, the elicitor is not the plan's, or the run gave nothing
            that can be relied on.
        NothingLearnedError: reinforcement learning had nothing to learn from; the transcript is kept.
    """
    from interlock.elicit.elicitor import NothingLearnedError
    from interlock.evaluate import inspect_run, local, logs, stopping

    evidence = workspace.read()
    subject, protocol = evidence.facts.subjects[plan.subject], plan.protocol
    signing = workspace.signing(evidence, *sorted(plan.signers))  # all who announced it report on it (rule 19)
    work, folder = workspace.folder / "work" / plan.digest[:16], log_folder(workspace, plan.digest)
    try:
        ready = prepare(workspace, evidence, subject, protocol, work=work, progress=progress)
    except NothingLearnedError as error:
        _write(transcript_file(workspace, plan.digest), error.elicited.transcript)
        raise
    # The weights as they are after elicitation: a resumed run must not mix answers of two models in one log.
    arguments = {"subject": subject.digest, "plan": plan.digest, "weights": local.fingerprint(ready.model)}

    def ask(task: Task) -> tuple[Path, Mapping[tuple[str, int], Answer]]:
        log = inspect_run.run(
            task,
            local=ready.model,
            model_name=subject.name,
            model_args=arguments,
            log_dir=folder,
            progress=lambda done, _: progress("answering", done, protocol.samples),
        )
        return log, logs.read_answers(log)[1]

    stopped = None
    if protocol.order_seed is None:
        log, _ = ask(ready.task)
    else:
        log, stopped = stopping.run(
            ready.task,
            seed=protocol.order_seed,
            measure=ready.measure,
            until=stopping.rule(
                [version.policy for version in in_force(evidence.versions, plan.at)], ready.measure.name
            ),
            begun=inspect_run.asked(folder),
            ask=ask,
        )
    ready.still.check()
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
        stopped=stopped,
    )
    _write(transcript_file(workspace, plan.digest), ready.transcript)
    made = statement("result", name=subject.name, digest=subject.digest, predicate=result.to_json())
    workspace.append(made, signing)
    shutil.rmtree(work, ignore_errors=True)
    return Outcome(plan, result, ready.transcript)


def prepare(
    workspace: Workspace,
    evidence: Evidence,
    subject: Subject,
    protocol: Protocol,
    *,
    work: Path | None,
    progress: Progress,
) -> Ready:
    """Make everything ready for a run: the files hashed, the samples checked, the model loaded, and elicited; in the
    folder `work`, if there is one, an elicitation that was killed goes on.

    Raises:
        UsageError: the subject's files are not on this machine, or this version cannot run the protocol.
        EvidenceError: the files are not those of the subject, or were touched while they were read; the task asks other
            samples; a right answer would not be graded as right; or the elicitor is not the one that the protocol
            names.
    """
    from interlock.elicit.budget import Meter

    task, measure = planned(evidence.policy, protocol)
    elicitor = eliciting.of(workspace, protocol)
    material = _material(measure.task, protocol.shots, protocol.demonstrations, protocol.seed)
    model, still = _loaded(workspace, evidence, subject, progress)
    _require_told(model, task, material)
    elicited = elicitor.elicit(
        model,
        material,
        meter=Meter(),
        seed=protocol.seed,
        work=work,
        progress=progress,
    )
    adapted = elicited.adapted
    if (adapted.shots, adapted.attempts) != (material.demonstrations[: protocol.shots], protocol.attempts):
        raise EvidenceError(
            f"`{elicitor.name}` would show {len(adapted.shots)} examples and make {adapted.attempts} attempts, "
            f"the plan announced the first {protocol.shots} demonstrations and {protocol.attempts}"
        )
    if adapted.temperature:
        task = _task(
            measure,
            shots=protocol.shots,
            seed=protocol.seed,
            tries=adapted.attempts,
            temperature=adapted.temperature,
        )
    return Ready(measure, task, adapted.local, elicited.flop, elicited.transcript, still)


def planned(policy: Policy, protocol: Protocol) -> tuple[Task, Measure]:
    """The task that a protocol is of, with all its samples, and its measure.

    Raises:
        UsageError: this version cannot run it, or the policy has no such measure.
        EvidenceError: the task asks other samples.
    """
    from interlock.evaluate import logs

    measure = _measured(policy, protocol)
    task = _task(measure, shots=protocol.shots, seed=protocol.seed)
    found = logs.samples_digest(task)
    if found != (protocol.samples_digest, protocol.samples):
        raise EvidenceError(
            f"the task's samples are {found[0][:12]}, the plan announced {protocol.samples_digest[:12]}"
        )
    return task, measure


def environment(found: LogFacts, model: LocalModel) -> dict[str, str]:
    """What a run depended on beside its protocol: versions of packages, and the number format."""
    return {**found.packages, "dtype": str(model.dtype).removeprefix("torch.")}


def log_folder(workspace: Workspace, plan: str) -> Path:
    """The folder of Inspect logs that belongs to one plan."""
    return workspace.folder / "logs" / plan[:16]


def transcript_file(workspace: Workspace, plan: str) -> Path:
    """Where each step of a plan's elicitation is told, one JSON object a line."""
    return workspace.folder / "transcripts" / f"{plan[:16]}.jsonl"


def _write(path: Path, transcript: tuple[Event, ...]) -> None:
    path.parent.mkdir(exist_ok=True)
    write_whole(path, "".join(json.dumps(dict(event)) + "\n" for event in transcript).encode())


def _require_told(model: LocalModel, task: Task, material: Material) -> None:
    """Check that no right answer is lost on its way from the model to its grade."""
    from interlock.elicit import asking, turn
    from interlock.evaluate import provider

    asking.require_told(model, (*material.demonstrations, *material.dev), grade=material.grade)
    asked = [(provider.turns(sample.input), str(sample.target)) for sample in task.dataset]
    turn.require_told(model, asked, grade=material.grade)


def _loaded(workspace: Workspace, evidence: Evidence, subject: Subject, progress: Progress) -> tuple[LocalModel, Still]:
    """The subject's model, and its folder as it lay there before it was hashed and after it was loaded."""
    from interlock.evaluate import local
    from interlock.subject._folder import Still

    place = workspace.places().get(subject.digest)
    if place is None:
        raise UsageError(
            f"the files of `{subject.name}` are not known on this machine; run the same `interlock subject add` here"
        )
    still = Still.of(place.folder, place.adapter)
    found = manifest.of(
        place.folder, adapter=place.adapter, progress=lambda done, total: progress("hashing weights", done, total)
    )
    changed = evidence.manifests[subject.digest].changed(found)
    if changed is not None:
        raise EvidenceError(f"`{place.folder}` is not the subject `{subject.name}` any more: {changed}")
    model = local.load(place.folder, adapter=place.adapter)
    still.check()
    return model, still


def _task(measure: Measure, **arguments: Any) -> Task:  # noqa: ANN401 - whatever the task takes
    from interlock.evaluate import tasks

    if measure.task not in MATERIAL:
        raise UsageError(f"this version cannot run `{measure.task}`; it knows: {', '.join(MATERIAL)}")
    made: dict[str, Callable[..., Task]] = {
        "interlock/codebook": tasks.codebook,
        "interlock/past-tense": tasks.past_tense,
    }
    task = made[measure.task](**arguments)
    if (task.version, "accuracy") != (measure.task_version, measure.metric):
        raise UsageError(
            f"this version runs `{measure.task}@{task.version}` for its accuracy, "
            f"the policy asks for `{measure.task}@{measure.task_version}` and its {measure.metric}"
        )
    return task


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
