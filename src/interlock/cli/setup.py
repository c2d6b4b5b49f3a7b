"""`init`: a policy to start with, and a workspace around a policy and its keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from interlock.cli._text import say
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
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Where --from and --from-pause write.", show_default="this folder"),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", "-p", help="Make a workspace around this policy, as policy/v1 YAML.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            envvar="INTERLOCK_INIT_FROM",
            help="Write a policy to start with: from small-lab, frontier-lab, regulator-baseline or a published one.",
        ),
    ] = None,
    from_pause: Annotated[
        str | None, typer.Option("--from-pause", metavar="TEXT", help="Write a policy that holds as these words say.")
    ] = None,
    developer: Annotated[
        str | None, typer.Option(help="Whose policy it is: the developer, or the authority that imposes a baseline.")
    ] = None,
    effective: Annotated[str | None, typer.Option(metavar="DATE", help="In force from.", show_default="today")] = None,
    approved_by: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="Who approves amendments.", show_default="as in the policy"),
    ] = None,
    release_weights: Annotated[
        bool | None,
        typer.Option(
            "--release-weights/--no-release-weights",
            help="Whether weights may ever be released; if not, `never` stands at that gate for every model.",
            show_default="where the policy permits it",
        ),
    ] = None,
    review: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="By when every hole is looked at again.", show_default="in half a year"),
    ] = None,
    resume: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="What must be attested before a pause is lifted; none: it is a stop."),
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    no_passphrase: NoPassphraseOption = False,
) -> None:
    """Start: a policy of your own from one that is there, and then a workspace around it.

    \b
    interlock init --from frontier-lab my-lab        policy.yaml and policy.cases.yaml in my-lab/, from a few answers
    interlock init --from anthropic-rsp-1.0 my-lab   the same from a published one
    interlock init --from-pause "no training above 1e26 FLOP for six months" my-lab
    interlock init --policy my-lab/policy.yaml       the workspace

    The first three ask at a terminal for what no option says. What they write loads, and its cases pass; holes and
    stops are printed. Nothing is overwritten. A pause is called a stop if nothing says what would lift it (--resume).
    docs/init.md tells which words are understood.

    With --policy the policy is signed and becomes entry 0 of a new ledger. Keys that it names as files
    (`keys/NAME.pub`) and that are not there are made, so that one person can try every role; in earnest, each role
    makes its own (`interlock keys new`) and hands over the public file. The ledger's own key, keys/log.key, is made
    too. All that are made here share one passphrase, or have none (--no-passphrase).
    """
    ways = {"--policy": policy, "--from": base, "--from-pause": from_pause}
    if sum(way is not None for way in ways.values()) != 1:
        raise UsageError(f"give one of {', '.join(ways)}; see `interlock init --help`")
    if policy is None:
        from interlock.cli import starting

        conditions = _conditions(context, resume)
        given = starting.Given(developer, effective, tuple(approved_by or ()), release_weights, review, conditions)
        if base is not None:
            starting.from_policy(base, folder or HERE, given)
        else:
            starting.from_pause(from_pause or "", folder or HERE, given)
        return
    if folder or developer or effective or approved_by or release_weights is not None or review or resume:
        raise UsageError("with --policy go --workspace and the options of passphrases; the others go with --from")
    found = passphrases(passphrase_file)
    choose = for_new_keys(found, "the keys that are made here", no_passphrase=no_passphrase)
    made = start(workspace, policy, encrypt_with=choose, passphrases=found)
    say(f"workspace `{made.folder}`: policy {made.policy_digest[:12]} is entry 0 of ledger `{made.origin}`")


def _conditions(context: typer.Context, given: list[str] | None) -> tuple[str, ...]:
    """What --resume says. The variable has a condition a line; Typer would take each word for one."""
    source = context.get_parameter_source("resume")
    if source is not None and source.name == "ENVIRONMENT":
        return tuple(os.environ["INTERLOCK_INIT_RESUME"].splitlines())
    return tuple(given or ())


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
