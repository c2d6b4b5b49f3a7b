"""`policy check`: what a policy forgot, grouped by how grave it is, with what to do about each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from interlock.cli import _console
from interlock.cli.options import JsonOption, moment, print_json, told_as_json
from interlock.errors import FAILED, OK, Mistake, PolicyError, UsageError
from interlock.policy import shipped
from interlock.policy.draft import draft
from interlock.policy.lint import CHECKS, LEVELS, Check, Finding, lint
from interlock.workspace import now

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from rich.console import Console

    from interlock.policy.model import Policy

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_CHECKS = {check.id: check for check in CHECKS}


def check(
    policies: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY...", help="Policies: policy/v1 YAML files, or names of those that ship."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Check as of this time, such as 2027-01-01 or 2027-01-01T00:00:00Z; now without.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say why, and where that comes from.")] = False,
    list_checks: Annotated[bool, typer.Option("--list", help="List all checks instead of running them.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Check policies: what they forgot, what can never happen, what undoes their purpose.

    Exit code 0 without errors, 5 with errors, 2 if a policy does not load, or has expired. Warnings and notes do not
    fail.
    """
    if list_checks:
        _list(as_json=as_json)
        return OK
    if not policies:
        raise UsageError("expected at least one policy, got none; --list shows the checks")
    when = moment(at, "--at") if at is not None else now()
    with told_as_json(as_json):
        found = [(file, policy, lint(policy, at=when)) for file, policy in _loaded(policies, when)]
    if as_json:
        print_json({"at": when.isoformat().replace("+00:00", "Z"), "policies": [_json(*it) for it in found]})
    else:
        _show(found, verbose=verbose)
    failed = any(finding.level == "error" for _, _, findings in found for finding in findings)
    return FAILED if failed else OK


def _loaded(named: list[str], at: datetime) -> list[tuple[Path, Policy]]:
    """Every policy.

    Raises:
        PolicyError: one does not load, or has expired; lists the problems of all.
        UsageError: a file cannot be read.
    """
    policies: list[tuple[Path, Policy]] = []
    mistakes: list[Mistake] = []
    for text in named:
        file = shipped.resolve(text)
        try:
            policies.append((file, draft(file, at=at)))
        except PolicyError as error:
            mistakes += error.mistakes
    if mistakes:
        raise PolicyError(mistakes)
    return policies


def _json(file: Path, policy: Policy, findings: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "file": str(file),
        "id": policy.id,
        "version": policy.version,
        "counts": {level: sum(it.level == level for it in findings) for level in LEVELS},
        "findings": [
            {
                "check": it.check,
                "level": it.level,
                "path": it.path,
                "message": it.message,
                "reason": _CHECKS[it.check].reason,
                "source": _CHECKS[it.check].source,
            }
            for it in findings
        ],
    }


def _show(found: list[tuple[Path, Policy, tuple[Finding, ...]]], *, verbose: bool) -> None:
    console = _console.console()
    for file, policy, findings in found:
        console.print(f"[bold]{escape(str(file))}[/] ({escape(policy.id)} {policy.version})", soft_wrap=True)
        for level in LEVELS:
            _show_level(console, level, [it for it in findings if it.level == level], verbose=verbose)
        console.print(f"  {_counted(findings)}\n")
    if len(found) > 1:
        every = [finding for _, _, findings in found for finding in findings]
        console.print(f"{len(found)} policies: {_counted(every)}")


def _show_level(console: Console, level: str, findings: list[Finding], *, verbose: bool) -> None:
    for finding in findings:
        console.print(f"  [{_STYLES[level]}]{level}[/] [bold]{finding.check}[/] {escape(finding.path)}", soft_wrap=True)
        _indented(console, finding.message)
        if verbose:
            told = _CHECKS[finding.check]
            _indented(console, f"why: {told.reason} ({told.source})", style="dim")


def _indented(console: Console, text: str, *, style: str = "") -> None:
    for line in wrap(text, max(console.width - 6, 20), break_on_hyphens=False):
        console.print(f"      {escape(line)}", style=style, soft_wrap=True)


def _counted(findings: Iterable[Finding]) -> str:
    """Such as `1 error, 2 warnings`."""
    counts = Counter(finding.level for finding in findings)
    said = [f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in LEVELS if counts[level]]
    return ", ".join(said) or "no findings"


def _list(*, as_json: bool) -> None:
    if as_json:
        print_json([_described(check) for check in CHECKS])
        return
    console = _console.console()
    for told in CHECKS:
        console.print(f"[{_STYLES[told.level]}]{told.level:<8}[/][bold]{told.id}[/]", soft_wrap=True)
        _indented(console, told.reason)
        _indented(console, told.source, style="dim")


def _described(check: Check) -> dict[str, str | None]:
    return {
        "id": check.id,
        "level": check.level,
        "baseline": check.baseline,
        "reason": check.reason,
        "source": check.source,
    }
