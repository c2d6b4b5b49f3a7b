"""The three parts as tables: Markdown that reads as well in a terminal."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from _defects import INTERLOCK, Row, permitted
from _speed import GOAL, GOAL_AT, MODES, VARIANTS, Speed
from _startup import GOAL as START_GOAL
from _startup import HEAVY, Start

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DEFECTS = """\
The policy: *the action is allowed if the upper bound of the capability score is under 0.50 on a fresh (90 days),
signed, planned, fully covered evaluation of the right model, and the security audit is attested and fresh*. It is
written in Interlock's language (`same-policy/policy.yaml`) and, with 24 rules, in Cedar and Rego, in three styles each:

- **(a)** one broad permit and a `forbid`, or `deny`, for each thing that must not be;
- **(b)** every condition inside the one `permit`, or `allow`;
- **(c)** Cedar: (a) with a schema, every request validated; Rego: (b) with the type of every field checked by hand.

`refused`: no answer, because the input could not be read. That is no permit. `deny*`, `permit*`: the engine answered
and told of errors beside the answer. What Cedar and Rego cannot work out (the bound, how many plans are overdue) is
worked out for them.
"""

_READING = """\
- Interlock permits {interlock}. Its authors choose levels, roles and ages, not what becomes of a fact that is missing.
- Style (a) permits {cedar} in Cedar and {rego} in Rego: a rule that cannot be evaluated is skipped, and what it was to
  forbid is not forbidden. With {told} of Cedar's permits the skipped rules are told as errors beside the answer: a
  caller who takes every error for a denial is as safe as with style (b).
- Conditions in the permit, or a schema, mend almost all of that: used so, both languages fail closed. What is left:
  {left}.
- What is stale, unsigned, of another model, thin, withdrawn or withheld, Cedar and Rego deny in every style, because
  a rule for each was written here. The sentence above asks for nine of the 24. In Interlock the others are fields
  that a policy has to fill in (`run_by`, `coverage`, the task and its metric), or what `rule_out` and `attested` mean.
- Of what is left, a member told twice is the doing of the JSON reader, not of the language; a member that nobody reads
  is found by whoever checks against a schema; and that a bound is not borne out by its counts neither language can
  work out, so that it must trust the caller.
- Refusing has a price: one entry that cannot be read makes the whole ledger unreadable, and Interlock decides nothing
  until that is dealt with. (`Workspace.append` lets no such entry in.)
- Rego here is rego-cpp as in regopy, which has no `json.match_schema`. OPA itself was not run. It orders values of
  different types otherwise, and may answer otherwise where a type is wrong.
"""

_SPEED = """\
n rules: half thresholds, half requirements; with *permit* all are kept, with *hold* none, and all n must be among the
reasons. Interlock's thresholds are those of its policies: a few-shot and a fine-tuned result each, planned, signed,
fresh, bounded exactly (at 202 rules, 202 results). The others' rules are one comparison each, on a number that was
worked out for them: **it is not the same work**, and most of Interlock's time goes where the others have none.

- *cold*: from the policy (compiled, or text) and the facts to the first answer; nothing is remembered.
- *new facts*: one entry more than at any decision before; Interlock remembers exact bounds of equal counts, no more.
- *warm*: the same facts at another moment. Interlock knows until when its answer holds, and does not work it out again;
  the others do.

Cedar: `PolicySet` and `Entities` parsed once, the contexts as text, a hundred requests at once. Rego: a bundle with an
entrypoint, the facts as data, each `Input` made before. *Rego (loop)* is two rules that go through the data, whatever n
is: how one would write it.
"""

_START = """\
Wall time of the whole process, in seconds. Every decision is a hold with reasons for each rule.
"""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 1) -> str:
    """A Markdown table, padded; the columns from `right` on are set to the right."""
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if i >= right else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join(padded)} |"

    rule = "|".join(f"{'-' * (w + 1)}:" if i >= right else "-" * (w + 2) for i, w in enumerate(widths))
    return "\n".join([line(lines[0]), f"|{rule}|", *(line(cells) for cells in lines[1:])])


def machine() -> dict[str, str]:
    """Where this ran."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    found = {
        "processor": named[1] if named else platform.processor() or "unknown",
        "cores": str(os.cpu_count()),
        "load at the start": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "interlock": version("interlock"),
    }
    for name in ("cedarpy", "regopy"):
        if name in sys.modules:
            found[name] = version(name)
    return found


