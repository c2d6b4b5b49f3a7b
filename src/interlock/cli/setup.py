"""`init` and `keys`: a workspace, and the keys that sign in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from interlock.cli.options import HERE, JsonOption, WorkspaceOption, print_json
from interlock.errors import UsageError
from interlock.evidence import keys
from interlock.workspace import Workspace

keys_app = typer.Typer(help="Make and list Ed25519 keys.", no_args_is_help=True)


def init(
    policy: Annotated[Path, typer.Option("--policy", "-p", help="The policy, as policy/v1 YAML.")],
    workspace: WorkspaceOption = HERE,
) -> None:
    """Start a workspace: the policy is signed and becomes entry 0 of a new ledger.

    Keys that the policy names as files (`keys/NAME.pub`) and that are not there are made, so that one person can try
    every role; in earnest, each role makes its own (`interlock keys new`) and hands over the public file.
    """
    made = start(workspace, policy)
    typer.echo(f"workspace `{made.folder}`: policy {made.policy_digest[:12]} is entry 0 of ledger `{made.origin}`")


def start(folder: Path, policy: Path) -> Workspace:
    """Make a workspace in `folder` from a policy file.

    Raises:
        PolicyError: the policy has mistakes, or has expired.
        UsageError: a file is missing, or there is a workspace already.
    """
    from interlock.policy.load import content, key_files, loads

    if (folder / "interlock.json").exists():
        raise UsageError(f"`{folder}` holds a workspace already")
    text = content(policy)
    for name in key_files(text, name=str(policy)):
        public, source = folder / name, policy.parent / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UsageError(f"key file `{name}` lies outside the workspace; expected a path such as keys/NAME.pub")
        if source.is_file() and source.resolve() != public.resolve():
            public.parent.mkdir(parents=True, exist_ok=True)
            public.write_text(source.read_text())
        elif not public.exists():
            keys.new_key(public.with_suffix(".key"))
    loaded = loads(text, name=str(policy), folder=folder, at=datetime.now(UTC))
    return Workspace.create(folder, policy=loaded, policy_text=text.decode())


@keys_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the key, such as external-auditor.")],
    workspace: WorkspaceOption = HERE,
) -> None:
    """Make a key pair in keys/: NAME.key (private, readable by you only) and NAME.pub (to put into a policy)."""
    if "/" in name or name.startswith("."):
        raise UsageError(f"a key's name is a plain file name, got `{name}`")
    pair = keys.new_key(workspace / "keys" / f"{name}.key")
    typer.echo(f"{pair.public}\nkey id {pair.public.key_id}\nwritten to {workspace / 'keys' / name}.key and .pub")


@keys_app.command("list")
def list_keys(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the public keys in keys/."""
    rows = [
        {
            "name": path.stem,
            "key_id": keys.load_public(path).key_id,
            "public": str(keys.load_public(path)),
            "private_key_here": path.with_suffix(".key").exists(),
        }
        for path in sorted((workspace / "keys").glob("*.pub"))
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<20} {str(row['key_id'])[:16]}  {row['public']}")
    if not rows:
        typer.echo(f"no keys in `{workspace / 'keys'}`; make one: interlock keys new NAME")
