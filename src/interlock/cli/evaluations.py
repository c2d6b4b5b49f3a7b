"""`plan` and `evaluate`: announce what is due, and run it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from interlock.cli._text import note, say
from interlock.cli.elicitation import SetOption, settings_of
from interlock.cli.options import HERE, JsonOption, PassphraseOption, SubjectOption, WorkspaceOption, fresh, print_json
from interlock.errors import UsageError
from interlock.evaluate import eliciting, execute
from interlock.evaluate.due import Due, due, open_plans
from interlock.policy.model import TRAINED, Elicitation, Measure
from interlock.workspace import now

if TYPE_CHECKING:
    from interlock.decide.facts import Protocol
    from interlock.elicit.elicitor import Elicitor
    from interlock.evaluate.execute import Outcome
    from interlock.policy.model import Policy
    from interlock.workspace import Workspace

_ELICITATION_HELP = f"Announce one evaluation of your own instead of what is due: {', '.join(eliciting.RUNNABLE)}."


@dataclass(frozen=True, slots=True)
class _Terms:
    """How plans are to run: by this elicitor where it is of the kind asked for, and looking before the end or not."""

    elicitor: Elicitor | None
    seed: int
    stop_early: bool

    def of(self, item: Due) -> dict[str, Any]:
        """What `execute.draft` takes of one evaluation."""
        return {
            "measure": item.measure,
            "elicitation": item.elicitation,
            "demonstrations": item.demonstrations,
            "seed": self.seed,
            "elicitor": self.elicitor if self.elicitor and self.elicitor.kind == item.elicitation else None,
            "attempts": item.attempts,
            "order_seed": secrets.randbelow(2**53) if self.stop_early else None,
        }


def plan(
    subject: SubjectOption,
    elicitation: Annotated[str | None, typer.Option(help=_ELICITATION_HELP)] = None,
    measure: Annotated[
        str | None, typer.Option(help="The measure, with --elicitation; may be left out if there is one.")
    ] = None,
    demonstrations: Annotated[int, typer.Option(min=1, help="How many to fine-tune on, with --elicitation.")] = 16,
    elicitor: Annotated[
        str | None,
        typer.Option(
            help="The elicitor for evaluations of its kind, instead of the usual one (`interlock elicit list`); "
            "A+B is A and then B."
        ),
    ] = None,
    settings: SetOption = None,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early",
            help="Ask the samples in a random order that the plan commits to, look as they come, and stop once every "
            "level of the measure is ruled out or shown (an e-process: looks are paid for).",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    underpowered: Annotated[
        bool, typer.Option("--underpowered", help="Announce also what has too few items, or too little power.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Announce in the ledger the evaluations that the policy demands and nobody has run.

    A plan must stand before its result, and one that never reports holds the gate: so plan what you will run.
    Each names the recipe of its elicitor. The usual ones are: the bare question for `prompted`, solved examples for
    `few-shot`, fine-tune-lora for `fine-tuned`, fine-tune-lora and then grpo for `rl-fine-tuned`.
    An evaluation whose items are too few is refused: it would cost a run and open a gate only with luck. Too few are
    those that can rule out nothing, and those whose power is under 0.8 for a line that a gate needs (see `interlock
    power`). Of lines that no gate needs it is a warning.
    With --stop-early fewer samples are asked where the truth is far from the level, and more are needed where it is
    near; what stops without an answer leaves its plan open. The order of the samples is signed by the policy's
    `independent` role as well: who knows the answers and tries orders finds one that rules out what is there.

    \b
        interlock plan --subject m
        interlock plan --subject m --elicitor fine-tune-full --set steps=64
        interlock plan --subject m --stop-early
    """
    opened, evidence = fresh(workspace, passphrase_file)
    model = evidence.subject(subject)
    items = due(evidence, subject=model.digest, at=now())
    made: list[dict[str, Any]] = []
    if elicitation is None and measure is not None:
        raise UsageError("--measure goes with --elicitation; without it everything that is due is announced")
    if settings and elicitor is None:
        raise UsageError("--set goes with --elicitor; the usual elicitors have their usual settings")
    if elicitation is not None:
        items = (_own(evidence.policy, elicitation, measure, demonstrations),)
    new = [item for item in items if item.runnable and not item.planned]
    terms = _Terms(_chosen(opened, elicitor, settings, new), seed, stop_early)
    for item in new:
        told = terms.of(item)["elicitor"] or eliciting.usual(item.elicitation, attempts=item.attempts)
        execute.require_reached(opened, model.digest, told)
    _weigh(evidence.policy, new, terms, underpowered=underpowered)
    for item in items:
        digest = execute.announce(opened, subject=model.digest, **terms.of(item)) if item in new else None
        made.append(_due_row(item, digest))
    if as_json:
        print_json({"subject": model.name, "due": made})
        return
    for row in made:
        say(f"{row['elicitation']:<16} {row['measure']:<16} {row['state']}")
    say(f"next: interlock evaluate --subject {model.name}" if made else f"nothing is due for `{model.name}`")


def _own(policy: Policy, elicitation: str, measure: str | None, demonstrations: int) -> Due:
    """One evaluation that was asked for by name."""
    if elicitation not in eliciting.RUNNABLE:
        raise UsageError(f"this version cannot run `{elicitation}`; it can run {', '.join(eliciting.RUNNABLE)}")
    kind: Elicitation = next(it for it in get_args(Elicitation) if it == elicitation)
    count = demonstrations if kind in TRAINED else 0
    return Due(_measure(policy, measure), kind, count, (), (), planned=False, runnable=True)


