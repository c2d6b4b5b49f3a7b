"""Verifying a bundle: the package in a process that has started, its command, and the file that stands alone.

    python benchmarks/bundle.py [--runs 50]

Two bundles: one evaluation under one threshold, and the same beside 60 that were run and withdrawn since. Each is made
by the tests' own story of a ledger, signed by really drawn keys. The first row is the claim: everything is verified,
and the decision derived again, in so many milliseconds after start-up. `python -c pass` is what a process costs here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from _stopwatch import seconds  # noqa: E402

import story  # noqa: E402  the tests', found by the line above
from interlock.decide.decision import timestamp  # noqa: E402
from interlock.evidence import bundle  # noqa: E402
from interlock.evidence.predicates import statement  # noqa: E402
from interlock.ledger.note import NoteKey  # noqa: E402

TRIED = 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="in-process runs; processes are run a fifth as often")
    given = parser.parse_args()
    command = str(Path(sys.executable).with_name("interlock"))
    bare = seconds(_process("-c", "pass"), given.runs // 5)
    print(f"median milliseconds of {given.runs} runs, {given.runs // 5} where a process is started\n")
    for name, made in (("one evaluation", story.honest()), (f"{TRIED} more, withdrawn", _many())):
        data, vkey = made.bundle(), NoteKey(story.ORIGIN, made.keys["log"].public).vkey
        with tempfile.NamedTemporaryFile(suffix=".bundle.json") as file:
            Path(file.name).write_bytes(data)
            asked = (file.name, "--vkey", vkey)
            rows = {
                "bundle.verify, in process": seconds(lambda: bundle.verify(data, made.log), given.runs),  # noqa: B023
                "interlock bundle verify": seconds(_process(command, "bundle", "verify", *asked), given.runs // 5),
                "python verify.py": seconds(_process(str(ROOT / "verify.py"), *asked), given.runs // 5),
                "python -c pass": bare,
            }
        print(f"{name}: {len(made.entries)} entries, {len(data):,} bytes")
        for what, taken in rows.items():
            print(f"  {what:<28} {1000 * taken:>8.1f}")


def _many() -> story.Story:
    """The honest story, beside runs that were reported and withdrawn."""
    made = story.told()
    subject = made.evaluated()
    for seed in range(1, TRIED + 1):
        result = made.report(subject, made.plan(subject, seed=seed), correct=10, seed=seed)
        said = {"reason": "the machine was restarted", "at": timestamp(made.now)}
        made.say(statement("withdrawal", name="result", digest=result, predicate=said), "team")
    made.decide(subject)
    return made


def _process(*arguments: str) -> Callable[[], object]:
    def run() -> None:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        if done.returncode:
            sys.exit(done.stderr.decode())

    return run


if __name__ == "__main__":
    main()
