"""`ledger`: what stands in the ledger, whether it verifies, proofs from it, and what watches or closes it.

Most commands need no workspace: anyone with a copy of the ledger's folder and the log's verifier key can run them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, passphrases, print_json
from interlock.decide.decision import timestamp
from interlock.errors import LedgerError, UsageError
from interlock.ledger.log import Ledger, LedgerView, Verified
from interlock.ledger.note import NoteKey
from interlock.workspace import Workspace

if TYPE_CHECKING:
    from interlock.ledger._signed import Signed

ledger_app = typer.Typer(
    help="Read, verify, prove from, watch and seal the append-only ledger.", no_args_is_help=True, rich_markup_mode=None
)

FolderOption = Annotated[
    Path | None, typer.Option("--ledger", help="Folder of a ledger, or of a copy, instead of a workspace.")
]
KeyOption = Annotated[
    str | None, typer.Option("--vkey", help="The log's verifier key, `name+id+base64`, as `ledger verify --json` says.")
]


def _ledger(workspace: Path, folder: Path | None, vkey: str | None) -> Ledger:
    """The ledger that was named: by its folder and key, or by the workspace that trusts it.

    Raises:
        UsageError: one of folder and key without the other, or a key that is none.
    """
    if folder is None and vkey is None:
        return Workspace.open(workspace).ledger
    if folder is None or vkey is None:
        raise UsageError("got one of --ledger and --vkey, expected both: a folder proves nothing without the log's key")
    key = _key(vkey)
    return Ledger.open(folder, key.public, key.name)


def _key(vkey: str) -> NoteKey:
    try:
        return NoteKey.parse(vkey)
    except LedgerError as error:
        raise UsageError(f"--vkey: {error}") from error


@ledger_app.command("verify")
def verify(
    workspace: WorkspaceOption = HERE, folder: FolderOption = None, vkey: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Recompute everything: every hash, tile, checkpoint and signature.

    In a workspace also every statement's signature, every log, and every decision that the ledger records. With
    --ledger and --vkey the ledger alone, as an auditor can who has nothing else. Only reads: no permission to write
    is needed. Exit code 4 on the first thing that is not as it should be, naming it.

    \b
        interlock ledger verify -w lab
        interlock ledger verify --ledger COPY --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
    """
    ledger = _ledger(workspace, folder, vkey)
    found = _described(ledger, _verify(ledger))
    if folder is None:
        found |= _verify_statements(Workspace.open(workspace))
    if as_json:
        print_json(found)
        return
    sealed = f"; sealed: {found['sealed']['reason']}" if found["sealed"] else ""
    typer.echo(
        f"ok: {found['entries']} entries, root {found['root'][:16]}, checkpoint of {found['checkpoint_time']}, "
        f"{found['checkpoints']} checkpoints{sealed}"
    )
    if folder is None:
        typer.echo(
            f"{found['logs']} logs unaltered; {found['decisions_derived_again']} decision(s) derived again with the "
            "same answer"
        )


def _verify(ledger: Ledger) -> Verified:
    """Verify, with a progress bar where somebody looks and it takes long enough to be seen."""
    import sys

    if not sys.stderr.isatty():
        return ledger.verify()
    from interlock.cli.show import progress

    with progress() as report:
        return ledger.verify(lambda done, total: report("verifying", done, total))


def _verify_statements(opened: Workspace) -> dict[str, Any]:
    from interlock.evidence.rederive import rederive

    evidence = opened.read()
    return {
        "logs": opened.check_logs(evidence),
        "decisions_derived_again": rederive(opened.ledger.read(), pinned_policy=opened.policy_digest),
        "policy": evidence.policy_digest,
    }


def _described(ledger: Ledger, verified: Verified) -> dict[str, Any]:
    seal = verified.seal
    return {
        "entries": verified.size,
        "root": verified.root.hex(),
        "checkpoint_time": timestamp(verified.time),
        "checkpoints": verified.checkpoints,
        "sealed": {"successor": seal.successor, "reason": seal.reason} if seal else None,
        "vkey": NoteKey(ledger.origin, ledger.key).vkey,
    }


