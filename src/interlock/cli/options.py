"""Options that several commands share, and how a workspace is opened for reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

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
HERE = Path()


def print_json(value: Any) -> None:  # noqa: ANN401  whatever JSON can hold
    """Print JSON for other programs: sorted, indented, one document."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True))


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
