"""`permit`: the lease that follows from a decision, narrowed, handed to a gate, verified there, taken back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import note, say
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
from interlock.cli.testimony import revoke
from interlock.decide.decision import timestamp, to_json
from interlock.errors import HOLD, OK, UsageError
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.lease import Grant, Lease
from interlock.gate.permit import Held
from interlock.workspace import Workspace, now, write_whole

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.read import Evidence, Permit
    from interlock.gate.trust import Trust

app = typer.Typer(
    help="Issue, narrow, show, verify and revoke permits; hand them to gates.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ActionOption = Annotated[str, typer.Option("--action", "-a", help="Such as scale, deploy-api, release-weights.")]
DigestArgument = Annotated[str, typer.Argument(help="Digest of the permit, or how it begins.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write the permit's file there, for a gate.")]
MostOption = Annotated[
    str | None, typer.Option(help="Ask for less effective compute (FLOP) than would be allowed.", show_default="all")
]
AdapterOption = Annotated[Path | None, typer.Option(help="Folder of the adapter, if the subject has one.")]
TrustOption = Annotated[
    Path | None, typer.Option(help="Verify a file, without the ledger, by what this trust file says.")
]
SeenOption = Annotated[
    Path | None, typer.Option(help="With --trust: keep the latest time seen here; a clock set back then holds.")
]
OnceOption = Annotated[
    bool, typer.Option("--single-use", help="One use ends it; always so for what cannot be taken back.")
]


@app.command("issue")
def issue(
    subject: SubjectOption,
    action: ActionOption,
    deployment: DeploymentOption = None,
    most_compute: MostOption = None,
    single_use: OnceOption = False,
    out: OutOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> int:
    """Decide, and sign a permit if nothing holds. Decision and permit go into the ledger. Exit code 3 on a hold.

    A hold goes into the ledger, too, and starts what the policy says `on_hold` (interlock duties). To ask without
    leaving a trace: interlock decide.

    \b
    interlock permit issue -s NAME -a scale
    interlock permit issue -s NAME -a scale --most-compute 3e24 --out permit.json
    interlock permit issue -s NAME -a deploy-api -d api
    interlock permit issue -s NAME -a release-weights          for one use, as always for what cannot be taken back
    """
    opened, _ = fresh(workspace, passphrase_file)
    issued = permits.issue(
        opened,
        subject=subject,
        action=action,
        at=now(),
        deployment=deployment,
        most_compute=_flop(most_compute, "--most-compute"),
        single_use=single_use,
    )
    if as_json:
        told = {"permit": issued.permit, "decision": to_json(issued.decision), "unrecorded": issued.unrecorded}
        print_json(told)
    elif issued.permit is None:
        say(permits.why(issued.decision))
        if issued.unrecorded:
            note(f"the hold could not be recorded: {issued.unrecorded}")
        else:
            say("the hold is on record; what it asks for, and by when: interlock duties list")
    else:
        _show(permits.find(opened.read(), issued.permit))
    if issued.permit is not None and out is not None:
        _write(opened, issued.permit, out, quiet=as_json)
    return OK if issued.permit else HOLD


@app.command("show")
def show_permit(
    digest: DigestArgument,
    out: OutOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a permit of the ledger, and what became of it. With --out, write its file for a gate.

    \b
    interlock permit show 3f2a9c01
    interlock permit show 3f2a9c01 --out permit.json           with the ledger's latest checkpoint

    For a file the rule is asked again: exit code 3, and no file, where it holds by now.
    """
    if out is None:
        opened = Workspace.open(workspace)
        evidence = opened.read()
    else:
        opened, evidence = fresh(workspace, passphrase_file)
    permit = permits.find(evidence, digest)
    ended = permits.ended(evidence, permit)
    if as_json:
        told = {"permit": permit.digest, "subject": permit.subject, "entry": permit.entry, "ended": ended}
        print_json({**told, **permit.terms.to_json()})
    else:
        _show(permit)
        if ended:
            say(f"  ended      {ended}")
    if out is not None:
        _write(opened, permit.digest, out, quiet=as_json)


