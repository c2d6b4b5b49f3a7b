"""`release`: weights leave under a permit that is spent on where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, fresh, print_json
from interlock.errors import HOLD
from interlock.gate import release as releases
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from interlock.gate.release import Plan, Released
    from interlock.workspace import Workspace


def release(
    subject: Annotated[str, typer.Argument(help="Name or digest of the subject.")],
    destination: Annotated[
        str, typer.Argument(metavar="DEST", help="A folder that is not there, or is empty; or a URL that fsspec knows.")
    ],
    permit: Annotated[
        str | None, typer.Option("--permit", "-p", help="Digest of a permit for release-weights, or how it begins.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make every check that comes before the first byte is copied, and stop.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> int | None:
    """Copy or upload a model's weights under a permit, which is spent on this destination. Exit code 3 without one.

    \b
    interlock release m /srv/public/m --permit 3f2a9c01
    interlock release m s3://weights/m --permit 3f2a9c01 --dry-run

    The files are hashed where they lie, on the way, and read back. They become visible at once, and only when the
    permit is spent, with the permit's file, the decision's bundle and the manifest beside them. The bundle has the
    whole ledger up to the decision: whoever gets the weights gets that, too. Killed at any point, the same command
    starts again, or goes on where the permit is spent. It never takes the permit to another destination.
    """
    try:
        opened, _ = fresh(workspace, passphrase_file)
        told = _run(opened, subject, destination, _given(permit, subject), dry_run=dry_run, quiet=as_json)
    except Held as held:
        if as_json:
            print_json({"released": False, "why": str(held)})
            return HOLD
        raise
    if as_json:
        print_json(told)
    return None


def _given(permit: str | None, subject: str) -> str:
    if permit is None:
        raise Held(
            "no permit was given, and without one nothing is released; ask for one: "
            f"interlock permit issue -s {subject} -a {releases.ACTION}"
        )
    return permit


def _run(
    opened: Workspace, subject: str, destination: str, permit: str, *, dry_run: bool, quiet: bool
) -> dict[str, Any]:
    from interlock.cli.show import progress

    with progress() as report:
        if dry_run:
            planned = releases.plan(opened, subject, destination, permit=permit, report=report)
        else:
            done = releases.release(opened, subject, destination, permit=permit, report=report)
    return _planned(planned, quiet=quiet) if dry_run else _done(done, quiet=quiet)


def _planned(planned: Plan, *, quiet: bool) -> dict[str, Any]:
    sizes = {name: path.stat().st_size for name, path in planned.sources.items() if path.exists()}
    papers = [releases.MANIFEST, releases.PERMIT, releases.BUNDLE, releases.MARKER]
    if not quiet:
        where = planned.destination.name
        say(f"`{planned.name}`, {len(planned.files)} files, {sum(sizes.values())} bytes, to {where}")
        for name, digest in planned.files.items():
            say(f"  {digest[:12]}  {sizes.get(name, 0):>14}  {name}")
        say(f"beside them: {', '.join(papers)}")
        say(f"permit {planned.permit.digest[:12]} " + _what_of_it(planned))
        say("a dry run: nothing was copied, and nothing spent")
    return {
        "released": False,
        "dry_run": True,
        "subject": planned.permit.subject,
        "permit": planned.permit.digest,
        "destination": planned.destination.name,
        "spent": planned.spent.entry if planned.spent else None,
        "files": [{"name": name, "sha256": it, "bytes": sizes.get(name)} for name, it in planned.files.items()],
        "papers": papers,
    }


def _what_of_it(planned: Plan) -> str:
    if planned.spent is not None:
        return f"was spent on it in entry {planned.spent.entry}; what is staged would be finished"
    return "opens it now, and would be spent on it"


def _done(done: Released, *, quiet: bool) -> dict[str, Any]:
    if not quiet:
        stands = "stood there already" if done.already else "released"
        say(f"{done.destination}: {stands}; {len(done.files)} files, every weight read back")
        say(f"permit {done.permit[:12]} is spent on it, by entry {done.entry} of the ledger")
    return {
        "released": True,
        "already": done.already,
        "subject": done.subject,
        "permit": done.permit,
        "destination": done.destination,
        "spent": done.entry,
        "files": list(done.files),
    }
