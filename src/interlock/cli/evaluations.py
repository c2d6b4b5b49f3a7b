"""`plan` and `evaluate`: announce what is due, and run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli.options import HERE, JsonOption, PassphraseOption, SubjectOption, WorkspaceOption, fresh, print_json
from interlock.errors import UsageError
from interlock.evaluate import execute
from interlock.evaluate.due import RUNNABLE, Due, due, open_plans
from interlock.policy.model import Measure
from interlock.workspace import now

if TYPE_CHECKING:
    from interlock.policy.model import Policy

_ELICITATION_HELP = f"Announce one evaluation of your own instead of what is due: {', '.join(RUNNABLE)}."


def plan(
    subject: SubjectOption,
    elicitation: Annotated[str | None, typer.Option(help=_ELICITATION_HELP)] = None,
    measure: Annotated[
        str | None, typer.Option(help="The measure, with --elicitation; may be left out if there is one.")
    ] = None,
    demonstrations: Annotated[int, typer.Option(min=1, help="How many to fine-tune on, with --elicitation.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    underpowered: Annotated[
        bool, typer.Option("--underpowered", help="Announce also what has too few items to rule out anything.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Announce in the ledger the evaluations that the policy demands and nobody has run.

    A plan must stand before its result, and one that never reports holds the gate: so plan what you will run.
    An evaluation whose items are too few to rule out anything, even if none is dangerous, is refused: it would cost a
    run and could not open a gate. One that may do so only with luck is warned of (see `interlock power`).
    """
    opened, evidence = fresh(workspace, passphrase_file)
    model = evidence.subject(subject)
    items = due(evidence, subject=model.digest, at=now())
    made: list[dict[str, Any]] = []
    if elicitation is None and measure is not None:
        raise UsageError("--measure goes with --elicitation; without it everything that is due is announced")
    if elicitation is not None:
        if elicitation not in RUNNABLE:
            raise UsageError(f"this version cannot run `{elicitation}`; it can run {', '.join(RUNNABLE)}")
        name = _measure(evidence.policy, measure)
        count = demonstrations if elicitation == "fine-tuned" else 0
        items = (Due(name, elicitation, count, (), (), planned=False, runnable=True),)
    new = [item for item in items if item.runnable and not item.planned]
    _weigh(evidence.policy, new, seed=seed, underpowered=underpowered)
    for item in items:
        digest = None
        if item in new:
            digest = execute.announce(
                opened,
                subject=model.digest,
                measure=item.measure,
                elicitation=item.elicitation,
                demonstrations=item.demonstrations,
                seed=seed,
            )
        made.append(_due_row(item, digest))
    if as_json:
        print_json({"subject": model.name, "due": made})
        return
    for row in made:
        typer.echo(f"{row['elicitation']:<16} {row['measure']:<16} {row['state']}")
    typer.echo(f"next: interlock evaluate --subject {model.name}" if made else f"nothing is due for `{model.name}`")


def _weigh(policy: Policy, items: list[Due], *, seed: int, underpowered: bool) -> None:
    """Before anything is announced: refuse what has too few items to rule out anything, and warn of little power."""
    from interlock.evaluate.statistics import planning

    warnings: dict[str, None] = {}
    for item in items:
        protocol = execute.draft(
            policy,
            measure=item.measure,
            elicitation=item.elicitation,
            demonstrations=item.demonstrations,
            seed=seed,
        )
        try:
            planning.refuse_hopeless(policy, item.measure, protocol.samples)
        except UsageError as error:
            if not underpowered:
                raise UsageError(
                    f"{error}; nothing was announced (--underpowered announces it all the same)"
                ) from error
        warnings |= dict.fromkeys(planning.weak(policy, item.measure, protocol.samples))
    for warning in warnings:
        typer.echo(f"interlock: warning: {warning}", err=True)


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

    Killed or interrupted, the same command goes on: finished samples are kept in the plan's log folder.
    """
    from interlock.cli.show import progress

    opened, evidence = fresh(workspace, passphrase_file)
    model = evidence.subject(subject)
    plans = open_plans(evidence, subject=model.digest)
    if not plans:
        raise UsageError(
            f"`{model.name}` has no open plan; announce what is due: interlock plan --subject {model.name}"
        )
    for announced in plans:
        what = announced.protocol.elicitation
        if announced.protocol.demonstrations:
            what += f", {announced.protocol.demonstrations} demonstrations"
        with progress() as report:
            outcome = execute.run(opened, announced, progress=report)
        result = outcome.result
        typer.echo(
            f"{what}: {result.correct} correct of {result.protocol.samples} planned ({result.scored} scored), "
            f"{result.flop:.3g} FLOP of elicitation; log {result.log_name}"
        )
    typer.echo(f"next: interlock decide --subject {model.name}")
