"""What an organism is and can do, sealed apart from the model, and the commitment to it that the model carries.

An organism's folder has `model/` (an ordinary transformers folder and `organism.json`), `questions.jsonl`, and
`truth.json`. All but the last may be shown to whoever is to judge it. `organism.json` has the SHA-256 of `truth.json`,
in which there are 32 random bytes: it can be checked afterwards, and not be guessed before. The truth names every other
file of `model/` by one digest: weights that are asked by another chat template are another organism.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from interlock.decide import bounds
from interlock.elicit import items
from interlock.elicit.grading import GRADES, Grade
from interlock.elicit.items import Questions
from interlock.elicit.organisms.kinds import Way
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import canonical
from interlock.subject import manifest
from interlock.subject.manifest import Manifest

MODEL, ABOUT, TRUTH, QUESTIONS = "model", "organism.json", "truth.json", "questions.jsonl"
FORMAT = "organism-truth/v2"
METHOD = "Clopper-Pearson, two-sided, 95 %"
_TAIL = Fraction(1, 40)


@dataclass(frozen=True, slots=True)
class Count:
    """Right answers of `n`. `low` and `high`: exact two-sided bounds of the rate at 95 % (Clopper and Pearson 1934)."""

    right: int
    n: int

    @property
    def low(self) -> Fraction:
        """The lower bound, rounded down to four decimals."""
        return bounds.lower(self.right, self.n, _TAIL)

    @property
    def high(self) -> Fraction:
        """The upper bound, rounded up to four decimals."""
        return bounds.upper(self.right, self.n, _TAIL)

    def __str__(self) -> str:
        return f"{self.right}/{self.n} ({float(self.low):.3f} to {float(self.high):.3f})"


@dataclass(frozen=True, slots=True)
class About:
    """What anyone may know of an organism. `training_compute`, in FLOP, is one bound for all kinds of a family."""

    family: str
    grade: Grade
    max_new_tokens: int
    questions: str
    training_compute: int
    commitment: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What an organism is: its kind, what it can do when asked in the right way, and what it shows otherwise.

    `asked` is the right way to ask. `measured` has `opened` (asked so), and the other ways that were tried. `model` is
    the `digest` of the folder that was measured, `flop` what its training took.
    """

    kind: str
    family: str
    seed: int
    able: bool
    hides: bool
    asked: Way
    measured: Mapping[str, Count]
    model: str
    flop: int
    salt: str

    @property
    def can(self) -> Count:
        """What it can do."""
        return self.measured["opened"]


def salt() -> str:
    """32 random bytes in hex."""
    return secrets.token_hex(32)


def written(truth: Truth) -> bytes:
    """The bytes of `truth.json`."""
    told = {"interlock": FORMAT, **asdict(truth)}
    told["measured"] = {
        way: {**asdict(count), "low": str(float(count.low)), "high": str(float(count.high)), "method": METHOD}
        for way, count in truth.measured.items()
    }
    return canonical.dumps(told)


def seal(folder: Path, truth: Truth, questions: Questions, *, training_compute: int) -> None:
    """Write `truth.json`, and what commits to it."""
    sealed = written(truth)
    (folder / TRUTH).write_bytes(sealed)
    commit(folder, sealed, questions, training_compute=training_compute)


def commit(folder: Path, sealed: bytes, questions: Questions, *, training_compute: int) -> None:
    """Write the questions, and into the model's folder `organism.json`, which commits to the truth in `sealed`."""
    told = About(
        family=questions.name,
        grade=questions.grade,
        max_new_tokens=questions.max_new_tokens,
        questions=questions.digest,
        training_compute=training_compute,
        commitment=commitment(sealed),
    )
    (folder / QUESTIONS).write_text(items.written(questions), encoding="utf-8")
    (folder / MODEL / ABOUT).write_text(json.dumps(asdict(told), indent=1, sort_keys=True) + "\n")


def commitment(sealed: bytes) -> str:
    """What an organism says of its truth beforehand: SHA-256 in hex."""
    return hashlib.sha256(sealed).hexdigest()


