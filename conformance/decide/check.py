"""Hold a command to the cases: `check.py [--cases FILE] [--every N] -- COMMAND...`. The protocol is in README.md."""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = Path(__file__).with_name("cases.jsonl.xz")


def cases(path: Path = CASES, *, every: int = 1) -> Iterator[dict[str, Any]]:
    """Each case, or every so many."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number % every == 0:
                yield json.loads(line)


def answers(command: list[str], asked: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each case with what the command says of it; nothing where it says nothing."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for case in asked:  # one at a time: two full pipes would stop both sides
            process.stdin.write(json.dumps({"id": case["id"], "question": case["question"]}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            said = json.loads(line) if line.strip() else {}
            yield case, said if said.get("id") == case["id"] else {}


def main() -> None:
    """Ask, compare, and say what differs."""
    parser = argparse.ArgumentParser(description="Hold an implementation of docs/semantics.md to the cases.")
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--every", type=int, default=1, help="ask only every so many")
    parser.add_argument("command", nargs="+", help="reads a case a line, writes an answer a line")
    given = parser.parse_args()
    asked = list(cases(given.cases, every=given.every))
    wrong = outside = 0
    for number, (case, said) in enumerate(answers(given.command, asked), start=1):
        got = said.get("answer")
        if got is None and "outside" in said:
            outside += 1
        elif got != case["answer"]:
            wrong += 1
            print(f"case {case['id']}: expected {json.dumps(case['answer'])}, got {json.dumps(got)}")
        if sys.stderr.isatty():
            print(f"\r{number} of {len(asked)}", end="", file=sys.stderr, flush=True)
    print(f"{len(asked)} cases, {wrong} differ" + (f", {outside} outside" if outside else ""))
    sys.exit(5 if wrong else 0)


if __name__ == "__main__":
    main()
