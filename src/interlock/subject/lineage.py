"""Lineage: what a subject's own statement leaves open about its compute, and what it may not say.

All numbers are FLOP. A parent that is a run without weights yet has spent nothing: what was spent is the step's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.facts import Step

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from interlock.decide.facts import Subject
    from interlock.subject.manifest import Manifest

STEPS = ("continued", "fine-tuned", "adapter", "merged", "distilled", "quantised", "edited")


@dataclass(frozen=True, slots=True)
class Charge:
    """What FLOP of training come to in effective compute, from `start` on, where one may be worth so much. All of them
    are rounded up once: it is the same however they were cut into steps and runs.
    """

    start: int
    worth: Fraction

    def effective(self, flop: int) -> int:
        """The most effective compute after so many FLOP."""
        return self.start + math.ceil(flop * self.worth)

    def most(self, effective: int) -> int:
        """The most FLOP that come to no more than so much effective compute; below 0 where that is below the start."""
        return math.floor((effective - self.start) / self.worth)

    def least(self, effective: int) -> int:
        """The fewest FLOP that come to so much effective compute or more; of what `effective` gave, the very same FLOP,
        since none is worth less than one.
        """
        return self.most(effective - 1) + 1


@dataclass(frozen=True, slots=True)
class Made:
    """One step from a parent: its kind, the FLOP that it took, and whether the parent has weights."""

    parent: Subject
    kind: str
    compute: int
    has_weights: bool = True

    @property
    def step(self) -> Step:
        """The step as the subject's statement has it."""
        return Step(self.parent.digest, self.kind, self.compute)

    @property
    def training(self) -> int:
        """Training compute along this way."""
        return self.compute + (self.parent.training_compute if self.has_weights else 0)

    @property
    def worth(self) -> Fraction:
        """What a FLOP of this step may be worth in effective compute: of `continued` training as much as one of the
        parent's was at the most, since the recipe goes on; never less than one.
        """
        spent = self.parent.training_compute
        if self.kind != "continued" or not self.has_weights or not spent:
            return Fraction(1)
        return Fraction(max(self.parent.ec_high, spent), spent)

    @property
    def effective(self) -> tuple[int, int]:
        """The least and the most effective compute along this way."""
        if not self.has_weights:
            return self.compute, self.compute
        charge = Charge(self.parent.ec_high, self.worth)
        return self.compute + self.parent.ec_low, charge.effective(self.compute)


def training_compute(made: Sequence[Made]) -> int:
    """The training compute of a subject made so: that of all ways together, so that nothing is left out."""
    return sum(one.training for one in made)


def effective_compute(made: Sequence[Made]) -> tuple[int, int]:
    """An interval that holds the subject's effective compute: at least that of its best way, at most that of all."""
    return max(one.effective[0] for one in made), sum(one.effective[1] for one in made)


def below_parent(made: Sequence[Made], *, training: int, low: int, high: int) -> str | None:
    """What a subject may not say: less compute than a parent, or than a parent whose training went on for so long. In
    words, with got and expected; None if it is sound.
    """
    for one in made:
        parent, name = one.parent, one.parent.name
        if low < parent.ec_low or high < parent.ec_high:
            return (
                f"effective compute {low} to {high} is below that of its parent `{name}`, "
                f"expected {parent.ec_low} to {parent.ec_high} FLOP or more"
            )
        if one.kind == "continued" and one.has_weights and high < one.effective[1]:
            return (
                f"effective compute may be {high} at the most, after {one.compute} FLOP of training that continued "
                f"`{name}`, expected {one.effective[1]} FLOP or more"
            )
        if training < one.training:
            least = f"expected {one.training} FLOP or more"
            return f"training compute {training} is below that of its way from `{name}`, {least}"
    return None


def only_continued(made: Sequence[Made]) -> str | None:
    """What a subject may not say of a run from scratch: that its weights were made from it in another way than by
    training. There were none. In words, with got and expected; None if it is sound.
    """
    for one in made:
        if not one.has_weights and one.kind != "continued":
            return f"`{one.kind}` from `{one.parent.name}`, a run that has no weights yet, expected `continued`"
    return None


@dataclass(frozen=True, slots=True)
class Saved:
    """What the first snapshot that had a file of weights says of it: the entry, the training under its permit as a step
    from the permit's subject, and the effective compute by then.
    """

    entry: int
    made: Made
    compute: int


def otherwise_saved(subject: Subject, files: Sequence[Saved]) -> str | None:
    """Why a subject cannot have these files, in words: it says otherwise than the snapshots how they came about. None
    if it may: it was `continued` from what each run went on from, for as long as the run had by the last of them.

    For no less, and in no other way, or what an earlier state of the run shows would not be shown of it; for no more,
    or what it shows would not be shown of later ones.
    """
    last: dict[str, Saved] = {}
    for one in sorted(files, key=lambda it: it.made.compute):
        last[one.made.parent.digest] = one
    for digest, one in last.items():
        parent, compute = one.made.parent.name, one.made.compute
        said = [(step.kind, step.compute) for step in subject.steps if step.parent == digest]
        if not said or set(said) != {("continued", compute)}:
            got = " and ".join(f"`{kind}` for {flop} FLOP" for kind, flop in said) or "no step from that"
            return (
                f"the snapshot of entry {one.entry} has them, `continued` from `{parent}` for {compute} FLOP, "
                f"got {got}, expected the same, or to be made from another subject that has them"
            )
    for one in files:
        if subject.ec_high < one.compute:
            return (
                f"the snapshot of entry {one.entry} has them and had spent more: effective compute may be "
                f"{subject.ec_high} at the most, expected {one.compute} FLOP or more"
            )
    return None


def ancestry(parents: Sequence[str], subjects: Mapping[str, Subject]) -> set[str]:
    """The digests of these parents, and of all that they were made from."""
    line, rising = set[str](), list(parents)
    while rising:
        line.add(digest := rising.pop())
        rising += [step.parent for step in subjects[digest].steps if step.parent not in line]
    return line


def somebody_elses(
    files: Manifest, line: Collection[str], subjects: Mapping[str, Subject], manifests: Mapping[str, Manifest]
) -> str | None:
    """What a subject may not keep quiet about: whose weights it has. None if each of its files of weights is new, or
    an ancestor has it; else the file and who has it, in words.

    `line` are the digests of the subject's ancestors; `subjects` and `manifests` are those before it, by digest.
    """
    holders: dict[str, list[str]] = {}
    for digest, other in manifests.items():
        for weights in other.weights.values():
            holders.setdefault(weights, []).append(digest)
    for name, weights in files.weights.items():
        if (held := holders.get(weights)) and not any(holder in line for holder in held):
            return (
                f"its weights `{name}` are those of `{subjects[held[0]].name}`, expected to be made from it, "
                f"or from another that has them"
            )
    return None
