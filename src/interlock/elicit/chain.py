"""One elicitor after another, such as supervised fine-tuning before RL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from interlock.elicit.budget import Meter
from interlock.elicit.elicitor import Elicited, Elicitor, NothingLearnedError, Progress, attempt
from interlock.elicit.items import Material
from interlock.evaluate.local import LocalModel
from interlock.policy.model import TRAINED, Elicitation


@dataclass(frozen=True, slots=True)
class Chain:
    """`second` takes on the model that `first` adapted, from the same material and budget."""

    version: ClassVar[int] = 1  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)
    first: Elicitor
    second: Elicitor

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return f"{self.first.name}+{self.second.name}"

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is: that of the second; of the first if only that one trains,
        since a model that was trained is not merely asked.
        """
        return self.first.kind if self.first.kind in TRAINED and self.second.kind not in TRAINED else self.second.kind

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and the version of what it does."""
        parts = (self.first, self.second)
        told = [{"name": part.name, "kind": part.kind, "settings": dict(part.describe())} for part in parts]
        return {"version": self.version, "parts": told}

    def elicit(
        self, subject: LocalModel, material: Material, *, meter: Meter, seed: int, work: Path | None, progress: Progress
    ) -> Elicited:
        """Adapt a copy of `subject` twice. Examples that the first shows are shown if the second shows none.

        Raises:
            UsageError, OutOfBudgetError, EvidenceError: as its parts.
            NothingLearnedError: a part had nothing to learn from, and none before it had trained the model. After one
                that had, the model is at least what that made of it, the transcript has the flag, and whether that is
                all there is to bring out is what the assumption `no-exploration-hacking` is about.
        """
        first, why = attempt(
            self.first, subject, material, meter=meter, seed=seed, work=work and work / "first", progress=progress
        )
        model = first.adapted.local
        second, then = attempt(
            self.second, model, material, meter=meter, seed=seed, work=work and work / "second", progress=progress
        )
        adapted = replace(second.adapted, shots=second.adapted.shots or first.adapted.shots)
        steps = [
            {"part": it.name, **event}
            for it, of in ((self.first, first), (self.second, second))
            for event in of.transcript
        ]
        if then:
            steps.append({"part": self.second.name, "event": "nothing-learned", "why": then})
        elicited = Elicited(adapted, tuple(steps), first.flop + second.flop)
        if why or (then and self.first.kind not in TRAINED):
            raise NothingLearnedError(why or then, elicited)
        return elicited
