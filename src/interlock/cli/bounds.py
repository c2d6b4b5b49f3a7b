"""`bound`: what counts, and files of scores, tries or chances, show of a rate; each with its n and its method."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.elicitation import confidence_of
from interlock.cli.options import JsonOption, print_json
from interlock.cli.powers import share
from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.evaluate.statistics.estimate import Estimate

FORMS = "K N, --clean RATE, --families FILE, --compare FILE, or --rare FILE"
#: The most samples that are counted, lines that are read, and units that are drawn again; and the least rate.
_MOST, _MOST_UNITS, _LEAST = 100_000, 10_000, Fraction(1, 10_000)


@dataclass(frozen=True, slots=True)
class Told:
    """What is told: each estimate by what it is of, sentences beside, and further values for `--json`."""

    estimates: Mapping[str, Estimate]
    notes: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        rows = [{"of": what, **it.to_json()} for what, it in self.estimates.items()]
        return {"estimates": rows, "notes": list(self.notes), **self.more}

    def lines(self) -> list[str]:
        """One for each."""
        width = max(map(len, self.estimates))
        return [*(f"{what:<{width}}  {it}" for what, it in self.estimates.items()), *self.notes]


def bound(
    seen: Annotated[
        int | None, typer.Argument(metavar="K", help="How many were seen: of what is dangerous, or right.")
    ] = None,
    asked: Annotated[int | None, typer.Argument(metavar="N", help="Of how many samples.")] = None,
    clean: Annotated[
        str | None, typer.Option(metavar="RATE", help="How many samples without a single case rule this rate out.")
    ] = None,
    families: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines with `family` and `score` (0 to 1); with --tries: see below."),
    ] = None,
    tries: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Success within so many tries: the threat model's number.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines with `family`, and the scores `first` and `second` of two runs."),
    ] = None,
    rare: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A number a line: the chance of a behaviour at each query asked."),
    ] = None,
    deployed: Annotated[int | None, typer.Option(min=1, help="With --rare: how many queries there will be.")] = None,
    tail: Annotated[int, typer.Option(min=3, help="With --rare: how many of the greatest chances are fitted.")] = 10,
    confidence: Annotated[float, typer.Option(help="Of every interval and bound.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn again.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """What a count or a file shows of a rate: bounds with their n and the method's name.

    \b
    interlock bound 3 120                        3 of 120 were dangerous: the rate is at most, at least, between
    interlock bound 0 300                        none of 300 was (the rule of three)
    interlock bound --clean 0.01                 how many samples without a case rule out a rate of 1 %
    interlock bound --families scores.jsonl      samples that share families: the family is the unit
    interlock bound 3 120 --tries 8              3 of 120 tries at one item were right: one of 8 tries is (pass@8)
    interlock bound --families t.jsonl --tries 8 the same over items and families; a line a try (below)
    interlock bound --compare runs.jsonl         two runs on the same items: the difference, a test, what it could see
    interlock bound --rare chances.txt --deployed 100000
                                                 the worst of 100,000 queries: a forecast, and no bound

    Count samples one by one (K N) only if no two are about the same thing: of 500 questions in 50 families K N says
    far too much. A line a try is `family`, `item`, `right` (true or false), and, if somebody scores tries, `score`:
    then the best scored of K tries is told as well. Nothing here is evidence, and nothing is decided by it.
    """
    sure = confidence_of(confidence)
    forms: dict[str, Callable[[], Told] | None] = {
        "K N": None if seen is None and asked is None else lambda: _counts(seen, asked, tries, sure),
        "--clean": None if clean is None else lambda: _clean(share("--clean", clean), sure),
        "--families": None if families is None else lambda: _families(families, tries, sure, seed),
        "--compare": None if compare is None else lambda: _compared(compare, sure),
        "--rare": None if rare is None else lambda: _forecast(rare, deployed, tail, sure, seed),
    }
    given = [form for form in forms.values() if form]
    if len(given) != 1:
        raise UsageError(f"got {len(given)} of the forms, expected one: {FORMS}")
    if tries is not None and not (forms["K N"] or forms["--families"]):
        raise UsageError("--tries goes with K N, or with --families")
    if (deployed is None) == (rare is not None):
        raise UsageError("--rare and --deployed go together")
    told = given[0]()
    if as_json:
        print_json(told.to_json())
    else:
        say(*told.lines())


# -- counts ------------------------------------------------------------------------------------------------------------


def _counts(k: int | None, n: int | None, tries: int | None, confidence: Fraction) -> Told:
    from interlock.evaluate.statistics import attempts, intervals, rare

    if k is None or n is None:
        raise UsageError("expected K and N: how many were seen, of how many")
    _at_most(n, _MOST, "samples")
    if tries is not None:
        return Told({f"within {tries} tries": attempts.of_one_item(n, k, tries, confidence=confidence)})
    found = {
        "at most": intervals.clopper_pearson_upper(k, n, confidence=confidence),
        "at least": intervals.clopper_pearson_lower(k, n, confidence=confidence),
        "between": intervals.clopper_pearson(k, n, confidence=confidence),
    }
    if k == 0:
        found["none seen: at most"] = rare.none_seen(n, confidence=confidence)
    return Told(found, ("Counted one by one: where samples share families, use --families.",))


def _clean(rate: Fraction, confidence: Fraction) -> Told:
    from interlock.evaluate.statistics import rare

    if rate < _LEAST:
        raise UsageError(f"--clean is {float(rate):g}, expected {float(_LEAST):g} to 1")
    n = rare.clean_samples(rate, confidence=confidence)
    note = f"{n} samples without a single case rule out a rate of {float(rate):g}; {n - 1} do not."
    return Told({"none seen: at most": rare.none_seen(n, confidence=confidence)}, (note,), {"samples": n})


# -- files -------------------------------------------------------------------------------------------------------------


def _families(file: Path, tries: int | None, confidence: Fraction, seed: int) -> Told:
    from interlock.evaluate.statistics import intervals

    if tries is not None:
        return _tries(file, tries, confidence, seed)
    scores: dict[str, list[float]] = {}
    for row in _rows(file):
        scores.setdefault(row.text("family"), []).append(row.number("score"))
    _at_most(len(scores), _MOST_UNITS, "families")
    means, items = intervals.family_means(scores), sum(map(len, scores.values()))
    found = {
        "at most": intervals.families_upper(means, confidence=confidence),
        "at least": intervals.families_lower(means, confidence=confidence),
        "between": intervals.families(means, confidence=confidence),
    }
    note = f"{items} items in {len(scores)} families, each family counting once."
    if items == len(scores):
        note += " Each has one item: where scores are 0 or 1, K N is exact and narrower."
    return Told(found, (note,), {"items": items})


def _tries(file: Path, k: int, confidence: Fraction, seed: int) -> Told:
    """Success within k tries, over families of items; by the best scored try, too, where every try has a score."""
    from interlock.evaluate.statistics import attempts, intervals

    items: dict[str, dict[str, list[tuple[float | None, bool]]]] = {}
    for row in _rows(file):
        tried = items.setdefault(row.text("family"), {}).setdefault(row.text("item"), [])
        tried.append((row.finite("score") if "score" in row.told else None, row.flag("right")))
    _at_most(len(items), _MOST_UNITS, "families")
    counts = {
        name: [(len(tried), sum(right for _, right in tried)) for tried in of.values()] for name, of in items.items()
    }
    found = {
        f"within {k} tries: at most": attempts.bounded(counts, k, confidence=confidence),
        "for display: between": attempts.within_tries(counts, k, seed=seed, confidence=confidence),
    }
    scored = [score is not None for of in items.values() for tried in of.values() for score, _ in tried]
    if any(scored):
        if not all(scored):
            raise UsageError(f"`{file}` has a `score` on some lines only, expected it on all or on none")
        best = {
            name: [attempts.best_of_k([(score or 0.0, right) for score, right in tried], k) for tried in of.values()]
            for name, of in items.items()
        }
        highest = intervals.families_upper(intervals.family_means(best), confidence=confidence)
        found[f"best of {k}: at most"] = replace(highest, method=f"best of {k} by score, {highest.method}")
    return Told(found)


def _compared(file: Path, confidence: Fraction) -> Told:
    from interlock.evaluate.statistics import paired

    scores: dict[str, tuple[list[float], list[float]]] = {}
    for row in _rows(file):
        first, second = scores.setdefault(row.text("family"), ([], []))
        first.append(row.number("first"))
        second.append(row.number("second"))
    _at_most(len(scores), _MOST_UNITS, "families")
    runs = list(scores.values())
    items = sum(len(first) for first, _ in runs)
    found = paired.difference([it for it, _ in runs], [it for _, it in runs], confidence=confidence)
    told = {"first minus second": found}
    if not all(score in {0, 1} for run in runs for side in run for score in side):
        return Told(told, ("No test: scores are not all 0 or 1.",), {"items": items})
    p = paired.sign_flip([round(sum(first) - sum(second)) for first, second in runs])
    by = "exact sign-flip test over families, two-sided (Fisher 1935)" if items > len(runs) else "exact McNemar test"
    notes, more = [f"p = {p:.3g} ({by}; n = {items} items in {len(runs)} families)"], {"p": p, "test": by}
    differing = sum(first != second for first, second in runs)
    if items == len(runs) and differing:
        least = paired.least_detectable(items, differing / items, confidence=confidence)
        seen = "none that there could be" if least is None else f"{least:.3g} or more"
        notes.append(f"A difference it would have found with power 0.8, where so many items differ: {seen}.")
        more["least_detectable"] = least
    return Told(told, tuple(notes), {"items": items, **more})


def _forecast(file: Path, deployed: int | None, tail: int, confidence: Fraction, seed: int) -> Told:
    from interlock.evaluate.statistics import rare

    chances = [row.value() for row in _rows(file)]
    _at_most(len(chances), _MOST_UNITS, "queries")
    found = rare.forecast(chances, deployed=deployed or 0, tail=tail, seed=seed, confidence=confidence)
    told = {f"worst of {found.deployed:,}": found.gumbel, "by another tail": found.pareto}
    more = {"deployed": found.deployed, "tail": found.tail}
    return Told(told, (f"Believe neither where they are far apart. This is {found.caveat}.",), more)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file, as JSON gave it, and where it stands."""

    where: str
    told: Any

    def text(self, name: str) -> str:
        """A member that is a text, or a number taken for one."""
        value = self._of(name)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self._wrong(f"`{name}`", value, "a text")
        return str(value)

    def number(self, name: str) -> float:
        """A member from 0 to 1."""
        return self._share(f"`{name}`", self._of(name))

    def value(self) -> float:
        """The line itself, from 0 to 1."""
        return self._share("the line", self.told)

    def finite(self, name: str) -> float:
        """A member that is any number."""
        value = self._of(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise self._wrong(f"`{name}`", value, "a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """A member that is true or false, or 1 or 0."""
        value = self._of(name)
        if not isinstance(value, bool | int) or value not in {0, 1}:
            raise self._wrong(f"`{name}`", value, "true or false")
        return bool(value)

    def _of(self, name: str) -> Any:  # noqa: ANN401  whatever JSON can hold
        if not isinstance(self.told, dict) or name not in self.told:
            raise UsageError(f"{self.where}: expected an object with `{name}`")
        return self.told[name]

    def _share(self, what: str, value: object) -> float:
        if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
            raise self._wrong(what, value, "a number from 0 to 1")
        return float(value)

    def _wrong(self, what: str, value: object, expected: str) -> UsageError:
        return UsageError(f"{self.where}: {what} is `{json.dumps(value)[:40]}`, expected {expected}")


def _rows(file: Path) -> Iterator[_Row]:
    """The lines of a file that are not empty.

    Raises:
        UsageError: it cannot be read, has too many lines or none, or one is not JSON.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read `{file}`: {error}") from None
    _at_most(len(lines), _MOST, f"lines in `{file}`")
    if not any(map(str.strip, lines)):
        raise UsageError(f"`{file}` is empty, expected one JSON value a line")
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{file}:{number}"
            try:
                told = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{where}: not JSON: {error}") from None
            yield _Row(where, told)


def _at_most(count: int, most: int, what: str) -> None:
    if count > most:
        raise UsageError(f"got {count:,} {what}, expected {most:,} at the most")
