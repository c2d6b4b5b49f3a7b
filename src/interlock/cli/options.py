"""Options that several commands share, and how a workspace is opened for reading."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from interlock.errors import PolicyError, UsageError
from interlock.evidence.passphrase import FILE_VARIABLE, Passphrases
from interlock.evidence.read import Evidence
from interlock.workspace import Workspace

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", help="Folder of the workspace.", envvar="INTERLOCK_WORKSPACE", show_default="this folder"
    ),
]
SubjectOption = Annotated[str, typer.Option("--subject", "-s", help="Name or digest of the subject.")]
DeploymentOption = Annotated[
    str | None, typer.Option("--deployment", "-d", help="Name or digest of the deployment, where one is asked about.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File with the passphrase of encrypted keys; asked for without it.",
        envvar=FILE_VARIABLE,
    ),
]
NoPassphraseOption = Annotated[
    bool, typer.Option("--no-passphrase", help="Do not encrypt: for machines that sign unattended, and for trying out.")
]
HERE = Path()
#: The most characters of a name.
_NAME = 4096
#: The most characters of a number, and the largest exponent: a number of ten characters can have a billion digits.
_CHARACTERS, _EXPONENT = 40, 400


def print_json(value: Any) -> None:  # noqa: ANN401  whatever JSON can hold
    """Print JSON for other programs: sorted, indented, one document."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True))


@contextmanager
def told_as_json(wanted: bool) -> Iterator[None]:  # noqa: FBT001  what an option says
    """If wanted, print what is wrong with a policy or its cases as JSON too, before the error goes on its way."""
    try:
        yield
    except PolicyError as error:
        if wanted:
            print_json({"problems": [asdict(mistake) for mistake in error.mistakes]})
        raise


def passphrases(file: Path | None) -> Passphrases:
    """Where passphrases come from in a command: `file`, the environment, and the terminal if there is one."""
    return Passphrases(file, _ask if sys.stdin.isatty() else None)


def for_new_keys(found: Passphrases, what: str, *, no_passphrase: bool) -> Callable[[], bytes | None]:
    """Gives the passphrase of keys that a command makes, None for keys in the clear; looked for once, when needed."""
    return cache(lambda: None if no_passphrase else found.for_new(what))


def _ask(prompt: str) -> str:
    """What is typed at the terminal, unseen."""
    typed: str = typer.prompt(prompt, hide_input=True, default="", show_default=False, err=True)
    return typed


def fresh(folder: Path, passphrase_file: Path | None = None) -> tuple[Workspace, Evidence]:
    """Open a workspace, have the log sign the present time if its key is here, and read everything.

    The logs of all results are checked against the ledger: a decision does not rest on altered ones.

    Raises:
        UsageError, LedgerError, EvidenceError: there is no workspace, or it does not verify.
    """
    workspace = Workspace.open(folder, passphrases(passphrase_file))
    if workspace.can_sign_checkpoints():
        workspace.refresh()
    evidence = workspace.read()
    workspace.check_logs(evidence)
    return workspace, evidence


def check_name(name: str) -> None:
    """That people can tell a new subject or deployment by its name: no other differs from it by what nobody sees.

    Raises:
        UsageError: it is empty, too long, or not printable.
    """
    if not 0 < len(name) <= _NAME or not name.isprintable():
        raise UsageError(f"the name is {name!a:.80}, expected 1 to {_NAME} printable characters")


def exactly(option: str, text: str, *, expected: str = "a number") -> Fraction:
    """The exact number that an option gives: `0.05`, `1/20` or `5e-2`. What is too long is refused before it is built.

    Raises:
        UsageError: it is none, has more than 40 characters, or an exponent under -400 or over 400.
    """
    said = f"{option} is `{text[:_CHARACTERS]}{'...' if len(text) > _CHARACTERS else ''}`, expected {expected}"
    try:
        if len(text) <= _CHARACTERS and abs(int(text.lower().partition("e")[2] or "0")) <= _EXPONENT:
            return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(said) from None
    raise UsageError(f"{said}, of at most {_CHARACTERS} characters and an exponent of -{_EXPONENT} to {_EXPONENT}")


def moment(text: str, option: str) -> datetime:
    """The time, or the day, that an option gives.

    Raises:
        UsageError: it is none.
    """
    from interlock.policy import _scalar

    try:
        return _scalar.day(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
