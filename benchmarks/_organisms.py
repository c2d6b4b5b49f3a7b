"""The command of a proof on model organisms: each is taken from a suite or made once, in a folder that tells what it
is, and measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from _report import machine

from interlock.cli.show import progress
from interlock.elicit.organisms.making import Order, make, one_thread
from interlock.elicit.organisms.skills import SKILLS
from interlock.elicit.organisms.suite import in_processes, sealed
from interlock.errors import EvidenceError, InterlockError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T", bound=Any)


def proof(
    about: str,
    title: str,
    *,
    found: type[T],
    kinds: Sequence[str],
    seeds: str,
    measure: Callable[[T, Path], T],
    report: Callable[[Sequence[T]], str],
    draw: Callable[[Sequence[T], Path], None],
) -> int:
    """Make each kind, family and seed that `--suite` has not, measure it, then tell and draw all.

    `found` is a dataclass of `kind`, `family`, `seed`, and why it was `refused`; `measure` fills in the rest, in a
    process of its own. What is filled in stands in `--out`, and is not measured again.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--suite", type=Path, help="take organisms from here (`interlock organism suite`)")
    parser.add_argument("--seeds", default=seeds)
    parser.add_argument("--families", default=",".join(SKILLS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    told = parser.parse_args()
    for part in ("organisms", "found"):
        (told.out / part).mkdir(parents=True, exist_ok=True)
    try:
        suite = sealed(told.suite) if told.suite else {}
    except InterlockError as error:
        raise SystemExit(f"--suite: {error}") from None
    works = [
        partial(_one, found, measure, Order(kind, family, int(seed)), told.out, suite)
        for family in told.families.split(",")
        for seed in told.seeds.split(",")
        for kind in kinds
    ]
    every: list[T] = []
    with progress() as bar:
        for it in in_processes(works, told.jobs, partial(bar, "organisms")):
            every.append(it)
            bar("organisms", len(every), len(works))
    every.sort(key=lambda it: (it.family, kinds.index(it.kind), it.seed))
    text = report(every)
    print(text)
    if told.markdown:
        where = "\n".join(f"- {name}: {value}" for name, value in machine().items())
        told.markdown.write_text(f"# {title}\n\n    {' '.join(sys.argv)}\n\n{where}\n\n{text}\n")
    if told.plot:
        draw(every, told.plot)
    return 0


def _one(found: type[T], measure: Callable[[T, Path], T], order: Order, out: Path, suite: Mapping[Order, Path]) -> T:
    """What is found of one organism, from its file or put there."""
    name = f"{order.kind}-{order.family}-{order.seed}"
    file, folder = out / "found" / f"{name}.json", suite.get(order, out / "organisms" / name)
    if file.exists():
        return found(**json.loads(file.read_text()))
    refused = ""
    if not folder.exists():
        try:
            make(order, folder, progress=silent)
        except EvidenceError as error:
            refused = str(error)
    it = found(order.kind, order.family, order.seed, refused=refused)
    if not refused:
        with one_thread():
            it = measure(it, folder)
    file.write_text(json.dumps(asdict(it), indent=1, sort_keys=True) + "\n")
    return it


def refusals(refused: Sequence[str]) -> list[str]:
    """A report's last part: the organisms that are not what their kind says."""
    return ["Refused, and so not counted:", *(f"- {it}" for it in refused)] if refused else []


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Workers of a pool have no terminal; the bar counts what they finish."""
