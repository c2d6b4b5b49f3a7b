"""`schema`: what other people's tools need to know of the statements in a ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from interlock.cli._text import say
from interlock.cli.options import print_json
from interlock.errors import UsageError
from interlock.evidence.predicates import KINDS


def schema(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(KINDS)}.", show_default="lists them")] = None,
) -> None:
    """Print the JSON schema of a kind of statement, as `interlock ledger show` prints it. Without KIND, list the kinds.

    What each kind means, and what a schema cannot say, is in docs/formats.md. `interlock policy schema` is that of a
    policy as people write it.
    """
    from interlock.evidence import schema as schemas

    if kind is None:
        say(*KINDS)
        return
    if kind not in KINDS:
        raise UsageError(f"no kind of statement is called `{kind}`, expected one of {', '.join(KINDS)}")
    print_json(schemas.schema(kind))
