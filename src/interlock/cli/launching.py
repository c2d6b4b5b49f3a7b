"""`run`: a command that starts under a permit, and is stopped when that ends or holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interlock.cli._text import note
from interlock.cli.options import HERE, DeploymentOption, PassphraseOption, WorkspaceOption, passphrases
from interlock.cli.permits import ActionOption, AdapterOption, SeenOption, TrustOption, subject_of
from interlock.errors import HOLD, OK, UsageError
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.lease import Grant, Lease
from interlock.gate.outage import evidence_now, file_now
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from interlock.evidence.read import Evidence, Permit
    from interlock.gate.launcher import Clock, Verify


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, and its arguments.")],
    permit: Annotated[
        str, typer.Option("--permit", "-p", help="Digest of the permit, or how it begins; with --trust, its file.")
    ],
    action: ActionOption = "scale",
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject", "-s", help="Folder of the weights that the command loads.", show_default="not looked at"
        ),
    ] = None,
    adapter: AdapterOption = None,
    deployment: DeploymentOption = None,
    trust: TrustOption = None,
    seen: SeenOption = None,
    notice: Annotated[float, typer.Option(help="Seconds from SIGUSR1 (save, and stop) to SIGTERM.")] = 60.0,
    grace: Annotated[float, typer.Option(help="Seconds from SIGTERM to SIGKILL.")] = 30.0,
    every: Annotated[
        float, typer.Option(help="Seconds between looks at the permit; at the clocks each second.")
    ] = 60.0,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> int:
    """Run a command for as long as a permit opens the action.

    \b
    interlock run --permit 3f2a9c01 -s /models/m -- torchrun train.py --lr 3e-4
    interlock run --permit permit.json --trust trust.json --seen /var/lib/gate/seen -- python serve.py

    Without a permit nothing starts. The command gets SIGUSR1 so early that all is over when the lease ends, or at once
    when the permit is revoked, narrowed, or holds; then SIGTERM, then SIGKILL, with everything that it started. Where
    the ledger cannot be reached it runs on until its lease ends. A permit file is read again each time: one that is
    renewed in its place goes on. Exit code 3: it was not started, or was stopped, or a gate inside it held and it
    failed; else the command's own.
    """
    from interlock.gate import launcher

    if trust is None and seen is not None:
        raise UsageError("--seen goes with --trust: by the ledger, the ledger's time is what was seen")
    loaded = subject_of(subject, adapter)
    if trust is not None:
        verify = _by_file(Path(permit), trust, action, loaded, deployment, seen)
    else:
        verify = _by_ledger(workspace, passphrase_file, permit, action, loaded, deployment)
    pace = launcher.Pace(verify=every, notice=notice, grace=grace, look=min(1.0, every))
    ended = launcher.launch(command, verify, pace=pace, say=_say)
    return HOLD if ended.held is not None else ended.code or OK


def _by_ledger(
    folder: Path, passphrase_file: Path | None, digest: str, action: str, loaded: str | None, deployment: str | None
) -> Verify:
    """Decide again each time. A workspace that is not there now may be there again; one that is spoilt holds."""
    asked = passphrases(passphrase_file)

    def verify(clock: Clock) -> Lease:
        evidence = evidence_now(folder, asked)
        offered = None if deployment is None else evidence.deployment(deployment)
        found = permits.verify(evidence, digest, action=action, at=clock(), deployment=offered)
        if loaded is not None:
            _check_loaded(evidence, found, loaded)
        return Lease(Grant.of(evidence, found), clock=clock)

    return verify


def _check_loaded(evidence: Evidence, permit: Permit, loaded: str) -> None:
    """The weights are those of the permit's subject, or of a snapshot that was made under it, within its bound."""
    under, most = {it.digest for it in permits.chain(evidence, permit)}, permit.terms.most_compute
    made = [it.terms for it in evidence.snapshots if it.subject == loaded]
    if loaded != permit.subject and not any(it.permit in under for it in made):
        raise Held(f"the permit is for subject {permit.subject[:12]}, and what would be loaded is {loaded[:12]}")
    if (spent := max((it.compute for it in made), default=0)) > most:
        raise Held(
            f"the snapshot {loaded[:12]} has spent {spent} FLOP, and the permit's bound is {most}; evaluations of the "
            "snapshot and a new permit lift this"
        )


def _by_file(
    file: Path, trust: Path, action: str, loaded: str | None, deployment: str | None, seen: Path | None
) -> Verify:
    """Read both files anew each time: a renewed permit goes on, one that is gone or altered holds."""
    from interlock.gate.trust import LIMIT, Trust

    def verify(clock: Clock) -> Lease:
        try:
            data = file_now(file, permit_file.LIMIT)
        except UsageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                why = f"`{file}` is not there; a permit's file lifts this: interlock permit show --out"
                raise Held(why) from None
            raise
        read = permit_file.read(data, Trust.parse(file_now(trust, LIMIT)), at=clock())
        subject = read.subject if loaded is None else loaded
        return Lease(
            read.verify(action=action, subject=subject, at=clock(), deployment=deployment), clock=clock, seen=seen
        )

    return verify


def _say(text: str) -> None:
    note(f"interlock: {text}")
