"""`policy test` and `what-if`: what a policy says about facts that nobody signed. Nothing here opens a gate."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import joined, say, styled
from interlock.cli.options import JsonOption, print_json, told_as_json
from interlock.decide.decision import timestamp
from interlock.decide.resume import resume
from interlock.errors import FAILED, HOLD, OK, UsageError
from interlock.report import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from interlock.decide.decision import Decision, Finding
    from interlock.policy.cases import Case, Coverage, Outcome
    from interlock.policy.model import Policy

#: What a hypothetical answer calls itself. No gate accepts a statement of this type.
STATEMENT = "urn:interlock:what-if:v1"
_SAID = "WHAT IF  "

VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print every reason of each case.")]


def test(
    policy: Annotated[
        str, typer.Argument(help="A policy/v1 YAML file, or the name of one that ships.", show_default=False)
    ],
    cases: Annotated[
        list[Path] | None, typer.Argument(help="Files of cases.", show_default="POLICY.cases.yaml beside the policy")
    ] = None,  # noqa: PT028  a command, not a test of pytest's
    verbose: VerboseOption = False,  # noqa: PT028
    as_json: JsonOption = False,  # noqa: PT028
) -> int:
    """Run the tests of a policy: facts that might be, and what must come out. Exit code 5 if a test fails.

    At the end stands what no test exercises: cells that never open or never hold, thresholds never below or never
    reached, requirements never met or never unmet. docs/policy-tests.md tells how tests are written.
    """
    from interlock.policy import shipped
    from interlock.policy.cases import coverage, draft, run, version

    with told_as_json(as_json):
        file = shipped.resolve(policy)
        files = cases or [file.with_name(f"{file.stem}.cases.yaml")]
        tested = draft(file)
        told = _cases(files, tested)
    outcomes = [run(case, [version(tested)]) for case in told]
    found = coverage(tested, outcomes)
    if as_json:
        print_json(_tested_json(tested, outcomes, found))
    else:
        say(f"{tested.id} {tested.version}: {_count(len(outcomes), 'case')}")
        for outcome in outcomes:
            _print_outcome(outcome, verbose=verbose)
        _print_total(outcomes)
        _print_coverage(found)
    return OK if all(outcome.passed for outcome in outcomes) else FAILED


def what_if(
    policy: Annotated[Path, typer.Option("--policy", "-p", help="The policy, as policy/v1 YAML.")],
    facts: Annotated[Path, typer.Option("--facts", "-f", help="A file of cases; what they expect is not looked at.")],
    case: Annotated[
        str | None, typer.Option(help="Name of the case in the file.", show_default="the first one")
    ] = None,
    action: Annotated[str | None, typer.Option("--action", "-a", help="One action; all of them without it.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Ask what a policy would say about facts that are only supposed. Exit code 0 permit, 3 if any action holds.

    WHAT IF stands on every line, and in JSON a statement type that no gate accepts.
    """
    from interlock.policy.cases import draft, run, version

    with told_as_json(as_json):
        asked = draft(policy)
        supposed = _case(_cases([facts], asked), case, facts)
    outcome = run(supposed, [version(asked)])
    if action is not None and action not in outcome.decisions:
        raise UsageError(f"no policy gates `{action}`; there is: {', '.join(outcome.decisions)}")
    decisions = [outcome.decisions[action]] if action else list(outcome.decisions.values())
    if as_json:
        print_json(_what_if_json(asked, supposed, decisions))
    else:
        for line in _what_if(asked, supposed, decisions):
            for part in _wrapped(line, width=_width() - len(_SAID)):
                say(f"{_SAID}{part}".rstrip())
    return OK if all(decision.verdict == "permit" for decision in decisions) else HOLD


def _cases(files: Sequence[Path], policy: Policy) -> list[Case]:
    from interlock.policy.cases import load

    return [case for file in files for case in load(file, policy)]


def _case(cases: Sequence[Case], name: str | None, file: Path) -> Case:
    if name is None:
        return cases[0]
    for case in cases:
        if case.name == name:
            return case
    listed = ", ".join(f"`{case.name}`" for case in cases)
    raise UsageError(f"`{file}` has no case `{name}`; it has: {listed}")


# -- tests, as text ----------------------------------------------------------------------------------------------------


def _print_outcome(outcome: Outcome, *, verbose: bool) -> None:
    mark = styled("ok    ", fg="green") if outcome.passed else styled("FAILED", fg="red", bold=True)
    where = "" if outcome.passed else f" ({outcome.case.where})"
    first, *rest = _wrapped(f"{outcome.case.name}{where}", width=_width() - 10)
    say(joined("  ", mark, "  ", first))
    _echo((" " * 10 + part for part in rest), width=_width())
    for failure in outcome.failures:
        _echo([f"          {failure.text}", *(f"            - {line}" for line in failure.stood)], width=_width())
    if verbose:
        for actions, block in _alike(outcome.decisions.values(), _why).items():
            _echo((f"          {line}" for line in (f"{actions}: {block[0]}", *block[1:])), width=_width())
        _echo((f"          {line}" for line in _starts(outcome.decisions.values())), width=_width())


def _print_total(outcomes: Sequence[Outcome]) -> None:
    failed = sum(not outcome.passed for outcome in outcomes)
    say(f"{_count(len(outcomes) - failed, 'case')} ok, {failed} failed")


def _print_coverage(coverage: Coverage) -> None:
    found = [(label, names) for label, names in _uncovered(coverage) if names]
    if found:
        say("", "no case exercises")
    for label, names in found:
        _echo([f"  {label:<28}{', '.join(names)}"], width=_width(), hang=30)