def _chosen(opened: Workspace, name: str | None, settings: list[str] | None, new: list[Due]) -> Elicitor | None:
    """The elicitor of this name, put on record; it must be of a kind that is to be announced."""
    from interlock.elicit.elicitors import make

    if name is None:
        return None
    told = settings_of(settings)
    kind = make(name, told).kind
    if kind not in {item.elicitation for item in new}:
        kinds = ", ".join(dict.fromkeys(item.elicitation for item in new)) or "nothing"
        raise UsageError(f"`{name}` is `{kind}`; what is to be announced: {kinds}")
    return eliciting.keep(opened, name, told)


def _weigh(policy: Policy, items: list[Due], terms: _Terms, *, underpowered: bool) -> None:
    """Before anything is announced: refuse what has too few items for a gate, and warn of what else is weak."""
    from interlock.evaluate.statistics import planning

    warnings: dict[str, None] = {}
    for item in items:
        protocol = execute.draft(policy, **terms.of(item))
        try:
            _refuse_weak(policy, item, protocol)
        except UsageError as error:
            if not underpowered:
                raise UsageError(
                    f"{error}; nothing was announced (--underpowered announces it all the same)"
                ) from error
        drawn = planning.lines_on(policy, item.measure)
        warnings |= dict.fromkeys(planning.weak(drawn, protocol.samples, stopping=protocol.stopping))
        warnings |= dict.fromkeys(planning.without_room(drawn))
    for warning in warnings:
        note(f"interlock: warning: {warning}")


def _refuse_weak(policy: Policy, item: Due, protocol: Protocol) -> None:
    """Refuse an evaluation that rules out nothing, or some line that a gate needs of it with too little power."""
    from interlock.evaluate.statistics import planning

    planning.refuse_hopeless(policy, item.measure, protocol.samples, stopping=protocol.stopping)
    needed = planning.lines_at_gates(policy, item.measure, thresholds=item.thresholds, requirements=item.requirements)
    weak = planning.weak(needed, protocol.samples, stopping=protocol.stopping)
    if weak:
        more = f" (and {len(weak) - 1} more such)" if len(weak) > 1 else ""
        raise UsageError(f"{weak[0]}{more}")


def _measure(policy: Policy, asked: str | None) -> str:
    """The measure to run: the one asked for, or the only one that a run could give."""
    known = [name for name, measure in policy.measures.items() if isinstance(measure, Measure)]
    if asked is None and len(known) == 1:
        return known[0]
    if asked not in known:
        got = "--measure is missing" if asked is None else f"--measure is `{asked}`"
        raise UsageError(
            f"{got}; a run can give {', '.join(f'`{name}`' for name in known) or 'no measure of this policy'}"
        )
    return asked


def _due_row(item: Due, digest: str | None) -> dict[str, Any]:
    state = (
        "announced already" if item.planned else f"announced as plan {digest[:12]}" if digest else "cannot be run here"
    )
    return {
        "measure": item.measure,
        "elicitation": item.elicitation,
        "demonstrations": item.demonstrations,
        "thresholds": list(item.thresholds),
        "requirements": list(item.requirements),
        "plan": digest,
        "state": state,
    }


def evaluate(
    subject: SubjectOption, workspace: WorkspaceOption = HERE, passphrase_file: PassphraseOption = None
) -> None:
    """Run every open plan of a subject on this machine, and append what each gave.

    Killed or interrupted, the same command goes on: what an elicitation saved on the way is in `work/`, finished
    samples are in the plan's log folder. Each step of an elicitation is told in `transcripts/`.
    A plan whose reinforcement learning had nothing to learn from gets no result and stays open (exit code 4).
    """
    from interlock.cli.show import progress
    from interlock.elicit.elicitor import NothingLearnedError

    opened, evidence = fresh(workspace, passphrase_file)
    model = evidence.subject(subject)
    plans = open_plans(evidence, subject=model.digest)
    if not plans:
        raise UsageError(
            f"`{model.name}` has no open plan; announce what is due: interlock plan --subject {model.name}"
        )
    idle: NothingLearnedError | None = None
    for announced in plans:
        try:
            with progress() as report:
                outcome = execute.run(opened, announced, progress=report)
        except NothingLearnedError as error:  # the other plans are run all the same
            say(f"no result of plan {announced.digest[:12]}: {error}")
            idle = error
            continue
        _say(outcome)
    if idle is not None:
        raise idle
    say(f"next: interlock decide --subject {model.name}")


def _say(outcome: Outcome) -> None:
    result, protocol = outcome.result, outcome.result.protocol
    what = protocol.elicitation
    if protocol.demonstrations:
        what += f", {protocol.demonstrations} demonstrations"
    stopped = f", stopped after {result.stopped.at}" if result.stopped else ""
    say(
        f"{what}: {result.correct} correct of {protocol.samples} planned{stopped} ({result.scored} scored), "
        f"{result.flop:.3g} FLOP of elicitation; log {result.log_name}"
    )
    for event in outcome.transcript:
        if event.get("exploration_hacking_suspected"):
            flags = ", ".join(f"{it['kind']} at step {it['step']}" for it in event["flags"])
            say(f"FLAG: exploration hacking is suspected ({flags}); reinforcement had little to learn from")
        if event["event"] == "nothing-learned":
            say(f"FLAG: {event['why']}; what is told is of the model as it was taught before")
