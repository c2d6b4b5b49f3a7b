"""`export`: a decision or a result in a format that other people's tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interlock.cli._text import say
from interlock.cli.bundles import write
from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, fresh, print_json
from interlock.errors import UsageError
from interlock.evidence import bundle, dsse, export
from interlock.evidence.read import read
from interlock.evidence.statement import PAYLOAD_TYPE

if TYPE_CHECKING:
    from interlock.evidence.statement import Statement
    from interlock.workspace import Workspace

#: Each format as files are named after it, as people call it, and the member that says how it went.
_FORMATS = {
    export.VSA: ("vsa", "SLSA VSA v1", "verificationResult"),
    export.TEST_RESULT: ("test-result", "in-toto test-result v0.1", "result"),
}


def export_entry(
    entry: Annotated[int, typer.Argument(min=0, help="Number of the entry, a decision or a result.")],
    by: Annotated[str, typer.Option("--by", help="The role that signs it.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default="entry-N.FORMAT.json")
    ] = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a decision as a SLSA VSA, or a result as an in-toto test-result, in a signed envelope (DSSE).

    \b
        interlock export 12 --by gatekeeper
        interlock export 7 --by evaluation-team -o for-the-scanner.json

    A VSA says PASSED for a permit and FAILED for a hold; it has no bounds and does not end, and no gate here reads it.
    A test-result says FAILED, or WARNED where the result alone puts its measure under every line that it is of: a
    result never passes by itself. Where each field comes from, and what is lost, is in docs/formats.md. A decision
    that would not verify is not exported, nor is a result whose log was altered: exit code 4.
    """
    opened, evidence = fresh(workspace, passphrase_file)
    signing = opened.signing(evidence, by)
    made = _made(opened, entry, by)
    suffix, called, member = _FORMATS[made.predicate_type]
    path, said = output or Path(f"entry-{entry}.{suffix}.json"), made.predicate[member]
    write(path, dsse.sign(made.to_bytes(), PAYLOAD_TYPE, signing))
    key_ids = [pair.public.key_id for pair in signing]
    if as_json:
        told = {"file": str(path), "predicate_type": made.predicate_type, "result": said, "digest": made.digest}
        print_json({**told, "entry": entry, "by": by, "key_ids": key_ids})
        return
    say(f"{path}: {called} of entry {entry}, {said}, signed by `{by}` with {', '.join(key_ids)}")


def _made(opened: Workspace, entry: int, by: str) -> Statement:
    """The statement that is exported.

    Raises:
        UsageError: the entry is neither a decision nor a result.
    """
    view = opened.view()
    evidence = read(view, pinned_policy=opened.policy_digest)
    kind = evidence.records[entry].kind if entry < len(evidence.records) else None
    if kind == "decision":
        return export.vsa(bundle.checked(opened.ledger, view, entry, policy=opened.policy_digest)[1], by=by)
    if kind == "result":
        return export.test_result(view, evidence, entry)
    got = f"entry {entry} is a `{kind}`" if kind else f"the ledger has {len(evidence.records)} statements, got {entry}"
    raise UsageError(f"{got}, expected the number of a decision or a result: interlock ledger log")
