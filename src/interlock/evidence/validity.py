"""Validity records: how well an elicitor, or another check, was seen to work on model organisms of known truth.

Guarantees: a record is read strictly, and its `recipe` is that of the elicitor that it describes. What it leaves to the
caller: whether its counts are enough (docs/semantics.md, rule 16), and whether they are true, which its organisms show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import rfc8785

from interlock.decide.facts import Validity
from interlock.errors import EvidenceError
from interlock.evidence.predicates import MOST_ORGANISMS, Fields
from interlock.policy import exact

if TYPE_CHECKING:
    from fractions import Fraction

FORMAT = "validity-record/v3"
_LIMIT = 1 << 26


def recipe_of(name: str, kind: str, settings: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of an elicitor's description in canonical JSON (RFC 8785): the same elicitor, the same text.

    What it does is bound by the `version` among its settings (`elicit.elicitor.Elicitor`) alone: who changes the
    training without raising it leaves certificates standing for other training.

    Raises:
        ValueError: a setting has no JSON form.
    """
    return sha256(rfc8785.dumps({"name": name, "kind": kind, "settings": dict(settings)})).hexdigest()


@dataclass(frozen=True, slots=True)
class Elicitor:
    """What was tried: its name, the elicitation that it is, and every setting that its results depend on. It was given
    so many `demonstrations`: the most that it had of any organism, which its recipe does not say.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    demonstrations: int

    @property
    def recipe(self) -> str:
        """Its recipe."""
        return recipe_of(self.name, self.kind, self.settings)


@dataclass(frozen=True, slots=True)
class Record:
    """What a check showed on model organisms. Bounds are one-sided, at `confidence`.

    Of `organisms`, `covered` had their hidden truth at or under the bound that elicitation gave; of the `honest`, which
    never had the skill, `ruled_out` were under the level `at`. The organisms had `least` to `most` parameters.
    """

    check: str
    elicitor: Elicitor
    covered: int
    organisms: int
    ruled_out: int
    honest: int
    at: Fraction
    least: int
    most: int
    confidence: Fraction
    details: Mapping[str, Any]

    @property
    def validity(self) -> Validity:
        """What the ledger says of it."""
        return Validity(
            self.elicitor.recipe,
            self.elicitor.demonstrations,
            self.ruled_out,
            self.honest,
            self.at,
            self.least,
            self.confidence,
        )

    def to_bytes(self) -> bytes:
        """The record as `parse` reads it."""
        made = {
            "interlock": FORMAT,
            "check": self.check,
            "elicitor": {
                "name": self.elicitor.name,
                "kind": self.elicitor.kind,
                "settings": dict(self.elicitor.settings),
                "demonstrations": self.elicitor.demonstrations,
            },
            "recipe": self.elicitor.recipe,
            "coverage": {"covered": self.covered, "organisms": self.organisms},
            "sharpness": {"ruled_out": self.ruled_out, "honest": self.honest, "at": exact(self.at)},
            "parameters": {"least": self.least, "most": self.most},
            "confidence": exact(self.confidence),
            "details": dict(self.details),
        }
        return json.dumps(made, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def parse(data: bytes, where: str) -> Record:
    """Read a record.

    Raises:
        EvidenceError: it is not one; or its recipe is not that of its elicitor, or its counts cannot be.
    """
    fields = Fields(_json(data, where), where)
    fields.one_of("interlock", (FORMAT,))
    told, covered, sharp, size = (fields.nested(it) for it in ("elicitor", "coverage", "sharpness", "parameters"))
    elicitor = Elicitor(told.text("name"), told.text("kind"), told.free("settings"), told.count("demonstrations"))
    record = Record(
        check=fields.text("check"),
        elicitor=elicitor,
        covered=covered.count("covered"),
        organisms=covered.count("organisms"),
        ruled_out=sharp.count("ruled_out"),
        honest=sharp.count("honest"),
        at=sharp.exact("at", least=0),
        least=size.count("least"),
        most=size.count("most"),
        confidence=fields.exact("confidence", least=0),
        details=fields.free("details"),
    )
    claimed = fields.digest("recipe")
    for part in (told, covered, sharp, size, fields):
        part.done()
    if claimed != (expected := _recipe(elicitor, where)):
        raise EvidenceError(f"{where}: `recipe` is {claimed[:12]}, expected {expected[:12]} by its `elicitor`")
    for few, many in ((record.covered, record.organisms), (record.ruled_out, record.honest)):
        if not few <= many <= MOST_ORGANISMS:
            raise EvidenceError(
                f"{where}: {few} of {many} organisms, expected no more than all, {MOST_ORGANISMS} at most"
            )
    if not 0 < record.least <= record.most:
        raise EvidenceError(f"{where}: {record.least} to {record.most} parameters, expected an interval above 0")
    if not 0 < record.confidence < 1:
        raise EvidenceError(f"{where}: `confidence` is {exact(record.confidence)}, expected above 0 and below 1")
    return record


def _recipe(elicitor: Elicitor, where: str) -> str:
    """Its recipe. What has no canonical JSON (1e999, 2^53, half a surrogate) no elicitor was ever told."""
    try:
        return elicitor.recipe
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise EvidenceError(f"{where}: the settings of its `elicitor` have no canonical JSON: {why[:120]}") from error


def _json(data: bytes, where: str) -> object:
    if len(data) > _LIMIT:
        raise EvidenceError(f"{where}: {len(data)} bytes, expected at most {_LIMIT}")
    try:
        return json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{where}: it is no JSON: {str(error)[:120]}") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object has a name twice")
    return made


def _no_constant(text: str) -> object:
    raise ValueError(f"`{text}` is no number")
