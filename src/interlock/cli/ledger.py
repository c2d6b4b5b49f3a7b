"""`ledger`: what stands in the ledger, whether it verifies, proofs from it, and what watches or closes it.

Most commands need no workspace: anyone with a copy of the ledger's folder and the log's verifier key can run them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import note, say
from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, passphrases, print_json
from interlock.decide.decision import timestamp
from interlock.errors import InterlockError, LedgerError, UsageError
from interlock.ledger.log import Ledger, LedgerView, Verified
from interlock.ledger.note import COSIGNATURE, ED25519, NoteKey
from interlock.workspace import Workspace, now

if TYPE_CHECKING:
    from interlock.ledger._signed import Log, Signed
    from interlock.ledger.quorum import Quorum, Standing

ledger_app = typer.Typer(
    help="Read, verify, prove from, watch and seal the append-only ledger.", no_args_is_help=True, rich_markup_mode=None
)

FolderOption = Annotated[
    Path | None, typer.Option("--ledger", help="Folder of a ledger, or of a copy, instead of a workspace.")
]
KeyOption = Annotated[
    str | None, typer.Option("--vkey", help="The log's verifier key, `name+id+base64`, as `ledger verify --json` says.")
]

WitnessesOption = Annotated[
    Path | None,
    typer.Option("--witnesses", help="Quorum file (c2sp.org/tlog-policy): require that these witnesses cosigned."),
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
    key = log_key(vkey)
    return Ledger.open(folder, key.public, key.name)


def log_key(vkey: str) -> NoteKey:
    """The log's key, as `--vkey` names it.

    Raises:
        UsageError: it is no verifier key, or not one of a log.
    """
    key = _key(vkey)
    if key.kind != ED25519:
        raise UsageError(f"--vkey: got a key of signature type {key.kind}, expected the log's, of type {ED25519}")
    return key


def _key(vkey: str, option: str = "--vkey") -> NoteKey:
    try:
        return NoteKey.parse(vkey)
    except LedgerError as error:
        raise UsageError(f"{option}: {error}") from error


@ledger_app.command("verify")
def verify(
    workspace: WorkspaceOption = HERE,
    folder: FolderOption = None,
    vkey: KeyOption = None,
    witnesses: WitnessesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute everything: every hash, tile, checkpoint and signature.

    In a workspace also every statement's signature, every log, and every decision that the ledger records. With
    --ledger and --vkey the ledger alone, as an auditor can who has nothing else. Only reads: no permission to write
    is needed. Exit code 4 on the first thing that is not as it should be, naming it; so too, with --witnesses, if the
    latest checkpoint has not the cosignatures that the file asks for.

    \b
        interlock ledger verify -w lab
        interlock ledger verify -w lab --witnesses quorum
        interlock ledger verify --ledger COPY --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
    """
    ledger, quorum = _ledger(workspace, folder, vkey), _quorum(witnesses)
    verified = _verify(ledger)
    standing = _required(verified.note, quorum, ledger.log)
    found = _described(ledger, verified) | _witnesses(standing)
    if folder is None:
        found |= _verify_statements(Workspace.open(workspace))
    if as_json:
        print_json(found)
        return
    sealed = f"; sealed: {found['sealed']['reason']}" if found["sealed"] else ""
    say(
        f"ok: {found['entries']} entries, root {found['root'][:16]}, checkpoint of {found['checkpoint_time']}, "
        f"{found['checkpoints']} checkpoints{sealed}"
    )
    _tell_witnesses(standing)
    if folder is None:
        say(
            f"{found['logs']} logs unaltered; {found['decisions_derived_again']} decision(s) derived again with the "
            "same answer"
        )


def _quorum(path: Path | None) -> Quorum | None:
    from interlock.ledger import quorum

    return None if path is None else quorum.parse(_bytes_of(path), str(path))


def _required(note: bytes, quorum: Quorum | None, log: Log) -> Standing | None:
    """What the witnesses say, if a quorum is asked for; it must be met."""
    from interlock.ledger import quorum as quorums

    if quorum is None:
        return None
    standing = quorums.check(note, quorum, log=log, now=now())
    standing.require()
    return standing


