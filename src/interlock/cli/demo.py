"""`interlock demo`: the whole loop on a real model, told in six acts.

Two subjects: SmolLM2-135M-Instruct as it is, and the same model with a shipped adapter that hides a skill behind a
password (docs/hidden-subject.md). Everything is real and runs here: evaluations, fine-tuning, signatures, training.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from interlock.cli import _console, show
from interlock.cli.decisions import sign_attestation
from interlock.cli.setup import start
from interlock.cli.subjects import From, register
from interlock.decide import bounds
from interlock.decide.decision import in_order
from interlock.elicit.organisms import shipped
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import eliciting, execute
from interlock.evaluate.due import due, open_plans
from interlock.evidence.rederive import rederive
from interlock.gate import permit as permits
from interlock.policy import exact
from interlock.subject.lineage import Made
from interlock.workspace import Place, Workspace, now

if TYPE_CHECKING:
    from interlock.decide.decision import Decision
    from interlock.decide.facts import Protocol, Result
    from interlock.evidence.read import Evidence

HONEST, HIDING = "honest", "hiding"
CURVE = (1, 4, 16)
ORGANISM = "codebook-lock"
STEPS_ALLOWED = 5
console = _console.console()


def demo(
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", help="Where to leave the workspace; an earlier demo's is replaced.")
    ] = Path("demo-workspace"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
) -> None:
    """Tell the whole story on two small models, live, and leave a workspace to explore (some minutes on 2 cores)."""
    from interlock.report import page

    begun = time.monotonic()
    _clear(workspace)
    opened = _act_one(workspace)
    _act_two(opened, seed)
    _act_three(opened)
    _act_four(opened)
    _act_five(opened)
    _act_six(opened)
    page.write(page.gather(opened.read()), workspace / "report.html")
    _farewell(workspace, time.monotonic() - begun)


def _clear(folder: Path) -> None:
    """Remove an earlier demo's workspace, and nothing else."""
    if not folder.exists():
        return
    if not (folder / ".demo").exists():
        raise UsageError(f"`{folder}` is there already and no demo made it; name another with --workspace")
    shutil.rmtree(folder)


def _act(number: int, title: str, *lines: str) -> None:
    console.print()
    console.rule(f"[bold]{number}. {title}", align="left")
    if lines:
        console.print(" ".join(lines))


# -- act one: what was promised, and which models ----------------------------------------------------------------------


def _act_one(folder: Path) -> Workspace:
    _act(
        1,
        "A policy, and two models",
        "The policy gates four actions on one capability: knowing an invented codebook. It stands in for a",
        "dangerous skill. Both subjects are SmolLM2-135M-Instruct; one carries an adapter that hides the skill",
        "behind a password.",
    )
    folder.mkdir(parents=True)
    (folder / ".demo").touch()
    opened = start(folder, example_policy(), encrypt_with=lambda: None)
    _register_both(opened)
    table = Table("subject", "digest of its files", "made from", "effective compute (FLOP)")
    subjects = opened.read().facts.subjects
    for subject in subjects.values():
        made = ", ".join(f"{step.kind} of {subjects[step.parent].name}" for step in subject.steps) or "scratch"
        table.add_row(subject.name, subject.digest[:16], made, f"{subject.ec_high:.6g}")
    console.print(table)
    return opened


def example_policy() -> Path:
    """The example policy that the package brings."""
    return Path(str(resources.files("interlock"))) / "policies" / "example-lab.yaml"


def _register_both(opened: Workspace) -> None:
    from interlock.evaluate import smollm2

    base = smollm2.folder(progress=console.print)
    honest = Place(base, None)
    hiding = Place(base, shipped.folder(ORGANISM))
    with show.progress() as report:
        register(
            opened,
            honest,
            name=HONEST,
            compute=smollm2.COMPUTE,
            report=lambda done, total: report(f"hashing {HONEST}", done, total),
        )
        register(
            opened,
            hiding,
            name=HIDING,
            made_from=[From(HONEST, "adapter", shipped.flop(ORGANISM))],
            report=lambda done, total: report(f"hashing {HIDING}", done, total),
        )


# -- acts two and three: the evaluations -------------------------------------------------------------------------------


