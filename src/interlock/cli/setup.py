"""`init`: a workspace around a policy and its keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from interlock.cli.options import (
    HERE,
    NoPassphraseOption,
    PassphraseOption,
    WorkspaceOption,
    for_new_keys,
    passphrases,
)
from interlock.errors import UsageError
from interlock.evidence import keys
from interlock.evidence.keyring import Keyring
from interlock.evidence.passphrase import Passphrases
from interlock.workspace import LOG_KEY, Workspace


def init(
    policy: Annotated[Path, typer.Option("--policy", "-p", help="The policy, as policy/v1 YAML.")],
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    no_passphrase: NoPassphraseOption = False,
) -> None:
    """Start a workspace: the policy is signed and becomes entry 0 of a new ledger.

    Keys that the policy names as files (`keys/NAME.pub`) and that are not there are made, so that one person can try
    every role; in earnest, each role makes its own (`interlock keys new`) and hands over the public file. The ledger's
    own key, keys/log.key, is made too. All that are made here share one passphrase, or have none (--no-passphrase).
    """
    found = passphrases(passphrase_file)
    choose = for_new_keys(found, "the keys that are made here", no_passphrase=no_passphrase)
    made = start(workspace, policy, encrypt_with=choose, passphrases=found)
    typer.echo(f"workspace `{made.folder}`: policy {made.policy_digest[:12]} is entry 0 of ledger `{made.origin}`")


def start(
    folder: Path, policy: Path, *, encrypt_with: Callable[[], bytes | None], passphrases: Passphrases | None = None
) -> Workspace:
    """Make a workspace in `folder` from a policy file.

    `encrypt_with` is asked once keys have to be made: their passphrase, or None for keys in the clear.

    Raises:
        PolicyError: the policy has mistakes, or has expired.
        UsageError: a file is missing, there is a workspace already, or there is no passphrase.
    """
    from interlock.policy.draft import stand_in
    from interlock.policy.load import content, key_files, loads

    if (folder / "interlock.json").exists():
        raise UsageError(f"`{folder}` holds a workspace already")
    text = content(policy)
    names = key_files(text, name=str(policy))
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UsageError(f"key file `{name}` lies outside the workspace; expected a path such as keys/NAME.pub")
    at = datetime.now(UTC)
    loads(text, name=str(policy), folder=policy.parent, at=at, absent=stand_in)  # tells mistakes before keys are made
    for name in names:
        public, source = folder / name, policy.parent / name
        if source.is_file() and source.resolve() != public.resolve():
            public.parent.mkdir(parents=True, exist_ok=True)
            public.write_text(source.read_text())
        elif not public.exists():
            keys.new_key(public.with_suffix(".key"), passphrase=encrypt_with())
    loaded = loads(text, name=str(policy), folder=folder, at=at)
    keyring = Keyring(folder / "keys", passphrases or Passphrases())
    if not keyring.private_path(LOG_KEY).exists():
        keys.new_key(keyring.private_path(LOG_KEY), passphrase=encrypt_with())
    return Workspace.create(keyring, policy=loaded, policy_text=text.decode())