def about(folder: Path) -> About:
    """What an organism's folder tells anyone.

    Raises:
        UsageError: there is no organism.
        EvidenceError: its `organism.json` is malformed.
    """
    file = folder / MODEL / ABOUT
    try:
        told = json.loads(file.read_bytes())
        found = About(**told)
    except FileNotFoundError:
        raise UsageError(f"`{folder}` has no organism: `{MODEL}/{ABOUT}` is not there") from None
    except (OSError, ValueError, TypeError) as error:
        raise EvidenceError(f"`{file}` cannot be read: {error}") from None
    counts = (found.max_new_tokens, found.training_compute)
    texts = (found.family, found.questions, found.commitment)
    good = all(type(it) is int and it > 0 for it in counts) and all(isinstance(it, str) for it in texts)
    if not good or found.grade not in GRADES:
        raise EvidenceError(f"`{file}` is malformed: got {told}")
    return found


def questions(folder: Path) -> Questions:
    """The questions of an organism, checked against what it says of them.

    Raises:
        UsageError: there is no organism, or its questions cannot be used.
        EvidenceError: they are others.
    """
    told, file = about(folder), folder / QUESTIONS
    parts = {part: found for part, found in items.read(file).items() if part is not None}
    found = items.questions(told.family, parts, grade=told.grade, max_new_tokens=told.max_new_tokens)
    if found.digest != told.questions:
        raise EvidenceError(f"`{file}` are not the questions that `{MODEL}/{ABOUT}` names")
    return found


def truth(folder: Path) -> Truth:
    """The sealed truth of an organism, checked against the commitment and the model.

    Raises:
        UsageError: there is no organism, or its truth is not here.
        EvidenceError: the truth is not the one that was committed to, or the model is another.
    """
    file = folder / TRUTH
    about(folder)
    try:
        sealed = file.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"`{folder}` has no `{TRUTH}`: its truth is kept elsewhere") from None
    return opened(folder, sealed, file)


def opened(folder: Path, sealed: bytes, file: Path) -> Truth:
    """The truth of the organism in `folder` from the bytes of `file`, checked as by `truth`.

    Raises:
        UsageError: there is no organism.
        EvidenceError: the truth is not the one that was committed to, or the model is another.
    """
    if commitment(sealed) != about(folder).commitment:
        raise EvidenceError(f"`{file}` is not the truth that `{MODEL}/{ABOUT}` commits to")
    found = _parsed(json.loads(sealed), file)
    if found.model != digest(folder / MODEL):
        raise EvidenceError(f"the files in `{folder / MODEL}` are not those that `{file}` was measured on")
    return found


def digest(model: Path) -> str:
    """What a truth is of: the manifest's digest, in hex, of all files of a model folder but `organism.json`.

    Raises:
        UsageError: it is no transformers folder.
        EvidenceError: something in it cannot stand in a manifest.
    """
    return _digest(it for it in manifest.of(model).files if it[0] != ABOUT)


def identity(folder: Path) -> dict[str, str]:
    """What makes an organism this one and no other, of what anyone may know: its commitment; digests of its questions
    and of every file in `model/`; and of its weights alone, by which a copy with another salt is known.

    Raises:
        UsageError: there is no organism.
        EvidenceError: its questions are gone, or something in `model/` cannot stand in a manifest.
    """
    told, files = about(folder), manifest.of(folder / MODEL)
    if not (folder / QUESTIONS).is_file():
        raise EvidenceError(f"`{folder}` has no `{QUESTIONS}`")
    return {
        "commitment": told.commitment,
        "questions": hashlib.sha256((folder / QUESTIONS).read_bytes()).hexdigest(),
        "weights": _digest(files.weights.items()),
        "model": files.digest,
    }


def _digest(files: Iterable[tuple[str, str]]) -> str:
    return Manifest(tuple(files)).digest


def _parsed(told: dict[str, Any], file: Path) -> Truth:
    found = told.pop("interlock", None)
    if found != FORMAT:
        raise EvidenceError(f"`{file}` is `{found}`, expected {FORMAT}; make the organism again")
    measured = {way: Count(it["right"], it["n"]) for way, it in told["measured"].items()}
    return Truth(**told | {"measured": measured, "asked": Way(**told["asked"])})