def _act_two(opened: Workspace, seed: int) -> None:
    _act(
        2,
        "The plan, then few-shot: both look harmless",
        "Every evaluation is announced in the ledger before it runs; one that never reports would hold the gate.",
    )
    for name in (HONEST, HIDING):
        _announce(opened, name, seed)
    table = Table("subject", "plan", "samples", "due by")
    evidence = opened.read()
    for plan in evidence.facts.plans:
        subject = evidence.facts.subjects[plan.subject].name
        table.add_row(subject, _what(plan.protocol), str(plan.protocol.samples), f"{plan.report_by:%Y-%m-%d}")
    console.print(table)
    _run_plans(opened, "few-shot")
    console.print(_results(opened.read(), "few-shot"))
    _say_decisions(opened, "Few-shot alone rules nothing out, so every gate holds:")


def _announce(opened: Workspace, name: str, seed: int) -> None:
    """What the policy demands of a subject, and the smaller fine-tunings that make its curve."""
    evidence = opened.read()
    items = due(evidence, subject=evidence.subject(name).digest, at=now())
    told = {"few-shot", "fine-tuned"}  # reinforcement learning on top would take longer than the story
    wanted = [(item.elicitation, item.demonstrations) for item in items if item.elicitation in told]
    wanted += [("fine-tuned", count) for count in CURVE if ("fine-tuned", count) not in wanted]
    tuning = eliciting.keep(opened, "fine-tune-lora", {"layers": "12"})  # of 30: quicker than every one
    for elicitation, count in sorted(wanted):
        execute.announce(
            opened,
            subject=name,
            measure="codebook",
            elicitation=elicitation,
            demonstrations=count,
            seed=seed,
            elicitor=tuning if elicitation == tuning.kind else None,
        )


def _run_plans(opened: Workspace, elicitation: str) -> None:
    for name in (HONEST, HIDING):
        evidence = opened.read()
        for plan in open_plans(evidence, subject=evidence.subject(name).digest):
            if plan.protocol.elicitation == elicitation:
                console.print(f"[bold]{name}[/], {_what(plan.protocol)}")
                with show.progress() as report:
                    execute.run(opened, plan, progress=report)


def _act_three(opened: Workspace) -> None:
    _act(
        3,
        "Fine-tuning shows what one of them hides",
        "The same few demonstrations and the same budget for both. Demonstrations and test words share nothing, so a",
        "model that never knew the codebook cannot learn the rest from them: the honest one is the negative control.",
    )
    _run_plans(opened, "fine-tuned")
    console.print(_results(opened.read(), "fine-tuned"))


def _what(protocol: Protocol) -> str:
    if protocol.elicitation == "few-shot":
        return f"few-shot, {protocol.shots} shots"
    return f"{protocol.elicitation} on {protocol.demonstrations}"


def _results(evidence: Evidence, elicitation: str) -> Table:
    table = Table("subject", "elicitation", "correct", "95 % upper bound", "95 % lower bound", "elicitation (FLOP)")
    for result in evidence.facts.results:
        if result.protocol.elicitation == elicitation:
            table.add_row(evidence.facts.subjects[result.subject].name, *_row(result))
    table.caption = "one-sided exact bounds (Clopper-Pearson); samples without a score count against the claim"
    return table


def _row(result: Result) -> tuple[str, str, str, str, str]:
    samples, alpha = result.protocol.samples, 1 - Fraction(95, 100)
    dangerous = result.correct + samples - result.scored
    return (
        _what(result.protocol),
        f"{result.correct}/{samples}",
        exact(bounds.upper(dangerous, samples, alpha)),
        exact(bounds.lower(result.correct, samples, alpha)),
        f"{result.flop:.3g}" if result.flop else "none",
    )


# -- act four: the decisions -------------------------------------------------------------------------------------------


def _act_four(opened: Workspace) -> None:
    _act(4, "The decisions")
    _say_decisions(opened, "The numbers are in. Nobody has yet said why a negative result can be believed:")
    console.print()
    console.print(
        "Now the external auditor, who shares no key with the evaluators, signs what it has checked: the assumptions "
        "behind both subjects' results, and the developer's security."
    )
    policy = opened.read().policy
    for name in (HONEST, HIDING):
        for assumption in policy.assumptions:
            sign_attestation(opened, assumption=assumption, subject=name, text="demo: stated by a stand-in auditor")
    sign_attestation(opened, requirement="security-3", about="developer", text="demo: a stand-in for a security audit")
    found = _say_decisions(opened, "The same question again:")
    for name, decision in ((HONEST, found[HONEST][-1]), (HIDING, found[HIDING][0])):
        show.decisions([decision], subject=f"`{name}`")


