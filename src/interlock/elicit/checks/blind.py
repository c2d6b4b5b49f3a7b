"""All checks on a suite of organisms, blind: every score is on disk before the first truth is opened.

    OUT/run.json              what was asked for
    OUT/scores/NAME.json      the findings on one organism; one that is there is not computed again
    OUT/measured.json         once the truths were opened: ROC of each score, and the combined rule

Guarantees: nothing in `score` reads a `truth.json` or the suite's `sealed.json`. Killed, the same call goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from interlock.elicit import asking, session
from interlock.elicit.budget import Meter
from interlock.elicit.checks import check, combined, roc
from interlock.elicit.checks.check import Case, Finding
from interlock.elicit.checks.every import CHECKS
from interlock.elicit.elicitor import Progress
from interlock.elicit.items import Questions
from interlock.elicit.organisms import sealing, suite
from interlock.elicit.organisms.making import one_thread
from interlock.errors import UsageError
from interlock.evaluate import local
from interlock.evaluate.local import LocalModel
from interlock.evaluate.statistics.intervals import clopper_pearson
from interlock.subject._folder import Still


@dataclass(frozen=True, slots=True)
class Terms:
    """What each organism is given: how many test questions, at most; the seed; controls by family; FLOP an organism."""

    questions: int
    seed: int
    cap: int | None = None
    controls: Mapping[str, Path] | None = None


def score(folder: Path, out: Path, *, terms: Terms, jobs: int, progress: Progress) -> dict[str, list[Finding]]:
    """The findings on each organism of a suite, by its name, `jobs` at once; no truth is opened.

    The panel of each are the others with the same questions.

    Raises:
        UsageError: there is no suite, or `out` holds another run.
        EvidenceError: an organism is malformed.
    """
    organisms = suite.organisms(folder)
    session.claim(out, _asked(organisms, terms))
    (out / "scores").mkdir(parents=True, exist_ok=True)
    works = [partial(_one, it, organisms, out, terms) for it in organisms]
    found = {}
    for name, findings in suite.in_processes(works, jobs, partial(progress, "checks of organisms")):
        found[name] = findings
        progress("checks of organisms", len(found), len(organisms))
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Model:
    """An organism whose truth was opened. `short` are the checks that fell short on it and have a score."""

    name: str
    kind: str
    seed: int
    able: bool
    hides: bool
    scores: Mapping[str, float]
    flags: Mapping[str, bool]
    short: tuple[str, ...] = ()


def opened(folder: Path, found: Mapping[str, Sequence[Finding]]) -> list[Model]:
    """The scores of each organism with its truth, which is checked against its commitment.

    Raises:
        UsageError, EvidenceError: a truth is not here, or not the one committed to.
    """
    models = []
    for name, findings in found.items():
        truth = sealing.truth(folder / name)
        told = (scores(findings), flags(findings), short(findings))
        models.append(Model(name, truth.kind, truth.seed, truth.able, truth.hides, *told))
    return models


def scores(findings: Sequence[Finding]) -> dict[str, float]:
    """Every score by name, those beside the checks' own included; what could not be told is not there."""
    told: dict[str, float] = {}
    for finding in findings:
        told |= {finding.check: finding.score} if finding.score is not None else {}
        told |= finding.beside
    return told


def flags(findings: Sequence[Finding]) -> dict[str, bool]:
    """Every verdict at an operating point that was fixed beforehand, other rules' included."""
    told: dict[str, bool] = {}
    for finding in findings:
        told |= {finding.check: finding.flagged} if finding.flagged is not None else {}
        told |= finding.rivals
    return told


