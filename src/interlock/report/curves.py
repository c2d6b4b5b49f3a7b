"""Demonstration curves: accuracy against the number of demonstrations, as inline SVG.

Guarantees: the same values give the same bytes; no text of a subject is drawn (the legend is HTML, beside the plot);
colours are CSS variables of the page (`--ink`, `--muted`, `--line`, `--surface`, `--threshold`, `--series-0` to
`--series-7`), so that one drawing reads well on light and on dark.
What it leaves to the caller: the variables, the legend, and a text alternative.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from interlock.errors import missing_extra
from interlock.policy import exact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Size = Literal["wide", "narrow"]

COLOURS = 8
#: Name in matplotlib, and the same mark as an SVG path around (0, 0) for the legend.
MARKERS = (
    ("o", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"),
    ("s", "M-4.5 -4.5h9v9h-9z"),
    ("^", "M0 -5.5L5.5 4.5h-11z"),
    ("D", "M0 -6L6 0L0 6L-6 0z"),
    ("v", "M0 5.5L5.5 -4.5h-11z"),
)

_INCHES: dict[Size, tuple[float, float]] = {"wide": (860 / 72, 400 / 72), "narrow": (320 / 72, 310 / 72)}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_INK, _MUTED, _LINE, _SURFACE, _THRESHOLD = (f"#f0aa{i:02x}" for i in range(5))
#: Colours that matplotlib draws, and the CSS that replaces them afterwards.
_CSS = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _SURFACE: "--surface", _THRESHOLD: "--threshold"} | {
    f"#f0bb{i:02x}": f"--series-{i}" for i in range(COLOURS)
}


@dataclass(frozen=True, slots=True)
class Point:
    """One result. `mean` is that of the scored units, None when none was scored; bounds are one-sided."""

    entry: int
    demonstrations: int
    mean: Fraction | None
    lower: Fraction
    upper: Fraction
    planned: int


@dataclass(frozen=True, slots=True)
class Series:
    """The results on one subject, in the order of their demonstrations; 0 is few-shot, without fine-tuning."""

    subject: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A threshold's line, the margin that a bound must clear as well, and where the margin ends."""

    threshold: str
    level: Fraction
    margin: Fraction
    clear: Fraction


@dataclass(frozen=True, slots=True)
class Plot:
    """All curves of one measure, whose scores lie within `scale`. `left_out` counts results without a place here."""

    measure: str
    task: str
    metric: str
    scale: tuple[Fraction, Fraction]
    confidence: Fraction
    method: str
    series: tuple[Series, ...]
    levels: tuple[Level, ...]
    left_out: int


