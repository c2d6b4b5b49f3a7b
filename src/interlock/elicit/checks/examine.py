"""Checks on one model, each kept as it ends.

    OUT/run.json          what was asked for
    OUT/CHECK.json        what the check found, and the FLOP that were spent by its end

Guarantees: killed, the same call goes on with the first check that is not there, with the budget that was left; a
folder of another model, other questions or other checks is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.elicit import asking, session
from interlock.elicit.checks import check
from interlock.elicit.checks.check import Case, Check, Finding
from interlock.errors import UsageError
from interlock.evaluate import local
from interlock.evaluate.local import LocalModel


def examine(checks: Mapping[str, Check], case: Case, *, out: Path | None) -> list[Finding]:
    """What each check finds, in their order. Without a folder `out` nothing is kept.

    Raises:
        UsageError: `out` holds another run, or a file in it cannot be read.
        EvidenceError: a right answer would not be graded as right.
    """
    asking.require_told(case.subject, case.questions.test, grade=case.questions.grade)
    if out is not None:
        session.claim(out, _asked(checks, case))
    found = []
    for place, (name, each) in enumerate(checks.items()):
        case.progress("checks", place, len(checks), name)
        found.append(_one(name, each, case, None if out is None else out / f"{name}.json"))
    case.progress("checks", len(checks), len(checks))
    return found


def _one(name: str, each: Check, case: Case, file: Path | None) -> Finding:
    if file is not None and file.exists():
        try:
            kept = json.loads(file.read_bytes())
            finding, spent = check.from_json(kept["finding"]), int(kept["spent"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"`{file}` cannot be read ({error}); remove it, and those of the checks after it"
            ) from None
        if finding.check != name or spent < case.meter.spent:
            raise UsageError(f"`{file}` is of the check `{finding.check}`, or of another run; name another folder")
        case.meter.spent = spent
        return finding
    finding = check.run(name, each, case)
    if file is not None:
        told = {"finding": finding.to_json(), "spent": case.meter.spent}
        session.write(file, json.dumps(told, indent=1, sort_keys=True) + "\n")
    return finding


def _model(of: LocalModel) -> list[str]:
    return [local.fingerprint(of), local.framing(of)]


def _asked(checks: Mapping[str, Check], case: Case) -> dict[str, Any]:
    """What the findings depend on, as JSON."""
    return {
        "interlock": "checked/v3",
        "checks": list(checks),
        "subject": _model(case.subject),
        "control": case.control and _model(case.control),
        "panel": [_model(it) for it in case.panel],
        "questions": session.asked(case.questions),
        "aside": [[it.id, list(it.messages), it.target] for it in case.aside] or None,
        "budget": case.meter.cap,
        "seed": case.seed,
    }
