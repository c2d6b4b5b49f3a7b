"""`deployment`: register a subject as it is offered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import (
    HERE,
    JsonOption,
    PassphraseOption,
    SubjectOption,
    WorkspaceOption,
    check_name,
    passphrases,
    print_json,
)
from interlock.cli.subjects import signing_keys
from interlock.decide import facts
from interlock.errors import UsageError
from interlock.evidence.predicates import DeploymentPredicate, statement
from interlock.subject.deployment import Deployment, plain_decimal
from interlock.workspace import Workspace

if TYPE_CHECKING:
    from interlock.evidence.read import Evidence

app = typer.Typer(help="Register and list subjects as they are offered.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the deployment.")],
    subject: SubjectOption,
    surface: Annotated[str, typer.Option(help="Where it is offered, such as api, chat or agent.")],
    access_tier: Annotated[str, typer.Option(help="To whom, such as public or trusted-testers.")],
    system_prompt: Annotated[
        Path | None, typer.Option(help="File with the system prompt. Left out: there is none.")
    ] = None,
    filters: Annotated[
        list[Path] | None,
        typer.Option(
            "--filter",
            envvar="INTERLOCK_DEPLOYMENT_ADD_FILTER",
            help="Config of a filter; repeat, in the order in which they apply.",
        ),
    ] = None,
    tools: Annotated[
        list[Path] | None,
        typer.Option(
            "--tool",
            envvar="INTERLOCK_DEPLOYMENT_ADD_TOOL",
            help="Definition of a tool; repeat, in the order in which they are told.",
        ),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            envvar="INTERLOCK_DEPLOYMENT_ADD_LIMIT",
            metavar="NAME=NUMBER",
            help="A sampling limit, as max_tokens=4096; repeat.",
        ),
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Put a deployment into the ledger: a subject with its prompt, filters, tools, surface, access tier and limits.

    \b
    interlock deployment add chat --subject m --surface chat --access-tier public --system-prompt prompt.txt \\
        --filter input.yaml --filter output.yaml --tool search.json --limit temperature=1 --limit max_tokens=4096

    Files are hashed, not kept. A change in any of them makes another deployment, which needs evidence of its own.
    """
    opened = Workspace.open(workspace, passphrases(passphrase_file))
    model = opened.read().subject(subject)
    offered = _offered(model.digest, surface, access_tier, system_prompt, filters or [], tools or [], limits or [])
    made = register(opened, name=name, offered=offered)
    say(f"deployment `{made.name}` of `{model.name}`: {made.digest}")


def register(workspace: Workspace, *, name: str, offered: Deployment) -> facts.Deployment:
    """Append the statement of a deployment. The same call again does nothing.

    Raises:
        UsageError: a name nobody could read, or the keys that sign it are not here.
        EvidenceError: the ledger has it or its name already, or its subject has no weights.
    """
    check_name(name)
    evidence = workspace.read()
    made = facts.Deployment(offered.digest, name, offered.subject)
    if evidence.facts.deployments.get(made.digest) != made:
        predicate = DeploymentPredicate(name, offered).to_json()
        signed = statement("deployment", name=name, digest=made.digest, predicate=predicate)
        workspace.append(signed, signing_keys(workspace, evidence))
    return made


@app.command("list")
def list_deployments(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the deployments in the ledger, each with its subject."""
    evidence = Workspace.open(workspace).read()
    rows = [_row(evidence, offered) for offered in evidence.facts.deployments.values()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['name']:<20} {row['digest'][:16]}  of {row['subject']['name']}")
    if not rows:
        say("no deployments yet; add one: interlock deployment add NAME --subject SUBJECT ...")


def _row(evidence: Evidence, offered: facts.Deployment) -> dict[str, Any]:
    subject = evidence.facts.subjects[offered.subject]
    return {
        "name": offered.name,
        "digest": offered.digest,
        "subject": {"name": subject.name, "digest": subject.digest},
        "parts": evidence.offered[offered.digest].to_json(),
    }


def _offered(
    subject: str,
    surface: str,
    access_tier: str,
    system_prompt: Path | None,
    filters: list[Path],
    tools: list[Path],
    limits: list[str],
) -> Deployment:
    from interlock.subject._hashing import sha256_of_file

    prompt = sha256_of_file(system_prompt) if system_prompt else None
    applied, told = (tuple((path.name, sha256_of_file(path)) for path in paths) for paths in (filters, tools))
    sampling = [_limit(text) for text in limits]
    if len(dict(sampling)) != len(sampling):
        raise UsageError(f"--limit names one limit twice: {', '.join(f'`{text}`' for text in limits)}")
    offered = Deployment(
        subject=subject,
        system_prompt=prompt,
        filters=applied,
        tools=told,
        surface=surface,
        access_tier=access_tier,
        sampling=dict(sampling),
    )
    if problem := offered.problem():
        raise UsageError(problem)
    return offered


def _limit(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    spelled = plain_decimal(value)
    if spelled is None:
        raise UsageError(f"--limit is `{text}`, expected NAME=NUMBER such as max_tokens=4096")
    return name, spelled
