"""`attest` and `decide`: a role's word, and the rule's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from interlock.cli import show
from interlock.cli._text import say
from interlock.cli.options import (
    HERE,
    DeploymentOption,
    JsonOption,
    PassphraseOption,
    SubjectOption,
    WorkspaceOption,
    fresh,
    passphrases,
    print_json,
)
from interlock.decide.decision import in_order, timestamp, to_json
from interlock.errors import HOLD, OK, UsageError
from interlock.evidence.predicates import statement
from interlock.gate import permit as permits
from interlock.policy.model import Attested
from interlock.workspace import Workspace, now

if TYPE_CHECKING:
    from interlock.decide.facts import Deployment, Subject
    from interlock.evidence.read import Evidence


def attest(
    assumption: Annotated[str | None, typer.Option(help="An assumption of the policy that its role states.")] = None,
    requirement: Annotated[str | None, typer.Option(help="A requirement of the policy that its role attests.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", "-s", help="The subject that it is about.")] = None,
    deployment: DeploymentOption = None,
    about: Annotated[
        str | None, typer.Option(help="subject, deployment or developer.", show_default="what the policy says")
    ] = None,
    text: Annotated[str, typer.Option(help="What the role says in its own words.")] = "stated by interlock attest",
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Sign a statement with the keys of the role that the policy names for it.

    \b
    interlock attest --assumption no-gradient-hacking --subject NAME
    interlock attest --requirement security-3 --about developer
    interlock attest --requirement filters-2 --about deployment --deployment NAME
    """
    if (assumption is None) == (requirement is None):
        raise UsageError("give one of --assumption and --requirement")
    role, target = sign_attestation(
        Workspace.open(workspace, passphrases(passphrase_file)),
        assumption=assumption,
        requirement=requirement,
        subject=subject,
        deployment=deployment,
        about=about,
        text=text,
    )
    say(f"`{role}` signed `{assumption or requirement}` about {target}")


def sign_attestation(
    workspace: Workspace,
    *,
    assumption: str | None = None,
    requirement: str | None = None,
    subject: str | None = None,
    deployment: str | None = None,
    about: str | None = None,
    text: str,
) -> tuple[str, str]:
    """Append an attestation, signed by the role that the policy names. Returns the role, and what it is about.

    `about` is what the policy says that it is about; given, it must be just that.

    Raises:
        UsageError: the policy knows no such name, or the role's keys are not here.
    """
    evidence = workspace.read()
    policy, name = evidence.policy, str(assumption or requirement)
    if assumption is not None:
        if assumption not in policy.assumptions:
            raise UsageError(f"the policy has no assumption `{assumption}`; it has: {', '.join(policy.assumptions)}")
        stated = policy.assumptions[assumption]
        if stated.checked:
            raise UsageError(
                f"`{assumption}` is shown by the check `{stated.checked}`, not stated: "
                f"interlock check-assumption {assumption}"
            )
        role, means = stated.by, "subject"
    else:
        known = {n: r for n, r in policy.requirements.items() if isinstance(r, Attested)}
        if name not in known:
            raise UsageError(f"the policy has no requirement `{name}` to attest; it has: {', '.join(known)}")
        role, means = known[name].by, known[name].about
    if about not in {None, means}:
        raise UsageError(f"`{name}` is about the {means}, got --about {about}")
    target = _target(evidence, name, {"subject": subject, "deployment": deployment}, means)
    made = statement(
        "attestation",
        name=target.name if target else policy.id,
        digest=target.digest if target else evidence.policy_digest,
        predicate={
            "kind": "assumption" if assumption else "requirement",
            "name": name,
            "about": means,
            "statement": text,
            "at": timestamp(now()),
        },
    )
    workspace.append(made, workspace.signing(evidence, role))
    return role, f"`{target.name}`" if target else "the developer"


def _target(evidence: Evidence, name: str, named: dict[str, str | None], about: str) -> Subject | Deployment | None:
    """What is vouched for: the subject or the deployment that was named, and no second thing; None: the developer."""
    other = next((kind for kind, what in named.items() if what is not None and kind != about), None)
    if other is not None:
        raise UsageError(f"`{name}` is about the {about}, got --{other} {named[other]}")
    if about == "developer":
        return None
    what = named[about]
    if what is None:
        raise UsageError(f"`{name}` is about a {about}: name it with --{about}")
    return evidence.subject(what) if about == "subject" else evidence.deployment(what)


def decide(
    subject: SubjectOption,
    action: Annotated[str | None, typer.Option("--action", "-a", help="One action; all of them without it.")] = None,
    deployment: DeploymentOption = None,
    record: Annotated[
        bool, typer.Option("--record", help="Sign what is decided, and put it into the ledger; it opens nothing.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> int:
    """Decide permit or hold, with the reasons and what would lift each hold. Exit code 0 permit, 3 hold.

    Without --action every action is shown side by side, and the exit code is 3 if any of them holds. With --record each
    decision becomes an entry of the ledger, signed by the role that issues permits, so that a hold can be handed on:

    \b
        interlock decide --subject NAME --action scale --record
        interlock bundle export latest
    """
    opened, evidence = fresh(workspace, passphrase_file)
    model, offered = evidence.subject(subject), evidence.deployment(deployment) if deployment else None
    actions = [action] if action else in_order(evidence.policy.gates)
    # each that is recorded reads the ledger anew: what is handed on has read all that stands before it
    recorded = [
        permits.record(opened, subject=subject, action=name, at=now(), deployment=deployment)
        for name in (actions if record else ())
    ]
    decisions = [it.decision for it in recorded] or [
        permits.ask(evidence, subject=model, action=name, at=now(), deployment=offered) for name in actions
    ]
    if as_json:
        shown = [to_json(decision) for decision in decisions]
        if record:
            pairs = zip(shown, recorded, strict=True)
            shown = [{"decision": it, "digest": stands.digest, "entry": stands.entry} for it, stands in pairs]
        print_json(shown[0] if action else shown)
    else:
        show.decisions(decisions, subject=f"`{model.name}`" + (f" as offered in `{offered.name}`" if offered else ""))
        for stands in recorded:
            told = f"`{stands.decision.action}`, {stands.decision.verdict}: entry {stands.entry}"
            say(f"recorded {told}; to hand it on: interlock bundle export {stands.entry}")
    return OK if all(decision.verdict == "permit" for decision in decisions) else HOLD
