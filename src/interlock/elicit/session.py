"""One elicitor run on one subject: adapted, asked the test through Inspect, written down.

Guarantees: a folder belongs to one run, and says so before anything is spent; the same call goes on from what a killed
one left, to the same bits; `elicited.json` is there only if everything before it is. Reinforcement learning that had
nothing to learn from is told as that, with its transcript: no evidence is made here.

    run.json            what was asked for
    work/               saved states of training; may be removed once the run is done
    logs/*.eval         the Inspect log of the test
    deployed/*.eval     the same questions in prompts that look like deployment, if asked for
    transcript.jsonl    each step and choice
    elicited.json       settings, FLOP, counts and bounds
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from interlock.elicit import asking, deployed
from interlock.elicit.budget import Meter
from interlock.elicit.deployed import Retest
from interlock.elicit.elicitor import Adapted, Elicited, Elicitor, Progress, attempt, recipe
from interlock.elicit.items import Material, Questions, ids, require_open
from interlock.elicit.measuring import Measured, measure
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local
from interlock.evaluate.local import LocalModel


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run may use, and what is stated of it. `cap` is FLOP; without a `tolerance` there is no re-test."""

    cap: int | None
    seed: int
    confidence: Fraction = Fraction(95, 100)
    tolerance: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A run that is over: the adapted model, what it showed, and the record in `elicited.json`.

    `idle` says why nothing was learned, if nothing was: the bounds are then on the model as it began, and none on what
    this elicitor could bring out.
    """

    elicited: Elicited
    measured: Measured
    retest: Retest | None
    record: Mapping[str, Any]
    idle: str = ""


def run(
    elicitor: Elicitor, subject: LocalModel, questions: Questions, *, terms: Terms, out: Path, progress: Progress
) -> Done:
    """Elicit with all demonstrations of `questions`, and measure on its test.

    Raises:
        UsageError: the elicitor cannot work with this, or `out` holds another run.
        OutOfBudgetError: the budget allows nothing at all.
        EvidenceError: training did not take, a right answer would not be graded as right, or the log is not what was
            asked.
    """
    if elicitor.kind == "rl-fine-tuned":  # said before a chain has trained its first part
        require_open(questions.demonstrations, by=f"`{elicitor.name}`")
    asking.require_told(subject, (*questions.dev, *questions.test), grade=questions.grade)
    made = describe(elicitor, subject, questions, terms)
    claim(out, made)
    elicited, idle = attempt(
        elicitor,
        subject,
        questions.material,
        meter=Meter(terms.cap),
        seed=terms.seed,
        work=out / "work",
        progress=progress,
    )
    idle = idle or next((event["why"] for event in elicited.transcript if event["event"] == "nothing-learned"), "")
    identity = {"base": made["subject"], "recipe": made["recipe"]}
    name = elicitor.name.replace("+", "-")
    measured = measure(elicited.adapted, questions, name=name, made=identity, folder=out / "logs", progress=progress)
    again = None
    if terms.tolerance is not None:
        retold = deployed.framed(questions, seed=terms.seed)
        framed = measure(elicited.adapted, retold, name=name, made=identity, folder=out / "deployed", progress=progress)
        again = deployed.retest(measured, framed, tolerance=terms.tolerance, confidence=terms.confidence)
    record = {
        **made,
        "flop": elicited.flop,
        "adapted": local.fingerprint(elicited.adapted.local),
        "shots": list(ids(elicited.adapted.shots)),
        "test": measured.to_json(terms.confidence),
        **({"deployed": again.to_json()} if again else {}),
        **({"nothing_learned": idle} if idle else {}),
    }
    write(out / "transcript.jsonl", "".join(json.dumps(dict(event)) + "\n" for event in elicited.transcript))
    write(out / "elicited.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
    return Done(elicited, measured, again, record, idle)


def describe(elicitor: Elicitor, subject: LocalModel, questions: Questions, terms: Terms) -> dict[str, Any]:
    """What a run's outcome depends on, as JSON."""
    return {
        "interlock": "elicited/v1",
        "elicitor": {"name": elicitor.name, "kind": elicitor.kind, "settings": dict(elicitor.describe())},
        "recipe": recipe(elicitor),
        "subject": local.fingerprint(subject),
        "framing": local.framing(subject),
        "dtype": str(subject.dtype).removeprefix("torch."),
        "questions": asked(questions),
        "budget": terms.cap,
        "seed": terms.seed,
        "retest_tolerance": None if terms.tolerance is None else str(terms.tolerance),
        "confidence": str(terms.confidence),
    }


def asked(questions: Questions) -> dict[str, Any]:
    """Which questions, how many of each part, and how they are asked and graded, as JSON."""
    return {
        "name": questions.name,
        "digest": questions.digest,
        "grade": questions.grade,
        "max_new_tokens": questions.max_new_tokens,
        "demonstrations": len(questions.demonstrations),
        "dev": len(questions.dev),
        "test": len(questions.test),
    }


def claim(out: Path, made: Mapping[str, Any]) -> None:
    """Make `out` the folder of this run, or find that it is.

    Raises:
        UsageError: it is the folder of another run, or has other files.
    """
    told = out / "run.json"
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there <= {told.name}:  # at most a run that ended before it had spent anything
        out.mkdir(parents=True, exist_ok=True)
        write(told, json.dumps(made, indent=1, sort_keys=True) + "\n")
        return
    if told.name not in there:
        raise UsageError(f"`{out}` has files, and no `{told.name}`; name a folder that is new or empty")
    try:
        kept = json.loads(told.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"`{told}` cannot be read ({error}); name another folder") from None
    for name, value in made.items():
        got = kept.get(name) if isinstance(kept, dict) else None
        if got != value:
            raise UsageError(f"`{out}` holds another run: its {name} is {_short(got)}, expected {_short(value)}")


def save_model(adapted: Adapted, folder: Path) -> None:
    """Write the adapted model as a transformers folder, and see that what is read back is the same to the bit.

    Raises:
        EvidenceError: it is not.
    """
    with local.quiet():
        adapted.local.model.save_pretrained(folder)
        adapted.local.tokenizer.save_pretrained(folder)
    if local.fingerprint(local.load(folder)) != local.fingerprint(adapted.local):
        raise EvidenceError(f"the model in `{folder}` is not the adapted one")


def dev_right(adapted: Adapted, material: Material) -> frozenset[str]:
    """The dev questions that are answered rightly."""
    answers = asking.ask(adapted, material.dev, grade=material.grade, max_new_tokens=material.max_new_tokens)
    return frozenset(answer.item.id for answer in answers if answer.correct)


def write(path: Path, text: str) -> None:
    """Replace a file whole. Crash point: until the rename the earlier one stands."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _short(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return f"`{text[:80]}`"