@ledger_app.command("log")
def log(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the entries: what each is, about what, signed by whom, when."""
    from interlock.evidence.read import read

    opened = Workspace.open(workspace)
    view = opened.ledger.read()
    records = read(view, pinned_policy=opened.policy_digest).records
    rows: list[dict[str, Any]] = [
        {
            "entry": r.entry,
            "kind": r.kind,
            "about": r.about,
            "signers": sorted(r.signers),
            "members": sorted(r.members),
            "time": timestamp(r.at),
            "digest": r.digest,
        }
        for r in records
    ]
    if view.seal is not None:
        last = view.entries[-1]
        told = {"kind": "seal", "about": view.origin, "signers": ["log"], "members": [], "digest": last.leaf.hex()}
        rows.append({"entry": last.index, "time": timestamp(last.time), **told})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        signers = ", ".join(row["signers"]) or ", ".join(f"a member of {it}" for it in row["members"])
        typer.echo(f"{row['entry']:>4}  {row['time']}  {row['kind']:<12} {row['about']:<20} {signers}")


@ledger_app.command("show")
def show(
    entry: Annotated[int, typer.Argument(min=0, help="Number of the entry.")],
    workspace: WorkspaceOption = HERE,
    folder: FolderOption = None,
    vkey: KeyOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the entry's exact bytes to this file instead.")
    ] = None,
) -> None:
    """Print the signed statement of one entry as JSON; or write the entry's exact bytes, as `ledger proof` needs them.

    \b
        interlock ledger show 12
        interlock ledger show 12 -o entry-12
    """
    from interlock.evidence import dsse

    view = _ledger(workspace, folder, vkey).read()
    data = _entry(view, entry)
    if output is not None:
        output.write_bytes(data)
        typer.echo(f"{len(data)} bytes written to {output}")
    elif view.seal is not None and entry == view.size - 1:
        print_json({"seal": view.origin, "successor": view.seal.successor, "reason": view.seal.reason})
    else:
        print_json(json.loads(dsse.parse(data).payload))


def _entry(view: LedgerView, number: int) -> bytes:
    if number >= view.size:
        raise UsageError(f"the ledger has {view.size} entries, got {number}")
    return view.entries[number].data


@ledger_app.command("proof")
def proof(
    entry: Annotated[int | None, typer.Argument(min=0, help="Number of the entry to prove.")] = None,
    workspace: WorkspaceOption = HERE,
    folder: FolderOption = None,
    vkey: KeyOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default="entry-N.tlog-proof")
    ] = None,
    check: Annotated[Path | None, typer.Option("--check", help="Check this proof file instead of making one.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="With --check: the entry's bytes, from `ledger show N -o FILE`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that an entry is in the ledger, or check one (c2sp.org/tlog-proof).

    The file says by itself, to anyone with the entry and the log's verifier key, that the entry stands in the ledger
    at that number under a checkpoint that the log signed at that time. Checking needs no ledger and no network.

    \b
        interlock ledger proof 12
        interlock ledger proof --check entry-12.tlog-proof --data entry-12 --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
    """
    from interlock.ledger.proof import InclusionProof, prove

    if check is not None:
        if entry is not None or data is None:
            raise UsageError("got --check, expected --data with the entry's bytes, and no number")
        made = InclusionProof.parse(_bytes_of(check))
        log = Ledger(HERE, _key(vkey).public, _key(vkey).name).log if vkey else _ledger(workspace, None, None).log
        signed = made.verify(_bytes_of(data), log)
        _tell_proof(made.index, signed, f"`{data}` is entry {made.index}", as_json=as_json)
        return
    if entry is None:
        raise UsageError("got no entry, expected the number of one to prove, or --check FILE")
    ledger = _ledger(workspace, folder, vkey)
    bytes_of_entry = _entry(ledger.read(), entry)
    made = prove(ledger, entry, bytes_of_entry)
    path = output or Path(f"entry-{entry}.tlog-proof")
    path.write_bytes(made.to_bytes())
    signed = made.verify(bytes_of_entry, ledger.log)
    _tell_proof(entry, signed, f"proof of entry {entry} written to {path}", as_json=as_json)


def _tell_proof(entry: int, signed: Signed, text: str, *, as_json: bool) -> None:
    from interlock.ledger._signed import utc

    time = timestamp(utc(signed.time))
    if as_json:
        print_json({"entry": entry, "size": signed.size, "root": signed.root.hex(), "checkpoint_time": time})
        return
    typer.echo(f"ok: {text}, under the checkpoint of {signed.size} entries, {time}")


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"`{path}`: cannot read it ({error.strerror})") from error


@ledger_app.command("seal")
def seal(
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line; it stands in the ledger.")],
    successor: Annotated[str, typer.Option("--successor", help="Name of the ledger that goes on, if one does.")] = "-",
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close the ledger for good: a last entry, signed by the log, after which nobody can append or refresh.

    It stays readable and verifiable. Decisions need a fresh checkpoint, so every gate on this workspace holds once the
    last checkpoint is older than the policy's `ledger_age`. There is no way back.

    \b
        interlock ledger seal --reason "moved to the new registry" --successor example-lab.rsp/ledger-2
    """
    opened = Workspace.open(workspace, passphrases(passphrase_file))
    with opened.writer() as writer:
        number = writer.seal(successor=successor, reason=reason)
    if as_json:
        print_json({"entry": number, "successor": successor, "reason": reason})
        return
    typer.echo(f"sealed: entry {number} is the last")


@ledger_app.command("monitor")
def monitor(
    kept: Annotated[Path, typer.Option("--kept", help="File with the checkpoint that was seen last.")],
    start: Annotated[bool, typer.Option("--start", help="Keep the ledger's checkpoint for the first time.")] = False,
    workspace: WorkspaceOption = HERE,
    folder: FolderOption = None,
    vkey: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that a ledger continues what it showed before; exit code 4 if it was cut off, forked or put back.

    Run it now and then (from cron, say), on another machine than the ledger's. The checkpoint that is kept moves on
    with each good answer; after a bad one both are kept: two signatures of one log over trees that exclude each
    other, which is proof to anyone.

    \b
        interlock ledger monitor --kept seen --start --ledger COPY --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
        interlock ledger monitor --kept seen --ledger COPY --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
    """
    from interlock.ledger import monitor as monitors

    ledger = _ledger(workspace, folder, vkey)
    if start:
        latest = before = monitors.start(ledger, kept)
    else:
        watched = monitors.watch(ledger, kept)
        before, latest = watched.kept, watched.latest
    if as_json:
        print_json({"before": before.size, "entries": latest.size, "root": latest.root.hex()})
        return
    if start:
        typer.echo(f"kept in {kept}: the checkpoint of {latest.size} entries, root {latest.root.hex()[:16]}")
        return
    typer.echo(f"ok: {latest.size} entries continue the {before.size} seen before; root {latest.root.hex()[:16]}")
