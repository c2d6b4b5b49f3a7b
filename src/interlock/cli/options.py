"""Options that several commands share, and how a workspace is opened for reading."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from interlock.errors import PolicyError
from interlock.evidence.read import Evidence
from interlock.workspace import Workspace

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", help="Folder of the workspace.", envvar="INTERLOCK_WORKSPACE", show_default="this folder"
    ),
]
SubjectOption = Annotated[str, typer.Option("--subject", "-s", help="Name or digest of the subject.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HERE = Path()


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


def fresh(folder: Path) -> tuple[Workspace, Evidence]:
    """Open a workspace, have the log sign the present time if its key is here, and read everything.

    The logs of all results are checked against the ledger: a decision does not rest on altered ones.

    Raises:
        UsageError, LedgerError, EvidenceError: there is no workspace, or it does not verify.
    """
    workspace = Workspace.open(folder)
    if workspace.can_sign_checkpoints():
        workspace.refresh()
    evidence = workspace.read()
    workspace.check_logs(evidence)
    return workspace, evidence
