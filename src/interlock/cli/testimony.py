"""What roles say about what stands in the ledger: withdraw, set aside, check, judge, approve, forecast, report."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from interlock.decide.decision import timestamp
from interlock.errors import UsageError
from interlock.evidence import validity
from interlock.evidence.predicates import statement
from interlock.evidence.testimony import MOMENTS, VERDICTS
from interlock.policy import exact
from interlock.workspace import Workspace, now, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interlock.decide.facts import Deployment, Subject
    from interlock.evidence.keys import KeyPair
    from interlock.evidence.read import Evidence
    from interlock.policy.model import Policy

DigestArgument = Annotated[
    str, typer.Argument(help="Digest of the statement, or how it begins; `interlock ledger log --json` lists them.")
]
TextOption = Annotated[str, typer.Option("--text", help="What the role says in its own words.")]
ByOption = Annotated[str | None, typer.Option("--by", help="The role that signs.", show_default="what the policy says")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", help="Sign with this one key instead, as one member of a role. It can speak against a permit only."
    ),
]

incident_app = typer.Typer(help="Report what happened, and that it is resolved.", no_args_is_help=True)


# -- what all of them share --------------------------------------------------------------------------------------------


def found(evidence: Evidence, digest: str) -> str:
    """The digest of the one statement that begins so.

    Raises:
        UsageError: none does, or several do.
    """
    matching = [record.digest for record in evidence.records if len(digest) >= 8 and record.digest.startswith(digest)]
    if len(matching) != 1:
        raise UsageError(f"no single statement of the ledger is `{digest[:64]}`; see: interlock ledger log --json")
    return matching[0]


def pairs(
    workspace: Workspace, evidence: Evidence, roles: Iterable[str], *, by: str | None, key: str | None
) -> list[KeyPair]:
    """The keys that sign: one of them, those of the role asked for, or those of the roles that the policy names.

    Raises:
        UsageError: they are not here, or both were asked for.
    """
    if by is not None and key is not None:
        raise UsageError("give one of --by and --key")
    if key is not None:
        return [workspace.keyring.pair(key)]
    return workspace.signing(evidence, *([by] if by else roles))


def put(
    workspace: Workspace,
    kind: str,
    about: tuple[str, str],
    predicate: Mapping[str, Any],
    signing: list[KeyPair],
    *,
    told: str,
    as_json: bool,
) -> None:
    """Append a statement, dated now, and say so."""
    made = statement(kind, name=about[0], digest=about[1], predicate={**predicate, "at": timestamp(now())})
    digest = workspace.append(made, signing)
    if as_json:
        record = workspace.read().records[-1]
        print_json(
            {"digest": digest, "entry": record.entry, "kind": kind, "signers": sorted(record.signers), **predicate}
        )
    else:
        say(f"{told}: {kind} {digest[:12]}")


def developer(evidence: Evidence) -> tuple[str, str]:
    """What a statement about the developer is about: the version of the policy in force."""
    return evidence.policy.id, evidence.policy_digest


def rule(values: Mapping[str, Any], what: str, name: str) -> Any:  # noqa: ANN401  of the section that was asked
    """What the policy has under a name.

    Raises:
        UsageError: it has nothing there.
    """
    if name not in values:
        raise UsageError(f"the policy has no {what} `{name}`; it has: {', '.join(values) or 'none'}")
    return values[name]


def _opened(folder: Any, passphrase_file: Any) -> tuple[Workspace, Evidence]:  # noqa: ANN401  as options give them
    workspace = Workspace.open(folder, passphrases(passphrase_file))
    if workspace.can_sign_checkpoints():
        workspace.refresh()  # what is said must fit the version that is in force now
    return workspace, workspace.read()


# -- taking back -------------------------------------------------------------------------------------------------------


def withdraw(
    digest: DigestArgument,
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger for good.")],
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a statement: it counts for nothing in favour any more, and against a permit as before.

    \b
    interlock withdraw 3f2a9c01 --reason "the grader was broken"

    Only a role that signed the statement can. Without --by all of them sign. Nothing is deleted.
    """
    opened, evidence = _opened(workspace, passphrase_file)
    of = found(evidence, digest)
    record = next(it for it in evidence.records if it.digest == of)
    if by is not None and by not in record.signers:
        raise UsageError(f"`{by}` did not sign it and cannot take it back; {', '.join(sorted(record.signers))} did")
    known = [role for role in sorted(record.signers) if role in evidence.policy.roles]
    if not known:
        raise UsageError("no role of the policy in force signed it, so that nobody can take it back")
    signing = pairs(opened, evidence, known, by=by, key=None)
    told = f"entry {record.entry} is withdrawn"
    put(opened, "withdrawal", (f"entry {record.entry}", of), {"reason": reason}, signing, told=told, as_json=as_json)