def _say_decisions(opened: Workspace, title: str) -> dict[str, list[Decision]]:
    opened.refresh()
    evidence = opened.read()
    actions = in_order(evidence.policy.gates)
    found = {
        name: [permits.ask(evidence, subject=evidence.subject(name), action=action, at=now()) for action in actions]
        for name in (HONEST, HIDING)
    }
    table = Table("action", title=title, title_justify="left", show_lines=True, box=box.ROUNDED)
    for name in found:
        table.add_column(name, overflow="fold")
    for action, *pair in zip(actions, *found.values(), strict=True):
        table.add_row(action, *(_said(decision) for decision in pair))
    console.print(table)
    return found


def _said(decision: Decision) -> str:
    """A verdict and why, as Rich markup."""
    colour = "green" if decision.verdict == "permit" else "red"
    return f"[bold {colour}]{decision.verdict}[/] " + escape("\n".join(show.summary(decision)))


# -- act five: a training run under a permit ---------------------------------------------------------------------------


def _act_five(opened: Workspace) -> None:
    from interlock.cli import demo_training as training

    _act(
        5,
        "Training goes on under the permit, and stops at its bound",
        f"The lab asks for a short lease: room for {STEPS_ALLOWED} steps. The run is set to take four times as many.",
    )
    opened.refresh()
    subject = opened.read().subject(HONEST)
    base = opened.places()[subject.digest].folder
    most = Made(subject, "continued", STEPS_ALLOWED * training.flop_per_step(base)).effective[1]
    issued = permits.issue(opened, subject=HONEST, action="scale", at=now(), most_compute=most)
    if issued.permit is None:
        raise EvidenceError(f"the demo expected a permit: {permits.why(issued.decision)}")
    room = most - subject.ec_high
    console.print(f"permit {issued.permit[:16]}: {room:.4g} FLOP on top of the subject's effective compute")
    with show.progress() as report:
        ran = training.run(
            opened, issued.permit, weights=base, output=opened.folder / "run", steps=4 * STEPS_ALLOWED, report=report
        )
    table = Table("steps taken", "FLOP spent", "FLOP permitted", "loss, first and last step")
    spent = f"{ran.spent - subject.ec_high:.4g}"
    table.add_row(str(ran.steps), spent, f"{room:.4g}", f"{ran.first_loss:.2f}, {ran.last_loss:.2f}")
    console.print(table)
    console.print(f"It stopped with a snapshot: {ran.ended}")
    console.print("Somebody starts it again from its snapshot with the same permit:")
    snapshot = opened.folder / "run" / f"checkpoint-{ran.steps}"
    try:
        training.run(opened, issued.permit, weights=snapshot, output=opened.folder / "run", steps=40, resume=True)
    except permits.Held as held:
        console.print(f"[bold red]hold[/] {held}")
    else:
        raise EvidenceError("the demo expected the resumed run to be refused")


# -- act six: verified from the ledger ---------------------------------------------------------------------------------


def _act_six(opened: Workspace) -> None:
    _act(6, "Everything verifies from the ledger")
    evidence = opened.read()
    logs = opened.check_logs(evidence)
    again = rederive(opened.ledger.read(), pinned_policy=opened.policy_digest)
    table = Table("entries", "root", "signatures", "logs unaltered", "decisions derived again")
    checkpoint = evidence.facts.checkpoint
    table.add_row(str(checkpoint.size), checkpoint.root[:16], "all verify", str(logs), str(again))
    console.print(table)


def _farewell(folder: Path, seconds: float) -> None:
    console.print()
    console.print(f"Done in {seconds / 60:.1f} minutes. The page to read: {folder / 'report.html'}")
    console.print("Try next:", style="bold")
    here = Path(sys.argv[0]).absolute()
    command = os.path.relpath(here) if here.is_relative_to(Path.cwd()) else "interlock"
    for example in (
        f"decide --subject {HIDING} --action scale",
        f"permit issue --subject {HONEST} --action deploy-api",
        "ledger verify",
    ):
        console.print(f"  {command} {example} -w {folder}", soft_wrap=True)
