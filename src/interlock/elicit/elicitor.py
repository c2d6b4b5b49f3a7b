"""What every elicitor takes and gives.

An elicitor tries to make a model show what it can do. It gets the model, questions to learn from, a budget and a seed,
and gives the model adapted, together with how it must be asked, a transcript and what it spent. It never sees a test
question. At one seed, on one machine and number of threads, it gives the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from interlock.elicit.budget import Meter
from interlock.elicit.items import Item, Material
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.local import LocalModel, encode, fingerprint
from interlock.evidence.validity import recipe_of
from interlock.policy.model import Elicitation

Event = Mapping[str, Any]


class Progress(Protocol):
    """Where long work says how far it is: a word for the stage, steps done, steps in all, and a note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """One step further."""


def under(name: str, progress: Progress) -> Progress:
    """The same with a name before each stage."""

    def told(stage: str, done: int, total: int, note: str = "") -> None:
        progress(f"{name}: {stage}", done, total, note)

    return told


@dataclass(frozen=True, slots=True)
class Adapted:
    """A model and how to ask it: these solved examples first, so many attempts a question, at this temperature, but the
    first of several at 0.

    Raises:
        UsageError: no attempt, or several at temperature 0, which would all be one and the same.
    """

    local: LocalModel
    shots: tuple[Item, ...] = ()
    attempts: int = 1
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or (self.attempts > 1 and not self.temperature > 0):
            raise UsageError(f"cannot make {self.attempts} attempts at temperature {self.temperature:g}")


@dataclass(frozen=True, slots=True)
class Elicited:
    """What an elicitor gave. `transcript` tells each step as a JSON object; `flop` is what was spent."""

    adapted: Adapted
    transcript: tuple[Event, ...]
    flop: int


class NothingLearnedError(EvidenceError):
    """Reinforcement learning had nothing to learn from; the text says why.

    It is a finding about exploration, and no elicitation: `elicited` has the transcript, and a model that its rewards
    never moved, whose answers bound nothing.
    """

    def __init__(self, why: str, elicited: Elicited) -> None:
        super().__init__(why)
        self.elicited = elicited


class Elicitor(Protocol):
    """One way of trying hard.

    `version` is raised whenever it trains or asks otherwise at the same settings, in any module that it is made of: it
    stands in the description, so that no certificate of the elicitor as it was stands for what it then does.
    """

    version: ClassVar[int]

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is."""

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and its `version`."""

    def elicit(
        self, subject: LocalModel, material: Material, *, meter: Meter, seed: int, work: Path | None, progress: Progress
    ) -> Elicited:
        """Adapt a copy of `subject`, which is not changed. With a folder `work`, a killed run is taken up there.

        Raises:
            UsageError: the material is not enough, or `work` holds another run.
            OutOfBudgetError: the budget allows nothing at all; else it stops in time, and the transcript says so.
            NothingLearnedError: there was nothing to reinforce.
            EvidenceError: training did not take, or gave numbers that are not finite.
        """


def attempt(
    elicitor: Elicitor,
    subject: LocalModel,
    material: Material,
    *,
    meter: Meter,
    seed: int,
    work: Path | None,
    progress: Progress,
) -> tuple[Elicited, str]:
    """What an elicitor gave, and why nothing was learned; an empty text: something was. For what is no evidence: there
    `Elicitor.elicit` is called, which raises.

    Raises:
        UsageError, OutOfBudgetError, EvidenceError: as `Elicitor.elicit`, but for `NothingLearnedError`.
    """
    try:
        return elicitor.elicit(subject, material, meter=meter, seed=seed, work=work, progress=progress), ""
    except NothingLearnedError as error:
        return error.elicited, str(error)


def recipe(elicitor: Elicitor) -> str:
    """SHA-256 in hex that says which elicitor, with which settings, was used."""
    return recipe_of(elicitor.name, elicitor.kind, elicitor.describe())


def job(elicitor: Elicitor, subject: LocalModel, material: Material, *, seed: int) -> str:
    """SHA-256 in hex over all that the steps of an elicitation depend on, so that the state of another is refused.

    It covers the elicitor's settings, the subject's weights, the questions and how its tokenizer reads them, and the
    seed. The budget's cap only says how far it goes.
    """
    items = (*material.demonstrations, *material.dev)
    read = [[*encode(subject, item.messages), *subject.tokenizer(item.target)["input_ids"]] for item in items]
    told = [recipe(elicitor), fingerprint(subject), material.digest, read, seed]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