def _uncovered(coverage: Coverage) -> list[tuple[str, list[str]]]:
    return [
        ("cells never permitted", [f"{action} x {name}" for action, name in coverage.never_permitted]),
        ("cells never held", [f"{action} x {name}" for action, name in coverage.never_held]),
        ("thresholds never below", list(coverage.never_below)),
        ("thresholds never reached", list(coverage.never_reached)),
        ("requirements never met", list(coverage.never_met)),
        ("requirements never unmet", list(coverage.never_unmet)),
    ]


# -- what if, as text --------------------------------------------------------------------------------------------------


def _what_if(policy: Policy, case: Case, decisions: Sequence[Decision]) -> Iterator[str]:
    subject = case.facts.subjects[case.subject].name
    yield case.name
    yield f"on `{subject}` at {timestamp(case.at)}, under {policy.id} {policy.version}"
    for actions, block in _alike(decisions, _told).items():
        yield ""
        yield f"{actions}: {block[0]}"
        yield from block[1:]
    duties = [*_starts(decisions)]
    if duties:
        yield ""
        yield from duties


def _starts(decisions: Iterable[Decision]) -> Iterator[str]:
    """Duties whose clocks run, each once."""
    duties = {started: decision for decision in decisions for started in words.started(decision)}
    if duties:
        yield "starts:"
        yield from (f"  - {words.starts(started, decision)}" for started, decision in duties.items())


def _alike(decisions: Iterable[Decision], told: Callable[[Decision], Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """What is told of each decision, once for all actions of which the same is told."""
    actions: dict[tuple[str, ...], list[str]] = {}
    for decision in decisions:
        actions.setdefault(tuple(told(decision)), []).append(decision.action)
    return {", ".join(names): lines for lines, names in actions.items()}


def _why(decision: Decision) -> Iterator[str]:
    """The verdict; how far a permit reaches, or why it is a hold."""
    from interlock.policy.cases import lines

    if decision.verdict == "permit":
        yield from lines(decision)
    else:
        yield "hold"
        yield from (f"  - {line}" for line in lines(decision))


def _told(decision: Decision) -> Iterator[str]:
    yield from _why(decision)
    for cell in decision.cells:
        yield from (f"  {line}" for line in _bounds(cell.finding))
    if decision.verdict == "hold":
        yield from _lifts(decision)


def _bounds(finding: Finding) -> Iterator[str]:
    """The finding, and how far the results reach on each of its measures."""
    yield f"{finding.threshold} is {finding.state}{', and overdue for evaluation' if finding.overdue else ''}"
    for reading in finding.readings:
        if reading.counted:
            within = f"from {float(reading.lower):.4g} to {float(reading.upper):.4g}"
            results = _count(len(reading.counted), "result")
            yield (
                f"  {reading.measure} {within} in {results}; level {float(reading.level):.4g}, "
                f"margin {float(reading.margin):.4g}, confidence {float(reading.confidence):.4g}"
            )
        else:
            yield f"  {reading.measure}: no results"


def _lifts(decision: Decision) -> Iterator[str]:
    ways = resume(decision)
    if not ways:
        governed = any(ruling.governs for ruling in decision.rulings)
        yield "  nothing lifts this hold" + (": a stop until the policy is amended" if governed else "")
    for number, way in enumerate(ways, start=1):
        yield f"  what would lift it{f', way {number} of {len(ways)}' if len(ways) > 1 else ''}:"
        yield from (f"    - {step}" for step in way)


# -- JSON --------------------------------------------------------------------------------------------------------------


def _tested_json(policy: Policy, outcomes: Sequence[Outcome], coverage: Coverage) -> dict[str, Any]:
    from interlock.decide.decision import started_to_json
    from interlock.policy.cases import lines

    def decided(it: Decision) -> dict[str, Any]:
        duties = [started_to_json(started, it.at) for started in words.started(it)]
        return {"verdict": it.verdict, "reasons": list(lines(it)), "duties": duties}

    return {
        "policy": {"id": policy.id, "version": policy.version},
        "passed": sum(outcome.passed for outcome in outcomes),
        "failed": sum(not outcome.passed for outcome in outcomes),
        "cases": [
            {
                "name": outcome.case.name,
                "where": outcome.case.where,
                "passed": outcome.passed,
                "failures": [{"text": it.text, "stood": list(it.stood)} for it in outcome.failures],
                "decisions": {action: decided(it) for action, it in outcome.decisions.items()},
            }
            for outcome in outcomes
        ],
        "not_exercised": {label.replace(" ", "_"): names for label, names in _uncovered(coverage)},
    }


def _what_if_json(policy: Policy, case: Case, decisions: Sequence[Decision]) -> dict[str, Any]:
    from interlock.decide.decision import to_json

    marked = {"type": STATEMENT, "what_if": True}
    return {
        **marked,
        "policy": {"id": policy.id, "version": policy.version},
        "case": case.name,
        "decisions": [{**marked, **to_json(decision)} for decision in decisions],
    }


# -- lines -------------------------------------------------------------------------------------------------------------


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _width() -> int:
    return shutil.get_terminal_size().columns


def _echo(lines: Iterable[str], *, width: int, hang: int | None = None) -> None:
    for line in lines:
        for part in _wrapped(line, width=width, hang=hang):
            say(part)


def _wrapped(line: str, *, width: int, hang: int | None = None) -> list[str]:
    """The line in parts of at most `width`, where words allow it; those after the first hang below its text."""
    text = line.lstrip(" -")
    indent = " " * (hang if hang is not None else len(line) - len(text))
    whole = textwrap.wrap(
        line, max(width, 40), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return whole or [""]