@app.command("verify")
def verify(
    permit: Annotated[
        str, typer.Argument(metavar="PERMIT", help="Digest of the permit, or how it begins; with --trust, its file.")
    ],
    action: ActionOption,
    subject: Annotated[
        str | None,
        typer.Option("--subject", "-s", help="What the gate has: a folder of weights, or a digest; offline always."),
    ] = None,
    adapter: AdapterOption = None,
    deployment: DeploymentOption = None,
    effective_compute: Annotated[
        str | None, typer.Option(help="Effective compute (FLOP) that will have been spent; must be within the bound.")
    ] = None,
    trust: TrustOption = None,
    seen: SeenOption = None,
    spend_on: Annotated[
        str | None, typer.Option("--spend", metavar="DESTINATION", help="Use a permit that is for one use, on this.")
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask what a gate asks: does this permit open the action now? Exit code 0 yes, 3 no, 4 if it is no sound permit.

    \b
    interlock permit verify 3f2a9c01 -a scale
    interlock permit verify 3f2a9c01 -a deploy-api -d api -s /models/m
    interlock permit verify 3f2a9c01 -a release-weights -s /models/m --spend s3://weights/m
    interlock permit verify permit.json --trust trust.json -a scale -s /models/m --effective-compute 2.5e24

    A permit for one use opens only while it is spent, which the ledger records: 0 once, and 3 ever after. By the ledger
    it decides again, and sees what was revoked, narrowed or spent. By a trust file it needs neither workspace nor
    network: it checks signatures, the proof, and the terms. A permit for a deployment opens that one only.
    """
    if trust is None and seen is not None:
        raise UsageError("--seen goes with --trust: by the ledger, the ledger's time is what was seen")
    if trust is not None and spend_on is not None:
        raise UsageError("--spend needs the ledger: without it nothing shows that the permit was not spent before")
    compute = _flop(effective_compute, "--effective-compute")
    asked = _Asked(action, subject_of(subject, adapter), deployment, compute, spend_on)
    try:
        if trust is not None:
            found = _offline(Path(permit), read_trust(trust), asked, seen)
        else:
            found = _online(*fresh(workspace, passphrase_file), permit, asked)
    except Held as held:
        if as_json:
            print_json({"opens": False, "why": str(held)})
            return HOLD
        raise
    if as_json:
        print_json({"opens": True, "action": action, **found})
    else:
        say(f"permit {found['permit'][:12]} opens `{action}` until {found['until']}")
    return OK


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a gate asks about."""

    action: str
    subject: str | None
    deployment: str | None
    compute: int | None
    spend_on: str | None


def _online(opened: Workspace, evidence: Evidence, digest: str, asked: _Asked) -> dict[str, Any]:
    wanted = permits.find(evidence, digest)
    model = wanted.subject if asked.subject is None else evidence.subject(asked.subject).digest
    offered = None if asked.deployment is None else evidence.deployment(asked.deployment)
    if model != wanted.subject:
        raise Held(f"the permit is for subject {wanted.subject[:12]}, expected one for {model[:12]}")
    grant = Grant.of(evidence, wanted)
    if asked.compute is not None:
        grant.check_compute(asked.compute)
    if asked.spend_on is None:
        permits.verify(evidence, wanted.digest, action=asked.action, at=now(), deployment=offered)
        return _told(wanted.digest, wanted.subject, grant)
    from interlock.gate.spending import spend

    named, on = offered.digest if offered else None, asked.spend_on
    spent = spend(opened, wanted.digest, action=asked.action, destination=on, at=now(), deployment=named)
    return _told(wanted.digest, wanted.subject, grant) | {"spent": {"entry": spent.entry, "on": spent.destination}}


def _offline(file: Path, trust: Trust, asked: _Asked, seen: Path | None) -> dict[str, Any]:
    subject, deployment = asked.subject, asked.deployment
    if subject is None or not _DIGEST.fullmatch(subject):
        raise UsageError("without the ledger, --subject is a folder of weights or a whole digest")
    if deployment is not None and not _DIGEST.fullmatch(deployment):
        raise UsageError(f"--deployment is `{deployment[:80]}`; without the ledger it is a whole digest")
    read = permit_file.read(_bytes(file, permit_file.LIMIT), trust, at=now())
    grant = read.verify(
        action=asked.action, subject=subject, at=now(), deployment=deployment, effective_compute=asked.compute
    )
    Lease(grant, seen=seen)
    told = {"ledger_time": timestamp(read.time), "cosigned_by": list(read.cosigned_by), "name": read.name}
    return _told(read.digest, read.subject, grant) | told


def _told(digest: str, subject: str, grant: Grant) -> dict[str, Any]:
    return {
        "permit": digest,
        "subject": subject,
        "effective_compute": {"start": str(grant.start_compute), "most": str(grant.most_compute)},
        "until": timestamp(grant.ends),
    }


@app.command("narrow")
def narrow(
    digest: DigestArgument,
    most_compute: MostOption = None,
    not_before: Annotated[str | None, typer.Option(help="A later start, such as 2026-12-24T00:00:00Z.")] = None,
    not_after: Annotated[str | None, typer.Option(help="An earlier end.")] = None,
    single_use: OnceOption = False,
    out: OutOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a permit with less in the place of another: less compute, a later start, an earlier end, one use.

    \b
    interlock permit narrow 3f2a9c01 --not-after 2026-12-24T00:00:00Z
    interlock permit narrow 3f2a9c01 --most-compute 1e24 --out for-the-gate.json

    What is wider is refused (exit code 2), and so is a permit that was revoked, narrowed, spent, or is over (3). The
    wider one opens nothing any more, for every gate that reaches the ledger.
    """
    from interlock.gate import narrowing

    opened = Workspace.open(workspace, passphrases(passphrase_file))
    less = narrowing.Less(
        most_compute=_flop(most_compute, "--most-compute"),
        not_before=_moment(not_before, "--not-before"),
        not_after=_moment(not_after, "--not-after"),
        single_use=single_use,
    )
    made = narrowing.narrow(opened, digest, less, at=now())
    permit = permits.find(opened.read(), made)
    if as_json:
        print_json({"permit": made, "subject": permit.subject, "entry": permit.entry, **permit.terms.to_json()})
    else:
        _show(permit)
    if out is not None:
        _write(opened, made, out, quiet=as_json)


app.command("revoke")(revoke)


@app.command("trust")
def make_trust(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it.")],
    witnesses: Annotated[
        Path | None, typer.Option(help="Quorum file (c2sp.org/tlog-policy): these must cosign what a gate is shown.")
    ] = None,
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Write what a gate must believe to verify a permit's file: the log's key, who issues permits, what is final.

    \b
    interlock permit trust --out trust.json
    interlock permit trust --out trust.json --witnesses quorum

    The owner of a gate installs it once, and again after an amendment. It is not signed: compare its digest with what
    somebody whom you trust reads out.
    """
    from interlock.gate.trust import Trust

    opened = Workspace.open(workspace)
    text = None if witnesses is None else _bytes(witnesses, 1 << 20).decode("utf-8", "replace")
    made = Trust.of(opened.read(), opened.ledger.log, at=now(), witnesses=text)
    data = made.to_bytes()
    _write_bytes(out, data)
    if as_json:
        told = {"file": str(out), "digest": made.digest, "policy": made.policy}
        print_json({**told, "versions": [it.digest for it in made.versions]})
        return
    say(f"{out}: permits of `{made.policy}`, by its version {made.versions[0].version}; digest {made.digest}")
    for later in made.versions[1:]:
        say(f"  from {timestamp(later.since)} on by its version {later.version}")


def _show(permit: Permit) -> None:
    terms = permit.terms
    lines = {
        "action": terms.action + (", for one use" if terms.single_use else ""),
        "subject": permit.subject,
        "lineage": f"{len(terms.lineage)} ancestors" if terms.lineage else "none: from scratch",
        "deployment": terms.deployment or "none: the bare model",
        "compute": f"from {terms.start_compute} to at most {terms.most_compute} FLOP (effective)",
        "valid": f"{timestamp(terms.not_before)} to {timestamp(terms.not_after)}",
        "decision": terms.decision,
        "policies": ", ".join(digest[:12] for digest in terms.policies),
        **({"narrows": terms.narrows} if terms.narrows else {}),
    }
    say(f"permit {permit.digest}", *(f"  {name:<10} {text}" for name, text in lines.items()))


def _write(opened: Workspace, digest: str, out: Path, *, quiet: bool) -> None:
    data = permit_file.export(opened, digest)
    _write_bytes(out, data)
    if not quiet:
        say(f"{out}: {len(data)} bytes; a gate verifies it with --trust FILE, which `permit trust` writes")


def _write_bytes(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)  # a gate that looks meanwhile never sees half of it
    except OSError as error:
        raise UsageError(f"`{path}`: cannot write it ({error.strerror})") from error


def _bytes(path: Path, limit: int) -> bytes:
    """A file, up to one byte more than may be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot read it ({error.strerror})") from error


def read_trust(path: Path) -> Trust:
    """The trust file there.

    Raises:
        UsageError: it cannot be read.
        EvidenceError: it is not one.
    """
    from interlock.gate.trust import LIMIT, Trust

    return Trust.parse(_bytes(path, LIMIT))


_DIGEST = re.compile(r"[0-9a-f]{64}")


def subject_of(named: str | None, adapter: Path | None) -> str | None:
    """A subject by its name or digest; by the digest of what lies there, if it is a folder."""
    if not named or not Path(named).is_dir():
        if adapter is not None:
            raise UsageError("--adapter goes with --subject FOLDER")
        return named
    from interlock.subject import manifest

    return manifest.of(Path(named), adapter=adapter).digest


def _flop(text: str | None, option: str) -> int | None:
    from interlock.cli.subjects import flop

    return flop(text, option=option) if text is not None else None


def _moment(text: str | None, option: str) -> datetime | None:
    from interlock.policy import _scalar

    try:
        return _scalar.day(text) if text is not None else None
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
