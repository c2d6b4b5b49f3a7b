"""`keys`: the Ed25519 keys that sign for the roles of a policy, and for the ledger."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import (
    HERE,
    JsonOption,
    NoPassphraseOption,
    PassphraseOption,
    WorkspaceOption,
    for_new_keys,
    passphrases,
    print_json,
)
from interlock.errors import FAILED, OK, LedgerError, UsageError
from interlock.evidence import keys, rotation
from interlock.evidence.keyring import Found, Keyring
from interlock.ledger.note import COSIGNATURE, ED25519, NoteKey
from interlock.workspace import Workspace, now, write_whole

if TYPE_CHECKING:
    from interlock.evidence.keys import PublicKey
    from interlock.policy.model import Policy, Role

app = typer.Typer(help="Make, list, export and rotate the keys that sign.", no_args_is_help=True)

_FORMATS = ("text", "pem", "vkey", "cosigner-vkey")
_SIMPLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*|ed25519:[A-Za-z0-9+/]+=")

NameArgument = Annotated[str, typer.Argument(help="Name of the key: keys/NAME.key and keys/NAME.pub.")]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the key, such as external-auditor.")],
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    no_passphrase: NoPassphraseOption = False,
) -> None:
    """Make a key pair in keys/: NAME.key (private, encrypted) and NAME.pub (to hand over, and to put into a policy).

    \b
    interlock keys new external-auditor                           asks for a passphrase, twice
    interlock keys new gatekeeper --passphrase-file /run/secrets/gatekeeper
    interlock keys new log --no-passphrase                        whoever can read the file can sign
    """
    ring = Keyring(workspace / "keys", passphrases(passphrase_file))
    pair = _make(ring, name, no_passphrase=no_passphrase)
    say(str(pair.public), f"key id {pair.public.key_id}")
    say(f"written to {ring.private_path(name)} ({_kind(encrypted=not no_passphrase)}) and {name}.pub")


@app.command("list")
def list_keys(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> int:
    """List the keys in keys/: ids, the roles of the policy that each signs for, and how the private file lies there.

    Opens nothing, and needs no passphrase. Exit code 5 if a file has a problem, such as a mode that lets others read.
    """
    opened = _workspace(workspace)
    policy = opened.read().policy if opened else None
    found = Keyring(workspace / "keys").found()
    rows = [_row(it, policy, opened) for it in found]
    if as_json:
        print_json(rows)
    else:
        _print(rows, workspace / "keys")
    return FAILED if any(it.problems for it in found) else OK


@app.command("export")
def export(
    name: NameArgument,
    form: Annotated[str, typer.Option("--format", "-f", help=f"One of {', '.join(_FORMATS)}.")] = "text",
    note_name: Annotated[
        str | None,
        typer.Option(help="Name in a vkey.", show_default="the ledger's origin for its own key, else NAME"),
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Print the public half of a key.

    \b
    text           ed25519:BASE64, as a policy has it, and as it stands in NAME.pub
    pem            SubjectPublicKeyInfo, for OpenSSL and others
    vkey           C2SP signed-note verifier key, for tools that read checkpoints
    cosigner-vkey  the same for timestamped cosignatures
    """
    if form not in _FORMATS:
        raise UsageError(f"--format is `{form}`, expected one of {', '.join(_FORMATS)}")
    public = Keyring(workspace / "keys", passphrases(passphrase_file)).public(name)
    if form in {"text", "pem"}:
        say(*(str(public) if form == "text" else public.pem().rstrip()).split("\n"))
        return
    opened = _workspace(workspace)
    own = opened.origin if opened and opened.log_key == public else name
    say(_note_key(note_name or own, public, ED25519 if form == "vkey" else COSIGNATURE).vkey)


@app.command("rotate")
def rotate(
    name: NameArgument,
    to: Annotated[str | None, typer.Option(help="Name of the new key.", show_default="NAME.2, NAME.3, ...")] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    no_passphrase: NoPassphraseOption = False,
) -> None:
    """Make a key's successor, with a proof that both keys signed, and print the policy lines that name it.

    The old key stays where it is and signs until an amendment of the policy has taken effect: nothing changes before.
    The proof is keys/NEW.rotation.json; `interlock keys verify` checks it on any machine.
    """
    ring = Keyring(workspace / "keys", passphrases(passphrase_file))
    opened = _workspace(workspace)
    policy = opened.read().policy if opened else None
    old = ring.pair(name)
    if opened and opened.log_key == old.public:
        raise UsageError(f"`{name}` signs the ledger, which keeps its key for life; expected the key of a role")
    successor = to or _next(ring, name)
    proof = ring.folder / f"{successor}.rotation.json"
    if proof.exists():
        raise UsageError(f"`{proof}` exists already, expected a new name: give one with --to")
    pair = _make(ring, successor, no_passphrase=no_passphrase)
    # crash point: a new key without its proof, which nothing uses; the same command makes another
    write_whole(proof, rotation.prove(successor, old, pair, at=now()))
    say(f"{ring.private_path(successor)} ({_kind(encrypted=not no_passphrase)}) succeeds {name}.key")
    say(f"proof {proof}")
    _print_amendment(policy, ring, old.public, successor)