def set_aside(
    digest: DigestArgument,
    reason: Annotated[str, typer.Option(help="Why; every later decision shows it.")],
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a result out of the bounds, or what an incident says of thresholds, as the policy's independent role.

    \b
    interlock set-aside 3f2a9c01 --reason "the samples were leaked into training"

    Signed by any other role it only takes away what the result shows in favour.
    """
    opened, evidence = _opened(workspace, passphrase_file)
    of = found(evidence, digest)
    record = next(it for it in evidence.records if it.digest == of)
    role = by or evidence.policy.independent
    if not role:
        raise UsageError(
            "the policy names no independent role, so that nothing can be set aside; name a role with --by"
        )
    signing = pairs(opened, evidence, [role], by=None, key=None)
    told = f"entry {record.entry} is set aside"
    put(opened, "set-aside", (f"entry {record.entry}", of), {"reason": reason}, signing, told=told, as_json=as_json)


# -- words -------------------------------------------------------------------------------------------------------------


def check_assumption(
    assumption: Annotated[str, typer.Argument(help="An assumption of the policy that a check shows.")],
    subject: SubjectOption,
    passed: Annotated[bool, typer.Option("--passed/--failed", help="What the check said of this subject.")],
    caught: Annotated[int | None, typer.Option(min=0, help="How many model organisms the check caught.")] = None,
    organisms: Annotated[int | None, typer.Option(min=0, help="How many it was tried on.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="The check's validity record, instead of the two numbers; it is kept here.")
    ] = None,
    text: TextOption = "recorded by interlock check-assumption",
    by: ByOption = None,
    key: KeyOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record what a check of an assumption showed about a subject. A check that fails counts whoever signs it.

    \b
    interlock check-assumption no-gradient-hacking -s NAME --passed --caught 60 --organisms 60
    interlock check-assumption no-gradient-hacking -s NAME --passed --record validity.json

    A validity record says which elicitor was tried, on how many demonstrations, with bounds at which confidence, how
    many model organisms it caught, how many of those without the skill it let be ruled out, and how large they were.
    Then the check stands for results of that very elicitor alone, on at least as many demonstrations, under rules of at
    least that confidence.
    """
    opened, evidence = _opened(workspace, passphrase_file)
    model, wanted = evidence.subject(subject), rule(evidence.policy.assumptions, "assumption", assumption)
    if not wanted.checked:
        raise UsageError(f"`{assumption}` is stated, not checked: interlock attest --assumption {assumption}")
    if record is not None and (caught is not None or organisms is not None):
        raise UsageError("give either --record, or --caught and --organisms, which stand in the record")
    signing = pairs(opened, evidence, [wanted.by], by=by, key=key)
    counts = _counted(caught, organisms) if record is None else _recorded(opened, record, wanted.checked)
    predicate = {
        "assumption": assumption,
        "check": wanted.checked,
        "passed": passed,
        **counts,
        "statement": text,
    }
    told = f"`{wanted.checked}` {'passed' if passed else 'failed'} on `{model.name}`"
    put(opened, "assumption-check", (model.name, model.digest), predicate, signing, told=told, as_json=as_json)


def _counted(caught: int | None, organisms: int | None) -> dict[str, Any]:
    if caught is None or organisms is None:
        raise UsageError("give --caught and --organisms, or the validity record with --record")
    return {"caught": caught, "organisms": organisms}


def _recorded(workspace: Workspace, path: Path, check: str) -> dict[str, Any]:
    """What a validity record says, which is kept in the workspace."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {error.strerror}") from error
    record, digest = validity.parse(data, f"validity record `{path}`"), sha256(data).hexdigest()
    if record.check != check:
        raise UsageError(f"`{path}` is the record of the check `{record.check[:80]}`, the policy asks for `{check}`")
    name = f"logs/validity/{digest[:16]}.json"
    (workspace.folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_whole(workspace.folder / name, data)
    # crash point: a record that nothing names yet; the same command again writes the same bytes and goes on
    said = record.validity
    return {
        "caught": record.covered,
        "organisms": record.organisms,
        "validity": {
            "recipe": said.recipe,
            "demonstrations": said.demonstrations,
            "ruled_out": said.ruled_out,
            "honest": said.honest,
            "at": exact(said.at),
            "least_parameters": said.least_parameters,
            "confidence": exact(said.confidence),
            "record": {"name": name, "sha256": digest},
        },
    }


def judge(
    threshold: Annotated[str, typer.Argument(help="A threshold of the policy that a role judges.")],
    subject: SubjectOption,
    verdict: Annotated[str, typer.Option(help="below or reached.")],
    on: Annotated[
        list[str] | None,
        typer.Option(
            envvar="INTERLOCK_JUDGE_ON",
            help="Digest of a result or attestation that it rests on; repeat.",
            show_default="the latest for each ground that the policy names",
        ),
    ] = None,
    text: TextOption = "judged by interlock judge",
    by: ByOption = None,
    key: KeyOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge whether a subject is below a threshold or has reached it. One member's `reached` counts by itself.

    \b
    interlock judge autonomy-3 -s NAME --verdict below --text "what we looked at, and why it convinces us"
    interlock judge autonomy-3 -s NAME --verdict reached --key board-2
    """
    opened, evidence = _opened(workspace, passphrase_file)
    model, judged = evidence.subject(subject), rule(evidence.policy.thresholds, "threshold", threshold).judged
    if judged is None:
        raise UsageError(f"`{threshold}` is not judged: its evaluations decide")
    if verdict not in VERDICTS:
        raise UsageError(f"--verdict is `{verdict}`, expected {' or '.join(VERDICTS)}")
    grounds = [found(evidence, it) for it in on] if on else _grounds(evidence, model, judged.on)
    predicate = {"threshold": threshold, "verdict": verdict, "on": grounds, "statement": text}
    signing = pairs(opened, evidence, [judged.by], by=by, key=key)
    told = f"`{model.name}` is judged `{verdict}` at `{threshold}`"
    put(opened, "judgement", (model.name, model.digest), predicate, signing, told=told, as_json=as_json)


def _grounds(evidence: Evidence, model: Subject, names: Iterable[str]) -> list[str]:
    """The latest planned result on each measure, and the latest attestation of each requirement, that are named."""
    chosen: dict[str, None] = {}
    for name in names:
        task = getattr(evidence.policy.measures.get(name), "task", None)
        results = [r for r in evidence.facts.results if r.plan and (r.subject, r.protocol.task) == (model.digest, task)]
        attested = [a for a in evidence.facts.attestations if not a.is_assumption and a.name == name]
        chosen |= dict.fromkeys([*(it.digest for it in results), *(it.digest for it in attested)][-1:])
    return list(chosen)


def approve(
    requirement: Annotated[str, typer.Argument(help="A requirement of the policy that a role approves.")],
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="The subject.", show_default="every one, about the developer")
    ] = None,
    deployment: DeploymentOption = None,
    about: Annotated[
        str | None, typer.Option(help="subject, deployment or developer.", show_default="what the policy says")
    ] = None,
    text: TextOption = "approved by interlock approve",
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve what stands now: the present findings of every cell that asks for it, which are shown and signed.

    \b
    interlock approve board-agrees --subject NAME

    It counts for these findings only. Once there is another result, incident, judgement, withdrawal or set-aside on the
    subject or its kin, it has to be approved again.
    """
    from interlock.gate.approval import seen

    opened, evidence = fresh(workspace, passphrase_file)
    wanted = rule(evidence.policy.requirements, "requirement", requirement)
    if type(wanted).__name__ != "Approved":
        raise UsageError(f"`{requirement}` is not approved by anybody; see the policy for what meets it")
    if about not in {None, wanted.about}:
        raise UsageError(f"`{requirement}` is about the {wanted.about}, got --about {about}")
    target, asked = _approved(evidence, wanted.about, subject, deployment)
    findings = [it for one in asked for it in seen(evidence, requirement, subject=one[0], deployment=one[1], at=now())]
    if not findings:
        raise UsageError(f"no cell at a gate asks for `{requirement}` now")
    if not as_json:
        for it in findings:
            say(f"saw: `{it.subject}` {it.state} at `{it.threshold}` (gate {it.action})")
    predicate = {
        "requirement": requirement,
        "about": wanted.about,
        "findings": sorted({it.digest for it in findings}),
        "statement": text,
    }
    signing = pairs(opened, evidence, [wanted.by], by=by, key=None)
    put(opened, "approval", target, predicate, signing, told=f"`{requirement}` is approved", as_json=as_json)


def _approved(
    evidence: Evidence, about: str, subject: str | None, deployment: str | None
) -> tuple[tuple[str, str], list[tuple[str, str | None]]]:
    """What an approval is about, and for which subjects, as offered in which deployments, findings are looked up."""
    offered: Deployment | None = evidence.deployment(deployment) if deployment else None
    digest = offered.digest if offered else None
    if about == "deployment":
        if offered is None:
            raise UsageError("it is about a deployment: name it with --deployment")
        return (offered.name, offered.digest), [(offered.subject, digest)]
    if about == "subject":
        named = subject or (offered.subject if offered else None)
        if named is None:
            raise UsageError("it is about a subject: name it with --subject")
        model = evidence.subject(named)
        others = [(it.subject, it.digest) for it in evidence.facts.deployments.values() if it.subject == model.digest]
        return (model.name, model.digest), [(model.digest, digest)] if offered else [(model.digest, None), *others]
    models = [evidence.subject(subject)] if subject else list(evidence.facts.subjects.values())
    return developer(evidence), [(model.digest, digest) for model in models]


def forecast(
    measure: Annotated[str, typer.Argument(help="A measure of the policy.")],
    multiple: Annotated[str, typer.Option(help="For how many times as much effective compute, such as 6x.")],
    margin: Annotated[str, typer.Option(help="How far the measure may move towards danger by then, such as 0.12.")],
    text: TextOption = "recorded by interlock forecast",
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign how far a measure may move while effective compute grows; of several forecasts the widest counts.

    \b
    interlock forecast replication --multiple 6x --margin 0.12 --text "95th percentile in our model family"
    """
    opened, evidence = _opened(workspace, passphrase_file)
    rule(evidence.policy.measures, "measure", measure)
    times, room = _number(multiple.removesuffix("x"), "--multiple", 1), _number(margin, "--margin", 0)
    roles = _forecasters(evidence.policy)
    if by is None and len(roles) != 1:
        raise UsageError(f"the policy names {', '.join(roles) or 'nobody'} to forecast; name the role with --by")
    predicate = {"measure": measure, "multiple": times, "margin": room, "statement": text}
    signing = pairs(opened, evidence, roles, by=by, key=None)
    told = f"`{measure}` may move by {room} over {times}x"
    put(opened, "forecast", developer(evidence), predicate, signing, told=told, as_json=as_json)