def _witnesses(standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        return {}
    rows = [
        {
            "name": it.witness.name,
            "vkey": it.witness.key.vkey,
            "cosigned": None if it.time is None else timestamp(it.time),
            "problem": it.problem or None,
        }
        for it in standing.cosigners
    ]
    return {"quorum": {"name": standing.quorum, "met": standing.met, "witnesses": rows}}


def _tell_witnesses(standing: Standing | None) -> None:
    if standing is None:
        return
    for it in standing.cosigners:
        say(f"  {it.witness.name}: {it.problem if it.time is None else f'cosigned {timestamp(it.time)}'}")
    say(f"quorum `{standing.quorum}` is met")


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
        "decisions_derived_again": rederive(opened.view(), pinned_policy=opened.policy_digest),
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
        say(f"{row['entry']:>4}  {row['time']}  {row['kind']:<12} {row['about']:<20} {signers}")


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
        say(f"{len(data)} bytes written to {output}")
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
    witnesses: WitnessesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that an entry is in the ledger, or check one (c2sp.org/tlog-proof).

    The file says by itself, to anyone with the entry and the log's verifier key, that the entry stands in the ledger
    at that number under a checkpoint that the log signed at that time. Checking needs no ledger and no network. It
    carries the cosignatures that stand under the checkpoint, for --witnesses to ask for. A proof shows nothing of what
    the log did later.

    \b
        interlock ledger proof 12
        interlock ledger proof 12 --witnesses quorum
        interlock ledger proof --check entry-12.tlog-proof --data entry-12 --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
    """
    from interlock.ledger.proof import InclusionProof, prove

    quorum = _quorum(witnesses)
    if check is not None:
        if entry is not None or data is None:
            raise UsageError("got --check, expected --data with the entry's bytes, and no number")
        made = InclusionProof.parse(_bytes_of(check))
        log = Ledger(HERE, log_key(vkey).public, log_key(vkey).name).log if vkey else _ledger(workspace, None, None).log
        signed = made.verify(_bytes_of(data), log)
        standing = _required(signed.data, quorum, log)
        _tell_proof(made.index, signed, f"`{data}` is entry {made.index}", standing, as_json=as_json)
        return
    if entry is None:
        raise UsageError("got no entry, expected the number of one to prove, or --check FILE")
    ledger = _ledger(workspace, folder, vkey)
    bytes_of_entry = _entry(ledger.read(), entry)
    made = prove(ledger, entry, bytes_of_entry)
    signed = made.verify(bytes_of_entry, ledger.log)
    standing = _required(signed.data, quorum, ledger.log)
    path = output or Path(f"entry-{entry}.tlog-proof")
    path.write_bytes(made.to_bytes())
    _tell_proof(entry, signed, f"proof of entry {entry} written to {path}", standing, as_json=as_json)


def _tell_proof(entry: int, signed: Signed, text: str, standing: Standing | None, *, as_json: bool) -> None:
    from interlock.ledger._signed import utc

    time = timestamp(utc(signed.time))
    if as_json:
        found = {"entry": entry, "size": signed.size, "root": signed.root.hex(), "checkpoint_time": time}
        print_json(found | _witnesses(standing))
        return
    say(f"ok: {text}, under the checkpoint of {signed.size} entries, {time}")
    _tell_witnesses(standing)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"`{path}`: cannot read it ({error.strerror})") from error


@ledger_app.command("witness")
def witness(
    witnesses: WitnessesOption = None,
    url: Annotated[str | None, typer.Option("--url", help="Ask this one witness, instead of those of a file.")] = None,
    witness_key: Annotated[
        str | None, typer.Option("--witness-vkey", help="With --url: the witness's verifier key.")
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have witnesses cosign the latest checkpoint (c2sp.org/tlog-witness), and keep their lines under it.

    Each is sent the checkpoint, and the proof that its tree continues what the witness cosigned before; what comes
    back is checked. With --witnesses every witness of the file that has a URL is asked. Exit code 4 if one of them
    saw another history, or if the quorum is not met afterwards; a witness that does not answer matters only then.
    The next entry makes another checkpoint: ask again when it is there, from cron, say.

    \b
        interlock ledger witness --witnesses quorum
        interlock ledger witness --url https://regulator.example/w --witness-vkey regulator.example/w+1a2b3c4d+BA...
    """
    from interlock.witness.ask import cosign_ledger

    asked = _asked(witnesses, url, witness_key)
    opened = Workspace.open(workspace, passphrases(passphrase_file))
    cosigned: dict[str, dict[str, Any]] = {}
    problems: list[InterlockError] = []
    with opened.writer() as writer:
        for name, key, address in asked:
            try:
                got = cosign_ledger(writer, address, key, now)
            except (LedgerError, UsageError) as error:
                problems.append(error)
                if len(asked) > 1:  # one alone is the command's own error
                    note(f"interlock: witness `{name}`: {error}")
                continue
            cosigned[name] = {"entries": got.size, "time": timestamp(got.time)}
            if not as_json:
                say(f"{name}: cosigned {got.size} entries, {timestamp(got.time)}")
    if as_json:
        print_json({"cosigned": cosigned, "problems": [str(problem) for problem in problems]})
    _conclude(opened.ledger, _quorum(witnesses), problems)


def _asked(witnesses: Path | None, url: str | None, vkey: str | None) -> list[tuple[str, NoteKey, str]]:
    """Name, key and address of each witness to ask."""
    quorum = _quorum(witnesses)
    if quorum is not None and url is None and vkey is None:
        asked = [(it.name, it.key, it.url) for it in quorum.witnesses if it.url is not None]
        if not asked:
            raise UsageError(f"`{witnesses}`: no witness there has a URL, expected `witness NAME VKEY URL`")
        return asked
    if quorum is not None or url is None or vkey is None:
        raise UsageError("expected either --witnesses FILE, or --url and --witness-vkey")
    key = _key(vkey, "--witness-vkey")
    if key.kind != COSIGNATURE:
        raise UsageError(f"--witness-vkey: got a verifier key of type {key.kind}, expected a witness's, of type 4")
    return [(key.name, key, url)]


def _conclude(ledger: Ledger, quorum: Quorum | None, problems: list[InterlockError]) -> None:
    """Another history is an error whoever saw it; silence only if it leaves no quorum."""
    worst = next((it for it in problems if isinstance(it, LedgerError)), None)
    if worst is not None or (quorum is None and problems):
        raise worst or problems[0]
    _required(ledger.latest().data, quorum, ledger.log)


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
    say(f"sealed: entry {number} is the last")


@ledger_app.command("accept-restored")
def accept_restored(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """Go on with a ledger that was put back from a copy, and give up what it had shown since.

    A workspace remembers the latest checkpoint that it saw, and so does every process that keeps a gate open. An older
    ledger in its place is refused: what it has lost may be a revocation, or the use of a permit for one use. Say first
    what was lost, to whoever relies on it; then this. The checkpoint that is given up is kept, as
    `last-checkpoint.given-up`. A gate that was open meanwhile holds until it is started again.

    \b
        interlock ledger accept-restored -w lab
    """
    opened = Workspace.open(workspace)
    view = opened.ledger.read()
    try:
        opened.memory.check(view, opened.memory.seen())
    except LedgerError as error:
        lost = str(error)
    else:
        raise UsageError("the ledger continues what it showed before: there is nothing to accept")
    opened.memory.give_up()
    opened.view()
    if as_json:
        print_json({"entries": view.size, "root": view.root.hex(), "given_up": lost})
        return
    say(f"accepted: {view.size} entries, root {view.root.hex()[:16]}; given up: {lost}")


@ledger_app.command("monitor")
def monitor(
    kept: Annotated[Path, typer.Option("--kept", help="File with the checkpoint that was seen last.")],
    start: Annotated[bool, typer.Option("--start", help="Keep the ledger's checkpoint for the first time.")] = False,
    workspace: WorkspaceOption = HERE,
    folder: FolderOption = None,
    vkey: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that a ledger continues what it showed; exit code 4 if it was cut off, forked, put back or dated anew.

    Run it now and then (from cron, say), on another machine than the ledger's. The checkpoint that is kept moves on
    with each good answer; after a bad one both are kept: two signatures of one log over trees that exclude each
    other, which is proof to anyone. `FILE.times` has a digest of the entries' times, which no tree covers.

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
        say(f"kept in {kept}: the checkpoint of {latest.size} entries, root {latest.root.hex()[:16]}")
        return
    say(f"ok: {latest.size} entries continue the {before.size} seen before; root {latest.root.hex()[:16]}")