@app.command("verify")
def verify(
    proof: Annotated[Path, typer.Argument(help="A file that `interlock keys rotate` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Check a proof of rotation: signed by the old key and by the new one. Exit code 4 if it is not."""
    try:
        found = rotation.verify(proof.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read `{proof}` ({error.strerror})") from error
    if as_json:
        print_json({"name": found.name, "old": str(found.old), "new": str(found.new), "at": found.at.isoformat()})
        return
    say(f"ok: the holder of {found.old} hands over to {found.new} (`{found.name}`), {found.at:%Y-%m-%d}")


def _make(ring: Keyring, name: str, *, no_passphrase: bool) -> keys.KeyPair:
    path = ring.private_path(name)
    if path.exists() or ring.public_path(name).exists():  # before anybody is asked for a passphrase
        raise UsageError(f"`{path}` exists already, expected a new name; a key file is never overwritten")
    choose = for_new_keys(ring.passphrases, f"`{name}`", no_passphrase=no_passphrase)
    return keys.new_key(path, passphrase=choose())


def _workspace(folder: Path) -> Workspace | None:
    """The workspace, if there is one: keys may be made and listed before, and on another machine."""
    return Workspace.open(folder) if (folder / "interlock.json").exists() else None


def _kind(*, encrypted: bool) -> str:
    return "encrypted" if encrypted else "not encrypted: whoever reads it can sign"


def _note_key(name: str, public: PublicKey, kind: int) -> NoteKey:
    try:
        return NoteKey(name, public, kind)
    except LedgerError as error:
        raise UsageError(f"--note-name: {error}") from error


def _next(ring: Keyring, name: str) -> str:
    """`board-1.2` after `board-1`, `board-1.3` after that."""
    stem, dot, number = name.rpartition(".")
    base, last = (stem, int(number)) if dot and number.isascii() and number.isdecimal() else (name, 1)
    while f"{base}.{last + 1}" in ring.names():
        last += 1
    return f"{base}.{last + 1}"


# -- what is listed ----------------------------------------------------------------------------------------------------


def _row(found: Found, policy: Policy | None, opened: Workspace | None) -> dict[str, Any]:
    public, private = found.public, found.private
    return {
        "name": found.name,
        "key_id": public.key_id if public else None,
        "public": str(public) if public else None,
        "private_key_here": private is not None,
        "encrypted": private.encrypted if private else None,
        "roles": [role.name for role in policy.roles.values() if public and str(public) in role.keys] if policy else [],
        "signs_ledger": bool(opened and public == opened.log_key),
        "problems": list(found.problems),
    }


def _print(rows: list[dict[str, Any]], folder: Path) -> None:
    if not rows:
        say(f"no keys in `{folder}`; make one: interlock keys new NAME")
    for row in rows:
        lies = {True: "encrypted", False: "not encrypted", None: "cannot be told"}[row["encrypted"]]
        where = f"private key {lies}" if row["private_key_here"] else "private key elsewhere"
        roles = [*row["roles"], *(["the ledger"] if row["signs_ledger"] else [])]
        signs = f", signs for {', '.join(roles)}" if roles else ""
        say(f"{row['name']:<20} {str(row['key_id'])[:16]:<16}  {row['public']}", f"{'':<20} {where}{signs}")
        for problem in row["problems"]:
            say(f"{'':<20} problem: {problem}")


# -- what an amendment needs -------------------------------------------------------------------------------------------


def _print_amendment(policy: Policy | None, ring: Keyring, old: PublicKey, successor: str) -> None:
    named = {str(it.public): f"keys/{it.name}.pub" for it in reversed(ring.found()) if it.public}
    using = [role for role in policy.roles.values() if str(old) in role.keys] if policy else []
    if not using:
        say(f"put keys/{successor}.pub in its place in the policy's roles, by an amendment")
        return
    say("the policy's roles as an amendment would have them:", "roles:")
    for role in using:
        say(f"  {role.name}: {_written(role, named | {str(old): f'keys/{successor}.pub'})}")


def _written(role: Role, named: dict[str, str]) -> str:
    """A role as a policy has it, on one line of YAML."""
    parts = [f"keys: {_listed([named.get(key, key) for key in role.keys])}", f"quorum: {role.quorum}"]
    rest = {"independent_of": role.independent_of, "declares": role.declares, "sources": role.sources}
    parts += [f"{field}: {_listed(values)}" for field, values in rest.items() if values]
    return f"{{{', '.join(parts)}}}"


def _listed(values: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(it if _SIMPLE.fullmatch(it) else json.dumps(it) for it in values)}]"
