"""Mutation testing of `interlock.decide`: which changes of its code do the tests and the cases of the rule not notice?

    python scripts/mutate_decide.py [--jobs 2] [--only MODULE ...] [--out FILE] [--again FILE] [--late]

Every mutant is tried in a process forked from this one: exported cases are asked (conformance/decide, with their whole
explanations), and tests/decide is run, with its property tests from a fixed seed. The first case or test that fails, or
takes far too long, kills it. A change within a function is put into that function, everything being imported already;
any other is loaded with its whole module, before anything of `interlock.decide` is. No file of the package is changed.

The tests that draw most (the laws, the second reading, every small policy) take a minute a mutant, and run only with
`--late`: without them fewer are killed, never more. Why nothing can notice those that survive stands in
scripts/survivors.txt; one that is not explained there makes this fail. Needs the extras `test` and `proofs`.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import lzma
import os
import resource
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import typer  # noqa: F401  what the tests import is imported once, before the processes fork
from _mutants import Body, Mutant, changed_body, mutants, without_line

import interlock.policy.load  # noqa: F401  imports nothing of `interlock.decide`

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import CodeType

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "src/interlock/decide", ROOT / "tests/decide"
SURVIVORS = ROOT / "scripts/survivors.txt"
#: The protocol of the cases, which asks the questions here; no part of the rule.
LEFT_OUT = {"__init__", "exchange"}
#: Every so many of the 5,000 cases (tests/decide has the explanations of these); so many come before the tests that
#: killed the last mutants.
EVERY, FIRST, KEPT = 20, 60, 12
#: What the cases ask already, and the tests of the second reading, which say nothing about the first one.
OTHERS = {"test_explanations", "test_reference"}
#: The tests that draw most.
LATE = ("test_exhaustive", "test_differential", "test_laws")
#: Tests that ask one module and nothing else.
OWN = {"test_bounds": "bounds", "test_eprocess": "eprocess"}
#: What a case, a test, and all of them may take: more than eight times what the slowest of each does.
SECONDS = {"case": 5, "test": 45, "all": 400}
MEMORY = 4 << 30
QUIETLY = ("--assert=plain", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a mutant: `killed`, `timeout` or `survived`, and by what."""

    name: str
    module: str
    outcome: str
    by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Running:
    """A process that tries a mutant, and the pipe on which it says what killed it."""

    mutant: Mutant | None
    process: int
    pipe: int
    begun: float


def main() -> int:
    """Try them all, and print what survived. 1: something did that nobody has explained."""
    asked = _arguments()
    cases, found = _cases(), _mutants(asked.only, asked.jobs)
    if asked.again:
        known = {it.name for it in _rows(asked.again) if it.outcome == "survived"}
        found = [it for it in found if it.name in known]
    names = {it.name for it in found}
    tried = [it for it in _rows(asked.out) if it.name in names]
    names -= {it.name for it in tried}
    found = [it for it in found if it.name in names]
    bodies = {it.name: body for it in found if (body := changed_body(it, PACKAGE / f"{it.module}.py"))}
    print(f"{len(found)} mutants, {len(bodies)} of them within functions; {len(tried)} tried before", flush=True)
    with asked.out.open("a", encoding="utf-8") as file:
        for part in ([it for it in found if it.name not in bodies], [it for it in found if it.name in bodies]):
            attempt = Attempt(cases, bodies, asked.late)
            attempt.control()
            for it in attempt.all(part, asked.jobs):
                tried.append(it)
                file.write(json.dumps([it.name, it.outcome, it.by, round(it.seconds, 1)]) + "\n")
                file.flush()
            _import_everything()
    return int(_print(tried) > 0)