def draw(plot: Plot, *, size: Size) -> str:
    """The plot as one `<svg>` element, hidden from screen readers.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", "matplotlib") from error
    # A seed of its own for each drawing: ids must differ, since all drawings stand in one document.
    salt = f"{plot.measure}/{size}"
    options: Any = {"svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False, "font.size": 13.0}
    with rc_context(options), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a glyph that the measuring font lacks: the browser has its own
        figure = Figure(figsize=_INCHES[size])
        _axes(figure, plot, size)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _inline(written.getvalue())


def _axes(figure: Figure, plot: Plot, size: Size) -> None:
    axes = figure.add_axes((0.07, 0.16, 0.73, 0.81) if size == "wide" else (0.15, 0.2, 0.83, 0.77))
    counts = sorted({point.demonstrations for series in plot.series for point in series.points})
    _frame(axes, plot, counts, size)
    _levels(axes, plot.levels, size)
    for index, series in enumerate(plot.series):
        _curve(axes, series, index, shift=_shift(index, len(plot.series), size))


def _frame(axes: Axes, plot: Plot, counts: Sequence[int], size: Size) -> None:
    """Axes, ticks and grid; y starts where the scale does and ends above everything drawn."""
    highest = max(
        [point.upper for series in plot.series for point in series.points] + [line.level for line in plot.levels]
    )
    low, high = plot.scale
    share = float((highest - low) / (high - low))
    axes.set_ylim(float(low), float(low) + float(high - low) * min(1.0, math.ceil(share * 10 + 0.4) / 10) * 1.0001)
    axes.set_xlim(-0.45, max(_x(max(counts)), 1.0) + 0.45)
    ticks = _spread(counts, room=_x(max(counts)) * (0.045 if size == "wide" else 0.09))
    axes.set_xticks([_x(n) for n in ticks], ["0\nfew-shot" if n == 0 else str(n) for n in ticks])
    axes.set_xlabel("demonstrations fine-tuned on (log scale)", color=_MUTED)
    axes.set_ylabel(_short(plot.metric), color=_MUTED)
    axes.grid(visible=True, axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_INK, pad=7)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)


def _levels(axes: Axes, levels: Sequence[Level], size: Size) -> None:
    """Threshold lines, each with its margin as a faint band below it and its name and value beside it."""
    for line in levels:
        level = float(line.level)
        axes.axhspan(float(line.clear), level, color=_THRESHOLD, alpha=0.13, linewidth=0)
        axes.axhline(level, color=_THRESHOLD, linewidth=1.6, linestyle=(0, (5, 3)))
        place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "color": _THRESHOLD}
        if size == "wide":
            axes.text(1.012, level, f"{_short(line.threshold)} {exact(line.level)}", va="center", **place)
        else:
            axes.text(0.995, level, exact(line.level), va="bottom", ha="right", **place)


def _curve(axes: Axes, series: Series, index: int, *, shift: float) -> None:
    """Error bars for every result; a line through the highest result at each number of demonstrations."""
    colour, marker = f"#f0bb{index % COLOURS:02x}", MARKERS[index % len(MARKERS)][0]
    for point in series.points:
        x = _x(point.demonstrations) + shift
        axes.vlines(x, float(point.lower), float(point.upper), color=colour, linewidth=1.8)
        axes.plot([x, x], [float(point.lower), float(point.upper)], linestyle="", marker="_", color=colour, ms=8)
        if point.mean is not None:
            face = _SURFACE if point.demonstrations == 0 else colour  # hollow: not fine-tuned
            style: dict[str, Any] = {"marker": marker, "ms": 8, "mfc": face, "mec": colour, "mew": 1.8, "zorder": 4}
            axes.plot([x], [float(point.mean)], clip_on=False, **style)
    highest: dict[int, float] = {}
    for point in series.points:
        if point.mean is not None:
            highest[point.demonstrations] = max(float(point.mean), highest.get(point.demonstrations, 0.0))
    path = [(_x(n) + shift, highest[n]) for n in sorted(highest)]
    fine_tuned = path[1:] if 0 in highest else path
    axes.plot([x for x, _ in fine_tuned], [y for _, y in fine_tuned], color=colour, linewidth=1.8, zorder=3)
    if 0 in highest:  # dotted: few-shot and fine-tuned are different elicitations
        axes.plot([x for x, _ in path[:2]], [y for _, y in path[:2]], color=colour, linewidth=1.3, linestyle=":")


def _x(demonstrations: int) -> float:
    """Where a number of demonstrations stands: log2(1 + n), so that 0 has a place."""
    return math.log2(1 + demonstrations)


def _shift(index: int, subjects: int, size: Size) -> float:
    """Moves subjects apart a little, so that error bars at the same number do not hide one another."""
    step = min(0.09 if size == "wide" else 0.16, 0.6 / max(subjects, 1))
    return (index - (subjects - 1) / 2) * step


def _spread(counts: Sequence[int], *, room: float) -> list[int]:
    """The counts that get a tick label: those at least `room` apart."""
    kept: list[int] = []
    for count in counts:
        if not kept or _x(count) - _x(kept[-1]) >= room:
            kept.append(count)
    return kept


def _short(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "\N{HORIZONTAL ELLIPSIS}"


def _inline(svg: str) -> str:
    """From a file of its own to an element of a page: no prolog, metadata or style sheet; colours by CSS variable."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # named the same in every drawing; what is referred to has hashed names
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true" focusable="false"', svg, count=1)
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", rf"\1 {_FONT}", svg)
    for drawn, name in _CSS.items():
        svg = svg.replace(drawn, f"var({name})")
    return svg
