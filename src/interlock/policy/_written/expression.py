"""Expressions as written to expressions as values: what each name in them stands for.

A `max_of` measure becomes any of its measures, `any_rung` any of the thresholds with that rung. Where a name is not
defined, the expression is built as it stands and `_structure/check.py` says so. Problems are raised with paths that
start at the expression, like those of `form.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from interlock.policy._scalar import Comparison, quote
from interlock.policy._structure import check as _check
from interlock.policy._structure.check import Problem
from interlock.policy._written.form import Wrong, each
from interlock.policy._written.form_threshold import AnyForm, AtLeastForm, Expression, RungForm
from interlock.policy.model import BUILT_IN, Amount, At, AtLeast, ComputeRatio, Expr, Mean, Measure, Ref, Unbounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from interlock.policy.model import AnyMeasure


@dataclass(frozen=True, slots=True)
class Words:
    """What expressions may name: measures (as far as they could be read), `max_of` measures, thresholds, rungs.

    `measure_names` and `threshold_names` have every name, readable or not.
    """

    measures: Mapping[str, AnyMeasure]
    worst: Mapping[str, tuple[str, ...]]
    measure_names: frozenset[str]
    threshold_names: frozenset[str]
    rungs: Mapping[str, tuple[str, ...]]

    def expression(self, form: Expression) -> Expr:
        """The expression.

        Raises:
            ValueError: something in it cannot be what it names; without problems where that is told elsewhere.
        """
        if isinstance(form, str):
            return self._threshold(form)
        if isinstance(form, Comparison):
            return self._comparison(form)
        if isinstance(form, RungForm):
            return self._rung(form.any_rung)
        if isinstance(form, AtLeastForm):
            counted = form.at_least
            return AtLeast(counted.count, _at(("at_least", "of"), self, counted.of))
        if isinstance(form, AnyForm):
            return AtLeast(1, _at(("any_of",), self, form.any_of))
        return AtLeast(len(form.all_of), _at(("all_of",), self, form.all_of))

    def plain(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names, each `max_of` measure replaced by its measures as far as they can be used, each once."""
        return tuple(dict.fromkeys(base for name in names for base in self._bases(name)))

    def _bases(self, name: str) -> list[str]:
        if name not in self.worst:
            return [name]
        return [base for base in self.worst[name] if isinstance(self.measures.get(base), (Measure, Mean))]

    def fits(self, comparison: Comparison, *, upwards: bool) -> None:
        """Check that a comparison points away from, or with `upwards` towards, what is dangerous of its measure.

        Raises:
            ValueError: it does not, or the measure could not be read.
        """
        bases = self._bases(comparison.name)
        if bases != list(self.worst.get(comparison.name, bases)) or self._unread(comparison.name):
            raise Wrong(())
        for base in [measure for name in bases for measure in self._run(name)]:
            if (comparison.operator == ">=") is not (upwards is (base.danger == "higher")):
                other = "<=" if comparison.operator == ">=" else ">="
                raise ValueError(
                    f"expected `{other}`, the {'dangerous' if upwards else 'safe'} side of measure "
                    f"`{comparison.name}` (danger: {base.danger}), got `{comparison.operator}`"
                )

    def safe(self, comparison: Comparison) -> Comparison:
        """The comparison, if it holds a measure on its safe side.

        Raises:
            ValueError: it does not.
        """
        if comparison.name in self.worst:
            bases = ", ".join(f"`{base}`" for base in self.worst[comparison.name])
            raise ValueError(
                f"expected one measure, got `{comparison.name}`, the worst of {bases}; require each of them"
            )
        self.fits(comparison, upwards=False)
        return comparison

    def problems(self) -> Iterator[Problem]:
        """A `max_of` is over measures with a range, of one danger; no threshold has the name of a measure."""
        for name, bases in self.worst.items():
            path = ("measures", name, "max_of")
            for place, base in enumerate(bases):
                yield from _check.refers({"measures": self.measure_names}, "measures", base, (*path, place))
                if base in self.worst or isinstance(self.measures.get(base), (ComputeRatio, Unbounded)):
                    yield Problem((*path, place), f"expected a measure with a range, got `{base}`")
            if len(dangers := {measure.danger for base in bases for measure in self._run(base)}) > 1:
                yield Problem(path, f"expected measures of one danger, got {' and '.join(sorted(dangers))}")
        for name in sorted(self.measure_names & self.threshold_names):
            message = f"threshold `{name}` has the name of a measure; expected another name"
            yield Problem(("thresholds", name), message, at_key=True)

    def _unread(self, name: str) -> bool:
        return name in self.measure_names and name not in self.measures and name not in self.worst

    def _run(self, name: str) -> list[Measure]:
        """The measures that are run for one that is no `max_of`, as far as they could be read."""
        found = self.measures.get(name)
        bases = found.weights if isinstance(found, Mean) else (name,)
        return [base for base in map(self.measures.get, bases) if isinstance(base, Measure)]

    def _threshold(self, name: str) -> Ref:
        if name in self.measure_names and name not in self.threshold_names:
            raise ValueError(f"expected a comparison such as `{name} >= 0.50`, or a threshold, got measure `{name}`")
        return Ref(name)

    def _comparison(self, form: Comparison) -> Expr:
        if form.name in BUILT_IN or isinstance(self.measures.get(form.name), ComputeRatio):
            if form.operator != ">=":
                raise ValueError(f"expected `>=`, since more of `{form.name}` reaches it, got `{form.operator}`")
            return Amount(form.name, form.level)
        self.fits(form, upwards=True)
        if form.name in self.worst:
            return AtLeast(1, tuple(At(base, form.level) for base in self.plain([form.name])))
        return At(form.name, form.level)

    def _rung(self, rung: str) -> AtLeast:
        if rung not in self.rungs:
            known = frozenset(self.rungs)
            raise Wrong([Problem(("any_rung",), f"no threshold has rung {quote(rung)}", wrong=rung, known=known)])
        return AtLeast(1, tuple(Ref(name) for name in sorted(self.rungs[rung])))


def _at(path: tuple[str, ...], words: Words, forms: Sequence[Expression]) -> tuple[Expr, ...]:
    """The parts of a combination that are written at `path` in it."""
    try:
        return tuple(each(words.expression, enumerate(forms)).values())
    except Wrong as wrong:
        raise Wrong(replace(it, path=(*path, *it.path)) for it in wrong.problems) from wrong