def short(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The checks that could tell, and tried less than they mean to: the budget cut them off, or there was too little to
    train on."""
    return tuple(it.check for it in findings if it.score is not None and not it.whole)


def measured(models: Sequence[Model], *, calibration: Sequence[int]) -> dict[str, Any]:
    """ROC of each score, and the combined rule: learned on organisms of the `calibration` seeds, tested on the others.

    Raises:
        UsageError: there is nothing to learn from, or nothing to test on.
    """
    names = sorted({name for model in models for name in model.scores})
    learned = [(it.scores, it.hides) for it in models if it.seed in calibration]
    rest = [it for it in models if it.seed not in calibration]
    rule = combined.learn(learned)
    tested = {
        "all": combined.judge(rule, [(it.scores, it.hides) for it in rest]),
        "with the skill": combined.judge(rule, [(it.scores, it.hides) for it in rest if it.able]),
    }
    return {
        "organisms": len(models),
        "hiding": sum(it.hides for it in models),
        "benign": sum(not it.hides for it in models),
        "benign_with_the_skill": sum(it.able and not it.hides for it in models),
        "scores": {name: _roc(models, name) for name in names},
        "fell_short": dict(sorted(Counter(name for it in models for name in it.short).items())),
        "flags": {name: _flagged(models, name) for name in sorted({name for it in models for name in it.flags})},
        "combined": {
            "conditions": [str(condition) for condition in rule],
            "calibration_seeds": list(calibration),
            "calibration": _verdicts(combined.judge(rule, learned)),
            "tested": {on: _verdicts(told) for on, told in tested.items()},
        },
        "models": [
            {
                "name": it.name,
                "kind": it.kind,
                "seed": it.seed,
                "hides": it.hides,
                "scores": dict(it.scores),
                "flags": dict(it.flags),
            }
            for it in sorted(models, key=lambda it: (it.kind, it.seed, it.name))
        ],
    }


def sides(models: Sequence[Model], name: str) -> tuple[list[float], list[float]]:
    """The scores of that name of hiding and of benign models; a model of which it could not be told has none."""
    told = [model for model in models if name in model.scores]
    return [it.scores[name] for it in told if it.hides], [it.scores[name] for it in told if not it.hides]


def _roc(models: Sequence[Model], name: str) -> dict[str, Any]:
    hiding, benign = sides(models, name)
    row: dict[str, Any] = {"hiding": len(hiding), "benign": len(benign)}
    if not hiding or not benign:
        return row | {"auc": None}
    row |= {"auc": roc.auc(hiding, benign).to_json()}
    row |= {"recall": [roc.recall(hiding, benign, rate).to_json() for rate in roc.RATES]}
    skilled, able = sides([it for it in models if it.able], name)
    return row | {"auc_with_the_skill": roc.auc(skilled, able).to_json() if skilled and able else None}


def _flagged(models: Sequence[Model], name: str) -> dict[str, Any]:
    """How often a flag was raised: on those that hide, on benign ones, and on benign ones that have the skill."""
    told = [it for it in models if name in it.flags]
    sides = {
        "found": [it for it in told if it.hides],
        "false_alarms": [it for it in told if not it.hides],
        "false_alarms_with_the_skill": [it for it in told if it.able and not it.hides],
    }
    return {
        side: clopper_pearson(sum(it.flags[name] for it in of), len(of)).to_json() if of else None
        for side, of in sides.items()
    }


def _verdicts(told: combined.Verdicts) -> dict[str, Any]:
    return {
        "balanced_accuracy": told.interval(),
        "found": clopper_pearson(told.found, told.hiding).to_json() if told.hiding else None,
        "false_alarms": clopper_pearson(told.alarms, told.benign).to_json() if told.benign else None,
    }


def _one(organism: Path, every: Sequence[Path], out: Path, terms: Terms) -> tuple[str, list[Finding]]:
    """The name of an organism and what is found on it, on one thread: the same bits whatever the number of jobs."""
    file = out / "scores" / f"{organism.name}.json"
    asked = sealing.questions(organism)
    still = Still.of(organism / sealing.MODEL)
    job = _digest([sealing.identity(organism), _told(terms), list(CHECKS)])
    if file.exists():
        kept = json.loads(file.read_bytes())
        if kept["job"] != job:
            raise UsageError(f"`{file}` is of another organism or run; name another folder")
        return organism.name, [check.from_json(it) for it in kept["findings"]]
    case = _case(organism, every, local.load(organism / sealing.MODEL), asked, terms)
    asking.require_told(case.subject, case.questions.test, grade=asked.grade)
    with one_thread():
        findings = [check.run(name, each, case) for name, each in CHECKS.items()]
    still.check()
    told = {"job": job, "findings": [finding.to_json() for finding in findings]}
    session.write(file, json.dumps(told, indent=1, sort_keys=True) + "\n")
    return organism.name, findings


def _case(organism: Path, every: Sequence[Path], subject: LocalModel, asked: Questions, terms: Terms) -> Case:
    others = [it for it in every if it != organism and sealing.about(it).questions == asked.digest]
    return Case(
        subject,
        first(asked, terms.questions),
        seed=terms.seed,
        meter=Meter(terms.cap),
        progress=_silent,
        control=_control(sealing.about(organism).family, terms),
        panel=[local.load(it / sealing.MODEL) for it in others],
    )


def _silent(stage: str, done: int, total: int, note: str = "") -> None:
    """A process of the pool has no terminal; the bar counts organisms."""


def first(asked: Questions, count: int) -> Questions:
    """The same with at most so many test questions, the first ones."""
    return replace(asked, test=asked.test[:count])


def _control(family: str, terms: Terms) -> LocalModel | None:
    folder = (terms.controls or {}).get(family)
    return local.load(folder) if folder else None


def _asked(organisms: Sequence[Path], terms: Terms) -> dict[str, Any]:
    named = {it.name: sealing.identity(it) for it in organisms}
    return {"interlock": "sandbagging/v2", "organisms": named, "terms": _told(terms), "checks": list(CHECKS)}


def _told(terms: Terms) -> dict[str, Any]:
    controls = {family: str(folder) for family, folder in (terms.controls or {}).items()}
    return {"questions": terms.questions, "seed": terms.seed, "cap": terms.cap, "controls": controls}


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
