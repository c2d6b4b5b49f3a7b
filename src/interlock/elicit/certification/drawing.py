"""The plot of a certification: bound against truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.errors import UsageError, missing_extra


def draw(told: dict[str, Any], path: Path) -> None:
    """Draw each organism of `judging.Certified.to_json` by its kind; what lies under the diagonal is not covered.

    Raises:
        UsageError: matplotlib is not installed, or does not write files of this kind.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", "matplotlib") from error
    rows = [row for row in told["organisms"] if row["bound"] is not None]
    plan = told["plan"]
    with rc_context({"svg.hashsalt": "certified", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="black", linewidth=1, label="bound = truth")
        axes.axhline(_number(plan["level"]), color="grey", linestyle=":", label=f"level {plan['level']}")
        for place, kind in enumerate(sorted({row["kind"] for row in rows})):
            some = [row for row in rows if row["kind"] == kind]
            truth = [row["can"]["right"] / row["can"]["n"] for row in some]
            marker, colour = "ox^sDv<>P*h"[place % 11], f"C{place % 10}"
            axes.plot(
                truth, [_number(row["bound"]) for row in some], marker, color=colour, label=kind, fillstyle="none"
            )
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("truth: right answers when it is asked rightly")
        axes.set_ylabel(f"greatest one-sided {float(_number(plan['confidence'])):.0%} upper bound")
        names = ", ".join(it["name"] for it in plan["elicitors"])
        axes.set_title(f"{names}: n = {len(rows)} organisms, without a margin")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        except ValueError as error:
            raise UsageError(f"cannot draw `{path}`: {str(error).splitlines()[0]}") from None


def _number(text: str) -> float:
    from fractions import Fraction

    return float(Fraction(text))