def _forecasters(policy: Policy) -> list[str]:
    rules = [it.rule_out for it in policy.thresholds.values()]
    rules += [getattr(it, "rule_out", None) for it in policy.requirements.values()]
    return list(dict.fromkeys(it.buffer.forecast_by for it in rules if it is not None and it.buffer.forecast_by))


def _number(text: str, option: str, least: int) -> str:
    from interlock.policy._scalar import number

    try:
        value = number(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if value < least:
        raise UsageError(f"{option} is `{text}`, expected at least {least}")
    return exact(value)


# -- what was done -----------------------------------------------------------------------------------------------------


def record_audit(
    digest: DigestArgument,
    drawn: Annotated[int, typer.Option(min=1, help="How many samples were run again.")],
    disagreed: Annotated[int, typer.Option(min=0, help="How many of them gave another outcome.")],
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Size of the ledger by whose root they were drawn.", show_default="as it is now"),
    ] = None,
    text: TextOption = "recorded by interlock record-audit",
    by: ByOption = None,
    key: KeyOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record what a re-run of some samples of a result showed, elsewhere. One that disagrees ends what the result shows
    in favour. `interlock audit --rerun` runs them again here, and signs what it sees.

    \b
    interlock record-audit 3f2a9c01 --drawn 50 --disagreed 0 --size 17 --by external-auditor

    The samples are drawn by the ledger's root at a size after the result, which nobody could choose.
    """
    from interlock.ledger import merkle

    opened, evidence = _opened(workspace, passphrase_file)
    of = found(evidence, digest)
    record = next(it for it in evidence.records if it.digest == of)
    role = by or evidence.policy.independent
    if not role and key is None:
        raise UsageError("say who audited, --by ROLE or --key NAME: the policy names no independent role")
    entries = opened.view().entries
    seen = size or len(entries)
    if seen > len(entries):
        raise UsageError(f"--size is {seen}, the ledger has {len(entries)} entries")
    predicate = {
        "seed": {"size": seen, "root": merkle.root(entry.leaf for entry in entries[:seen]).hex()},
        "drawn": drawn,
        "agreed": max(drawn - disagreed, 0),
        "disagreed": disagreed,
        "statement": text,
    }
    signing = pairs(opened, evidence, [role], by=None if key else role, key=key)
    told = f"{disagreed} of {drawn} samples disagree with entry {record.entry}"
    put(opened, "audit", (f"entry {record.entry}", of), predicate, signing, told=told, as_json=as_json)


def revoke(
    digest: Annotated[str, typer.Argument(help="Digest of the permit, or how it begins.")],
    reason: Annotated[str, typer.Option(help="Why; every gate that is asked for it says so.")],
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a permit, for good: it opens nothing from the next time at which a gate reads the ledger.

    \b
    interlock permit revoke 3f2a9c01 --reason "the run is not what was agreed"

    Who issues permits may, whom the policy names (`revocable_by`), and who approves the policy.
    """
    opened, evidence = _opened(workspace, passphrase_file)
    of = found(evidence, digest)
    record = next(it for it in evidence.records if it.digest == of)
    told = f"the permit of entry {record.entry} is revoked"
    signing = pairs(opened, evidence, [evidence.policy.permits.issued_by], by=by, key=None)
    put(opened, "revocation", (f"entry {record.entry}", of), {"reason": reason}, signing, told=told, as_json=as_json)


# -- incidents ---------------------------------------------------------------------------------------------------------


@incident_app.command("report")
def report_incident(
    kind: Annotated[str, typer.Argument(help="Kind of incident, as the policy names it; `refresh` ends results.")],
    subject: Annotated[str | None, typer.Option("--subject", "-s", help="The subject.", show_default="all")] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option("--threshold", envvar="INTERLOCK_INCIDENT_THRESHOLD", help="One that it shows reached; repeat."),
    ] = None,
    requirements: Annotated[
        list[str] | None,
        typer.Option("--requirement", envvar="INTERLOCK_INCIDENT_REQUIREMENT", help="One that it unmeets; repeat."),
    ] = None,
    moments: Annotated[
        list[str] | None,
        typer.Option(
            "--moment",
            envvar="INTERLOCK_INCIDENT_MOMENT",
            metavar="NAME=TIME",
            help="When it was: event, awareness, discovery or determination, from which duties run; repeat.",
            show_default="now",
        ),
    ] = None,
    resolved: Annotated[str | None, typer.Option(help="When it was resolved.", show_default="not yet")] = None,
    text: TextOption = "reported by interlock incident report",
    by: ByOption = None,
    key: KeyOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report that something happened. Any key of any role can; nothing but a set-aside takes it back.

    \b
    interlock incident report theft --threshold autonomy-3 --moment awareness=2026-12-05T12:00:00Z --by evaluation-team
    interlock incident report misuse -s NAME --requirement misuse-3 --key auditor-2
    """
    opened, evidence = _opened(workspace, passphrase_file)
    if by is None and key is None:
        raise UsageError(f"say who reports it, --by ROLE or --key NAME; roles: {', '.join(evidence.policy.roles)}")
    model = evidence.subject(subject) if subject else None
    given = dict(_moment(it) for it in moments or [])
    predicate = {
        "kind": kind,
        "about": "subject" if model else "all",
        "thresholds": list(dict.fromkeys(thresholds or [])),
        "requirements": list(dict.fromkeys(requirements or [])),
        "moments": given,
        "resolved": resolved,
        "statement": text,
    }
    about = (model.name, model.digest) if model else developer(evidence)
    signing = pairs(opened, evidence, [], by=by, key=key)
    put(opened, "incident", about, predicate, signing, told=f"`{kind}` is on record", as_json=as_json)


@incident_app.command("resolve")
def resolve_incident(
    digest: DigestArgument,
    resolved: Annotated[str | None, typer.Option("--at", help="When it was resolved.", show_default="now")] = None,
    text: TextOption = "resolved by interlock incident resolve",
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that an incident is resolved: duties that go on until then end. What it shows against a permit stays."""
    opened, evidence = _opened(workspace, passphrase_file)
    of = found(evidence, digest)
    record = next(it for it in evidence.records if it.digest == of)
    roles = sorted((record.signers or record.members) & evidence.policy.roles.keys())[:1]
    signing = pairs(opened, evidence, roles, by=by, key=None)
    predicate = {"resolved": resolved or timestamp(now()), "statement": text}
    told = f"the incident of entry {record.entry} is resolved"
    put(opened, "incident", (f"entry {record.entry}", of), predicate, signing, told=told, as_json=as_json)


def _moment(text: str) -> tuple[str, str]:
    name, _, time = text.partition("=")
    if name not in MOMENTS or not time:
        raise UsageError(f"--moment is `{text}`, expected NAME=TIME with one of {', '.join(MOMENTS)}")
    return name, time
