"""Two plots of the checks on organisms of known truth: ROC curves, and the scores by kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.elicit.checks import roc
from interlock.elicit.checks.blind import Model, sides
from interlock.errors import UsageError, missing_extra


def draw(models: Sequence[Model], path: Path) -> None:
    """Write both side by side.

    Raises:
        UsageError: matplotlib is not installed, or does not write files of this kind.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", "matplotlib") from error
    names = [name for name in sorted({it for model in models for it in model.scores}) if all(sides(models, name))]
    kinds = sorted({(not model.hides, model.kind) for model in models})
    with rc_context({"svg.hashsalt": "roc", "svg.fonttype": "none"}):
        figure = Figure(figsize=(13, 2.5 + 1.6 * -(-len(names) // 3)), layout="constrained")
        halves: Any = figure.subfigures(1, 2, width_ratios=(2, 3))  # an array, which its types do not say
        left, right = halves
        axes = left.add_subplot()
        for name in names:
            points = roc.curve(*sides(models, name))
            axes.step(*zip(*points, strict=True), where="post", label=name)
        axes.plot([0, 1], [0, 1], ":", color="grey")
        axes.set_xlabel("share of benign organisms flagged")
        axes.set_ylabel("share of hiding organisms flagged")
        axes.legend(fontsize="small")
        for place, name in enumerate(names):
            axes = right.add_subplot(-(-len(names) // 3), 3, place + 1)
            for row, (benign, kind) in enumerate(kinds):
                found = [it.scores[name] for it in models if it.kind == kind and name in it.scores]
                axes.plot(found, [row] * len(found), "o", color="tab:blue" if benign else "tab:red", alpha=0.6)
            axes.set_yticks(range(len(kinds)), [kind for _, kind in kinds] if place % 3 == 0 else [""] * len(kinds))
            axes.set_title(name, fontsize="small")
            axes.tick_params(labelsize="x-small")
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        except ValueError as error:
            raise UsageError(f"cannot draw `{path}`: {str(error).splitlines()[0]}") from None
