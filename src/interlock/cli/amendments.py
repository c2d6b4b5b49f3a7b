"""`amend` and `except`: the next version of the policy, and the opening of one of its exceptions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interlock.cli._text import say
from interlock.cli.options import (
    HERE,
    JsonOption,
    PassphraseOption,
    WorkspaceOption,
    fresh,
    print_json,
    told_as_json,
)
from interlock.cli.testimony import TextOption, developer, put, rule
from interlock.decide.decision import timestamp
from interlock.errors import UsageError
from interlock.workspace import now, write_whole

if TYPE_CHECKING:
    from interlock.policy.model import Policy

_MOST = 4096  # characters of a text in a statement


def amend(
    policy: Annotated[Path, typer.Argument(help="The next version of the policy, as written.")],
    changes: Annotated[
        str | None, typer.Option(help="What it changes, and why.", show_default="the list of what changed")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and sign nothing.")] = False,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Amend the policy: sign its next version, as the approvers of the latest version and of the next one.

    \b
    interlock amend policy.yaml --dry-run
    interlock amend policy.yaml --changes "a lower level for autonomy-3, after the review of spring"

    It takes effect at its `effective`, and not before the notice that the policy promises is over. Evidence from before
    is held to the stricter of the two versions. While a threshold is reached, a policy that says `frozen_while:
    reached` takes in only what tightens it or fills its holes; what is shown as `looser` is not shown to do so.
    """
    from interlock.policy.tighter import changed, loosened

    opened, evidence = fresh(workspace, passphrase_file)
    latest = evidence.versions[-1]
    with told_as_json(as_json):
        made, text = _load(policy, opened.folder)
    differs = changed(latest.policy, made)
    looser = loosened([it.policy for it in evidence.versions], made)
    if not dry_run and changes is None and latest.policy.amendments.changelog_required:
        raise UsageError("the policy asks for a change log with each amendment: say with --changes what it changes")
    digest = None
    if not dry_run:
        digest = opened.amend(evidence, made, changes=(changes or "; ".join(differs))[:_MOST])
        write_whole(opened.folder / "policy.yaml", text)
    if as_json:
        print_json(
            {
                "amendment": digest,
                "from": {"version": latest.policy.version, "policy": latest.digest},
                "to": {"version": made.version, "effective": timestamp(made.effective)},
                "changed": list(differs),
                "looser": list(looser),
            }
        )
        return
    say(f"{latest.policy.version} -> {made.version}, in force from {timestamp(made.effective)}")
    for line in differs:
        say(f"  {line}")
    for line in looser:
        say(f"  looser, or not shown to be tighter: {line}")
    say(f"amendment {digest[:12]}" if digest else "nothing was signed")


def _load(path: Path, folder: Path) -> tuple[Policy, bytes]:
    """A policy as written. Its key files lie beside it, or in the workspace."""
    from interlock.policy.load import content, key_files, loads

    text = content(path)
    beside = all((path.parent / name).is_file() for name in key_files(text, name=str(path)))
    return loads(text, name=str(path), folder=path.parent if beside else folder, at=now()), text


def open_exception(
    exception: Annotated[str, typer.Argument(help="An exception of the policy.")],
    published: Annotated[str, typer.Option(help="Where it can be read that it is open: https://...")],
    subject: Annotated[str | None, typer.Option("--subject", "-s", help="The subject.", show_default="all")] = None,
    text: TextOption = "opened by interlock except",
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an exception of the policy, signed by every role that it names. It ends by itself.

    \b
    interlock except interim-security --subject NAME --published https://example.org/interim
    """
    opened, evidence = fresh(workspace, passphrase_file)
    wanted = rule(evidence.policy.exceptions, "exception", exception)
    model = evidence.subject(subject) if subject else None
    predicate = {
        "exception": exception,
        "about": "subject" if model else "all",
        "published": published,
        "statement": text,
    }
    about = (model.name, model.digest) if model else developer(evidence)
    signing = opened.signing(evidence, *wanted.approved_by)
    put(opened, "amendment", about, predicate, signing, told=f"`{exception}` is open", as_json=as_json)
