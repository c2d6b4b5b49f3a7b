"""`decide` beside Cedar and Rego: defective inputs, decisions a second, and the start of a process.

    python benchmarks/decide.py [--quick] [--markdown FILE] [--json FILE]

benchmarks/README.md says what is measured and how to read it. Without cedarpy and regopy (`pip install -e '.[bench]'`)
only Interlock's figures are given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import _defects
import _report
import _speed
import _startup
from _speed import VARIANTS, Effort, Interlock, rate

QUICK, FULL = Effort(repeats=3, seconds=0.1), Effort(repeats=7, seconds=0.5)


def main() -> int:
    """Measure, print, and write what was asked for. 1: a defective input was permitted, or a control came out wrong."""
    asked = _arguments()
    quick = asked.quick
    machine = _report.machine()
    rows = _defects.rows()
    elsewhere = _defects.through_python()
    _print(_report.defects(rows, elsewhere))

    effort = QUICK if quick else FULL
    engines: dict[str, type] = {"Interlock": Interlock}
    if _defects.installed():
        engines |= {"Cedar": _speed.Cedar, "Rego": _speed.Rego, "Rego (loop)": _speed.RegoLoop}
    speeds = _speed.measure(effort, engines)
    details = _details(effort)
    _print(_report.speed(speeds, details))

    starts = _startup.measure(3 if quick else 10, 10 if quick else 100)
    _print(_report.startup(starts))
    machine = machine | {name: text for name, text in _report.machine().items() if name not in machine}
    _print(_report.table(["machine", ""], list(machine.items())))

    if asked.markdown:
        parts = [_report.defects(rows, elsewhere), _report.speed(speeds, details), _report.startup(starts)]
        title = f"# Deciding: Interlock, Cedar and Rego\n\n{datetime.now(UTC):%Y-%m-%d}, `{' '.join(_command())}`"
        parts = [title, _report.table(["machine", ""], list(machine.items())), *parts]
        asked.markdown.write_text("\n\n".join(parts) + "\n")
    if asked.json:
        asked.json.write_text(json.dumps(_plain(machine, rows, elsewhere, speeds, details, starts), indent=2) + "\n")
    return 0 if _as_it_should_be(rows) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats: to look at, not to keep")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to a file")
    return parser.parse_args()


def _details(effort: Effort) -> list[tuple[int, str, str, float]]:
    """What else a caller may wait for, at each number of rules: (rules, answer, what, how often a second)."""
    found = []
    for rules in _speed.SIZES:
        made = {variant: Interlock(rules, variant) for variant in VARIANTS}
        for variant, it in made.items():
            found.append((rules, variant, "the whole explanation as JSON", statistics.median(rate(it.as_json, effort))))
        read = statistics.median(rate(made["permit"].read_policy, effort))
        found.append((rules, "", "the compiled policy from JSON (part of cold)", read))
    return found


def _as_it_should_be(rows: list[_defects.Row]) -> bool:
    sound, bad, *rest = rows
    return (
        sound.verdict == "permit"
        and bad.verdict == "hold"
        and all(row.verdict in _defects.STOPPED for row in rest)
        and all(answer.verdict == "permit" for answer in sound.others.values())
        and all(answer.verdict == "deny" for answer in bad.others.values())
    )


def _plain(  # noqa: PLR0917  the parts of one document
    machine: dict[str, str],
    rows: list[_defects.Row],
    elsewhere: dict[str, list[str]],
    speeds: list[_speed.Speed],
    details: list[tuple[int, str, str, float]],
    starts: list[_startup.Start],
) -> dict[str, Any]:
    return {
        "machine": machine,
        "defects": [
            {
                "input": row.input.title,
                "defect": row.input.group,
                "interlock": {"verdict": row.verdict, "reasons": row.reasons},
                "others": {name: asdict(answer) for name, answer in row.others.items()},
            }
            for row in rows
        ],
        "permitted through python": elsewhere,
        "decisions a second": [asdict(it) for it in speeds],
        "interlock alone, a second": [
            {"rules": rules, "answer": variant, "what": what, "rate": each} for rules, variant, what, each in details
        ],
        "startup": [asdict(it) for it in starts],
    }


def _command() -> list[str]:
    return ["python", "benchmarks/decide.py", *(["--quick"] if "--quick" in sys.argv else [])]


def _print(text: str) -> None:
    print(text, end="\n\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