def defects(rows: Sequence[Row], elsewhere: dict[str, list[str]]) -> str:
    """Part (i)."""
    styles = [INTERLOCK, *rows[0].others]
    of = sum(row.input.group != "control" for row in rows)
    body = [[row.input.title, row.input.group, *(_cell(row, style) for style in styles)] for row in rows]
    totals = ["**defective inputs that it permits**", f"of {of}", *(str(len(permitted(rows, s))) for s in styles)]
    parts = [
        f"## {of} defective inputs, none of which may permit",
        _DEFECTS,
        table(["input", "defect", *styles], [*body, totals], right=2),
    ]
    if rows[0].others:
        parts += ["How to read it:", _reading(rows, elsewhere)]
    return "\n\n".join(part.strip() for part in parts)


def _cell(row: Row, style: str) -> str:
    if style == INTERLOCK:
        return row.verdict
    said = row.others[style]
    text = said.verdict + ("*" if said.errors and said.verdict != "refused" else "")
    return f"**{text}**" if said.verdict == "permit" and row.input.group != "control" else text


def _reading(rows: Sequence[Row], elsewhere: dict[str, list[str]]) -> str:
    style_of = {name: permitted(rows, name) for name in rows[0].others}
    told = [row for row in rows if row.input.title in style_of["Cedar (a)"] and row.others["Cedar (a)"].errors]
    text = _READING.format(
        interlock=len(permitted(rows, INTERLOCK)) or "none",
        cedar=len(style_of["Cedar (a)"]),
        rego=len(style_of["Rego (a)"]),
        told=len(told),
        left="; ".join(f"{name}: {_quoted(titles)}" for name, titles in style_of.items() if "(a)" not in name),
    )
    more = [f"{name} {_quoted(titles)}" for name, titles in elsewhere.items() if titles]
    if more:
        text += f"- Read by Python's `json` and handed over with `set_input`, also permitted: {'; '.join(more)}.\n"
    return text


def _quoted(titles: Sequence[str]) -> str:
    return ", ".join(f"*{title}*" for title in titles) or "nothing"


def speed(found: Sequence[Speed], details: Sequence[tuple[int, str, str, float]]) -> str:
    """Part (ii)."""
    engines = list(dict.fromkeys(it.engine for it in found))
    by = {(it.engine, it.rules, it.variant, it.mode): it for it in found}
    body = []
    for rules in dict.fromkeys(it.rules for it in found):
        for mode in MODES:
            for variant in VARIANTS:
                ours = by[INTERLOCK, rules, variant, mode].median
                cells = [f"{by[engine, rules, variant, mode].median:,.0f}" for engine in engines]
                ratios = [f"{ours / by[engine, rules, variant, mode].median:,.2f}x" for engine in engines[1:]]
                body.append([str(rules), mode, variant, *cells, *ratios])
    headers = ["rules", "facts", "answer", *engines, *(f"to {engine}" for engine in engines[1:])]
    spread = max((it.high - it.low) / it.median for it in found)
    parts = ["## Decisions a second, with reasons", _SPEED, table(headers, body, right=3)]
    warm = [by[INTERLOCK, GOAL_AT, variant, "warm"].median for variant in VARIANTS]
    verdict = "met" if min(warm) >= GOAL else "not met"
    got = ", ".join(f"{variant} {rate:,.0f}" for variant, rate in zip(VARIANTS, warm, strict=True))
    parts += [
        f"Medians; the repeats of one figure differed by at most {spread:.0%}. Last: Interlock's over the other's.",
        f"Goal, {GOAL:,} a second warm at {GOAL_AT} rules: {verdict} ({got}).",
        "Beside it, Interlock alone:",
    ]
    lines = [[str(rules), variant, what, f"{1000 / rate:,.2f}"] for rules, variant, what, rate in details]
    parts.append(table(["rules", "answer", "what", "ms"], lines, right=3))
    return "\n\n".join(part.strip() for part in parts)


def startup(found: Sequence[Start]) -> str:
    """Part (iii)."""
    body = [
        [
            it.what,
            f"{it.median:.3f}",
            f"{it.low:.3f}",
            f"{it.high:.3f}",
            str(it.modules or ""),
            ", ".join(it.heavy) or "none",
        ]
        for it in found
    ]
    slowest = max(it.median for it in found)
    parts = [
        "## A process of its own",
        _START,
        table(["command", "median", "least", "greatest", "modules", "heavy ones"], body),
        f"Heavy modules looked for: {', '.join(HEAVY)}.",
        f"Goal {START_GOAL} s: {'met' if slowest <= START_GOAL else 'not met'} (the slowest took {slowest:.3f} s).",
    ]
    return "\n\n".join(part.strip() for part in parts)