def _rows(path: Path) -> list[Tried]:
    """What became of the mutants of an earlier run, as far as it got."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    return [Tried(name, name.partition(":")[0], outcome, by, seconds) for name, outcome, by, seconds in rows]


def _import_everything() -> None:
    """All that a case or a test asks, so that a process only has to change a function."""

    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
        pytest.main(["-q", "--collect-only", *QUIETLY, str(TESTS)])
    gc.collect()
    gc.freeze()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing of interlock.decide.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=(), help="modules, by name")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(os.devnull),
        help="what became of each mutant, one a line; those in it are not tried again",
    )
    parser.add_argument("--again", type=Path, help="only those that survived in such a file")
    parser.add_argument("--late", action="store_true", help="the tests that draw most, too")
    return parser.parse_args()


def _mutants(only: Sequence[str], jobs: int) -> list[Mutant]:
    paths = [path for path in sorted(PACKAGE.glob("*.py")) if path.stem not in LEFT_OUT]
    with ProcessPoolExecutor(jobs) as pool:
        found = pool.map(mutants, [path for path in paths if not only or path.stem in only])
        return list(chain.from_iterable(found))


def _cases() -> list[dict[str, Any]]:
    """Every so many of them, with the explanation that tests/decide has."""
    cases = (case for case in _lines(ROOT / "conformance/decide/cases.jsonl.xz") if case["id"] % EVERY == 0)
    explained = _lines(TESTS / "explanations.jsonl.xz")
    return [{**case, "explanation": whole} for case, whole in zip(cases, explained, strict=True)]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _print(tried: Sequence[Tried]) -> int:
    """Print what became of them. Returns how many survived that nobody has explained."""
    count = Counter((it.module, it.outcome) for it in tried)
    print("| module | mutants | killed | timed out | survived |\n|---|--:|--:|--:|--:|")
    for module in sorted({it.module for it in tried}):
        numbers = [count[module, outcome] for outcome in ("killed", "timeout", "survived")]
        print(f"| {module} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    survivors = [it.name for it in tried if it.outcome == "survived"]
    explained = {line for line in SURVIVORS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"}
    left = [name for name in survivors if without_line(name) not in explained]
    print(
        f"{len(tried) - len(survivors)} of {len(tried)} killed, {len(survivors)} survived, not explained: {len(left)}"
    )
    print(*left, sep="\n")
    return len(left)


# -- trying ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Attempt:
    """Tries mutants. The cases and tests that killed the last ones are tried first on the next."""

    cases: list[dict[str, Any]]
    bodies: Mapping[str, Body]
    late: bool
    tests: list[str] = field(default_factory=list)

    def control(self) -> None:
        """Check that nothing kills what is not changed."""
        control = _next_ended([self._started(None)])
        if control.outcome != "survived":
            sys.exit(f"the unchanged code does not pass: {control.by}")
        print(f"unchanged, everything passes in {control.seconds:.0f} s", flush=True)

    def all(self, found: Iterable[Mutant], jobs: int) -> Iterator[Tried]:
        """What becomes of each."""
        running: list[Running] = []
        todo = iter(found)
        while True:
            while len(running) < jobs and (mutant := next(todo, None)):
                running.append(self._started(mutant))
            if not running:
                return
            tried = _next_ended(running)
            if tried.by.startswith("case "):
                place = next(i for i, case in enumerate(self.cases) if tried.by == f"case {case['id']}")
                self.cases.insert(0, self.cases.pop(place))
            elif "::" in tried.by:
                self.tests = list(dict.fromkeys([tried.by, *self.tests]))[:KEPT]
            yield tried

    def _started(self, mutant: Mutant | None) -> Running:
        out, into = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if process:
            os.close(into)
            return Running(mutant, process, out, time.monotonic())
        killer = "an exception"
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            killer = self._killer(mutant)
        finally:
            os.write(into, killer.encode())
            os._exit(0)

    def _killer(self, mutant: Mutant | None) -> str:
        """What notices the change; nothing: empty. This and what follows is in the forked process."""
        if mutant and mutant.name in self.bodies:
            self.bodies[mutant.name].put()
        elif mutant:
            sys.meta_path.insert(0, _Changed(mutant))
        hypothesis.settings.register_profile("mutate", derandomize=True, database=None, deadline=None)
        os.chdir(ROOT)
        left_out = OTHERS if self.late else {*OTHERS, *LATE}
        files = sorted(path for path in TESTS.glob("test_*.py") if path.stem not in left_out)
        files.sort(key=lambda path: path.stem in LATE)
        if mutant:
            files = [path for path in files if OWN.get(path.stem, mutant.module) == mutant.module]
        return (
            _wrong_case(self.cases[:FIRST])
            or (_failing_test(self.tests) if self.tests else "")
            or _wrong_case(self.cases[FIRST:])
            or _failing_test([str(path) for path in files])
        )


def _next_ended(running: list[Running]) -> Tried:
    """The next one that ends, or has to be ended."""
    while True:
        for it in running:
            seconds = time.monotonic() - it.begun
            done, status = os.waitpid(it.process, os.WNOHANG)
            if not done and seconds > SECONDS["all"]:
                os.kill(it.process, signal.SIGKILL)
                done, status = os.waitpid(it.process, 0)
            if done:
                running.remove(it)
                with os.fdopen(it.pipe) as pipe:
                    by = pipe.read()
                outcome = "timeout" if os.WIFSIGNALED(status) else "killed" if by else "survived"
                name, module = (it.mutant.name, it.mutant.module) if it.mutant else ("nothing changed", "")
                return Tried(name, module, outcome, by, seconds)
        time.sleep(0.002)


# -- in the forked process ---------------------------------------------------------------------------------------------


class _Changed(SourceFileLoader):
    """Finds and loads one module, from a changed source."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(f"interlock.decide.{mutant.module}", str(PACKAGE / f"{mutant.module}.py"))
        self.source = mutant.source

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, _: str) -> CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)


def _wrong_case(cases: list[dict[str, Any]]) -> str:
    signal.alarm(SECONDS["case"])
    from interlock.decide.decision import to_json
    from interlock.decide.exchange import answer, decided, question_from_json

    for case in cases:
        signal.alarm(SECONDS["case"])
        try:
            asked = question_from_json(case["question"])
            right = answer(asked) == case["answer"] and to_json(decided(asked)) == case["explanation"]
        except Exception:  # noqa: BLE001  whatever it raises, it does not answer
            right = False
        if not right:
            return f"case {case['id']}"
    return ""


def _failing_test(tests: Sequence[str]) -> str:
    first = _First()
    signal.alarm(SECONDS["test"])
    status = pytest.main(["-x", "-q", "--hypothesis-profile=mutate", *QUIETLY, *tests], plugins=[first])
    return first.failed or ("" if status == pytest.ExitCode.OK else f"pytest ends with {status}")


class _First:
    """Which test failed first."""

    failed = ""

    def pytest_runtest_logstart(self) -> None:
        signal.alarm(SECONDS["test"])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid


if __name__ == "__main__":
    sys.exit(main())
