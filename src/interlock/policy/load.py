"""A policy file to a `Policy`, or to the list of everything that is wrong with it.

Reading goes on past a mistake: each entry is read on its own, and what could be read is checked for what refers to
what, so that an author sees all problems at once, each with file, line and column. A file with a problem is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from interlock.errors import EvidenceError, PolicyError, UsageError
from interlock.evidence.keys import PublicKey, load_public
from interlock.policy import _check, _schema, _yaml
from interlock.policy import _scalar as scalar
from interlock.policy._check import Problem
from interlock.policy._scalar import exact, quote, suggest
from interlock.policy.model import (
    Assumption,
    Attested,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Requirement,
    Role,
    RuleOut,
    Threshold,
)

F = TypeVar("F", bound=BaseModel)

_SECTIONS = ("roles", "measures", "assumptions", "thresholds", "requirements", "gates")
_MAX_CHAIN = 16  # thresholds that `like` one another
_DEFAULT_BUDGET = Fraction(1, 100)  # of the training compute (DESIGN 3.1, kin)


def load(path: Path) -> Policy:
    """Read the policy in the file at `path`. Key files are looked for beside it.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: the policy is not valid; lists every problem.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_yaml.MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"expected a policy file at `{path}`, got nothing") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise UsageError(f"policy file `{path}` cannot be read: {str(said).lower()}") from None
    return _read(content, name=str(path), folder=path.parent)


def loads(text: str, *, name: str, folder: Path | None) -> Policy:
    """Read a policy from `text`. `name` stands for the file in messages; key files are looked for in `folder`.

    Raises:
        PolicyError: the policy is not valid; lists every problem.
    """
    return _read(text, name=name, folder=folder)


def _read(content: bytes | str, *, name: str, folder: Path | None) -> Policy:
    composer = _yaml.Composer()
    found = composer.problems
    try:
        root = composer.compose(content)
    except _yaml.Refused:
        raise PolicyError(_lines(found, name=name)) from None
    data = _yaml.plain(root)
    policy = _Reading(root, data, _names(data), folder, found).policy()
    if policy is None or found:
        raise PolicyError(_lines(found, name=name))
    return policy


def key_files(text: str, *, name: str) -> tuple[str, ...]:
    """The key files that a policy's roles name, as written; none where the text is no mapping of roles.

    Raises:
        PolicyError: the text is not YAML that a policy can be read from.
    """
    composer = _yaml.Composer()
    try:
        data = _yaml.plain(composer.compose(text))
    except _yaml.Refused:
        raise PolicyError(_lines(composer.problems, name=name)) from None
    roles = data.get("roles") if isinstance(data, dict) else None
    entries = [role.get("keys") for role in roles.values() if isinstance(role, dict)] if isinstance(roles, dict) else []
    keys = [key for listed in entries if isinstance(listed, list) for key in listed]
    return tuple(dict.fromkeys(key for key in keys if isinstance(key, str) and key.endswith(".pub")))


def _lines(found: list[tuple[_yaml.Mark, str]], *, name: str) -> list[str]:
    return [f"{name}:{line}:{column}: {message}" for (line, column), message in sorted(set(found))]


def _names(data: _yaml.Plain) -> dict[str, frozenset[str]]:
    """What each section defines. A section that is missing is a problem of its own, except for the requirements."""
    sections = data if isinstance(data, dict) else {}
    names = {section: frozenset(entries) for section in _SECTIONS if isinstance(entries := sections.get(section), dict)}
    if "requirements" in names or "requirements" not in sections:
        names["requirements"] = names.get("requirements", frozenset()) | {"never"}
    return {section: known for section, known in names.items() if known}


@dataclass(frozen=True, slots=True)
class _Reading:
    """One file on its way to a policy: its tree, the same without positions, the names that its sections define, where
    key files are, and the problems so far.
    """

    root: _yaml.Node
    data: _yaml.Plain
    names: dict[str, frozenset[str]]
    folder: Path | None
    found: list[tuple[_yaml.Mark, str]]

    def policy(self) -> Policy | None:
        """The policy, or nothing when there are problems."""
        head = self.parse(_schema.PolicyForm)
        refresh = self.parse(_schema.RefreshForm, "refresh")
        permits = self.parse(_schema.PermitsForm, "permits")
        plans = self.parse(_schema.PlansForm, "plans")
        amendments = self.parse(_schema.AmendmentsForm, "amendments")
        share, share_source = self.attacker_budget()
        parts = _check.Parts(
            roles=self.roles(),
            measures=self.measures(),
            assumptions=self.assumptions(),
            thresholds=self.thresholds(),
            requirements=self.requirements(),
            gates=self.gates(),
            issued_by=permits.issued_by if permits else None,
            approved_by=amendments.approved_by if amendments else None,
            names=self.names,
            listed=frozenset(name for action in self.entries("gates") for name in self.entries("gates", action)),
        )
        self.add_checks(parts)
        if self.found or not (head and refresh and permits and plans and amendments):
            return None
        return Policy(
            id=head.id,
            version=head.version,
            title=head.title,
            effective=head.effective,
            roles=MappingProxyType(parts.roles),
            measures=MappingProxyType(parts.measures),
            assumptions=MappingProxyType(parts.assumptions),
            thresholds=MappingProxyType(parts.thresholds),
            requirements=MappingProxyType(parts.requirements),
            gates=MappingProxyType({action: MappingProxyType(cells) for action, cells in parts.gates.items()}),
            refresh_multiple=refresh.effective_compute,
            refresh_period=refresh.period,
            attacker_budget=share,
            attacker_budget_source=share_source,
            permits=Permits(permits.lease, permits.ledger_age, permits.issued_by),
            report_within=plans.report_within,
            approved_by=amendments.approved_by,
        )

    def add(self, problem: Problem) -> None:
        """Note a problem at its line and column; a value that is not there was reported already."""
        node = _yaml.find(self.root, problem.path)
        if node is not None and node.value is None and not problem.at_key:
            return
        node = node or _yaml.nearest(self.root, problem.path)
        self.found.append((node.key_at if problem.at_key else node.at, problem.message))

    def add_checks(self, parts: _check.Parts) -> None:
        """Note what is wrong between the parts. A mistake taken over by `like` is told once, where it was written."""
        told: set[str] = set()
        elsewhere = []
        for problem in _check.check(parts):
            if _yaml.find(self.root, problem.path) is None:
                elsewhere.append(problem)
            else:
                told.add(problem.message)
                self.add(problem)
        for problem in elsewhere:
            if problem.message not in told:
                told.add(problem.message)
                self.add(problem)

    def at(self, *path: str) -> _yaml.Plain:
        """The plain data at `path`, or nothing."""
        data = self.data
        for step in path:
            data = data.get(step) if isinstance(data, dict) else None
        return data

    def entries(self, *path: str) -> dict[str, _yaml.Plain]:
        """The mapping at `path`; an empty one where there is none."""
        data = self.at(*path)
        return data if isinstance(data, dict) else {}

    def parse(self, form: type[F], *path: str) -> F | None:
        """The entry at `path` in its form; notes what is wrong with it. That it is missing is its parent's problem."""
        entry = self.at(*path)
        if entry is None:
            return None
        try:
            return form.model_validate(entry)
        except ValidationError as error:
            for problem in _schema.problems(error, form):
                self.add(Problem((*path, *problem.path), problem.message, problem.at_key))
            self.add_mentions(*path)
        return None

    def add_mentions(self, *path: str) -> None:
        """Check the names in an entry that cannot be read as a whole, so that they are not left for the next time."""
        mentions: list[tuple[_yaml.Path, _yaml.Plain]] = []
        for field, value in self.entries(*path).items():
            if field in _schema.ROLE_FIELDS:
                mentions.append(((*path, field), value))
            elif field == "independent_of" and isinstance(value, list):
                mentions.extend(((*path, field, place), item) for place, item in enumerate(value))
        for at, name in mentions:
            for problem in _check.refers(self.names, "roles", name, at) if isinstance(name, str) else ():
                self.add(problem)

    def roles(self) -> dict[str, Role]:
        roles = {}
        for name in self.entries("roles"):
            if form := self.parse(_schema.RoleForm, "roles", name):
                keys = [self.key(text, ("roles", name, "keys", place)) for place, text in enumerate(form.keys)]
                if all(keys):
                    roles[name] = Role(name, tuple(filter(None, keys)), form.quorum, form.independent_of)
        return roles

    def key(self, text: str, path: _yaml.Path) -> str | None:
        """A key's text form, read from the file that `text` names unless it is the key itself."""
        try:
            return str(PublicKey.parse(text) if text.startswith("ed25519:") else self.key_file(text))
        except (EvidenceError, ValueError) as error:
            self.add(Problem(path, str(error)))
        return None

    def key_file(self, text: str) -> PublicKey:
        if not text.endswith(".pub") or Path(text).is_absolute():
            raise ValueError(f"expected `ed25519:BASE64` or a relative path to a .pub file, got {quote(text)}")
        if self.folder is None:
            raise ValueError(
                f"expected `ed25519:BASE64`, got {quote(text)}; text without a folder has no files beside it"
            )
        path = self.folder / text
        if not path.is_file():
            raise ValueError(f"expected a key file at `{path}`, got nothing")
        try:
            return load_public(path)
        except (UsageError, OSError):  # never shows what is in the file: it may be a private key under a wrong name
            raise ValueError(f"expected one line `ed25519:BASE64` in key file `{path}`, got something else") from None

    def measures(self) -> dict[str, Measure]:
        forms = ((name, self.parse(_schema.MeasureForm, "measures", name)) for name in self.entries("measures"))
        return {name: Measure(name, form.kind, *form.source.task, form.source.metric) for name, form in forms if form}

    def assumptions(self) -> dict[str, Assumption]:
        forms = (
            (name, self.parse(_schema.AssumptionForm, "assumptions", name)) for name in self.entries("assumptions")
        )
        return {name: Assumption(name, form.stated_by, form.fresh_for) for name, form in forms if form}

    def thresholds(self) -> dict[str, Threshold]:
        thresholds = {}
        for name in self.entries("thresholds"):
            form = self.parse(_schema.ThresholdForm, "thresholds", name)
            rule = self.rule_out(name)
            if form and rule:
                thresholds[name] = Threshold(name, *form.reached_when, rule, form.takeover_potential, form.sources)
            elif form:
                at = ("thresholds", name, "reached_when")
                for problem in _check.refers(self.names, "measures", form.reached_when[0], at):
                    self.add(problem)
        return thresholds

    def rule_out(self, name: str) -> RuleOut | None:
        """The threshold's `rule_out`, with what it leaves out taken over from the threshold that it is `like`."""
        self.parse(_schema.RuleOutForm, "thresholds", name, "rule_out")
        merged = self.merged(name)
        try:
            form = _schema.RuleOutForm.model_validate(merged)
        except ValidationError:
            return None  # noted where the mistake was written
        return RuleOut(
            confidence=form.confidence,
            elicitation=form.elicitation,
            demonstrations=form.demonstrations,
            buffer=form.buffer.effective_compute,
            margin=form.buffer.margin,
            margin_source=form.buffer.source,
            coverage=form.coverage,
            run_by=form.run_by,
        )

    def merged(self, name: str) -> dict[str, _yaml.Plain] | None:
        """The written fields of `rule_out` along the chain of `like`, the nearest first."""
        path = ("thresholds", name, "rule_out", "like")
        fields: dict[str, _yaml.Plain] = {}
        chain = [name]
        while True:
            entry = self.at("thresholds", chain[-1], "rule_out")
            if not isinstance(entry, dict):
                return None
            fields = {**entry, **fields}
            base = entry.get("like")
            if base is None:
                fields.pop("like", None)
                return fields
            if not isinstance(base, str) or base not in self.entries("thresholds"):
                if len(chain) == 1 and isinstance(base, str):
                    hint = suggest(base, self.entries("thresholds"))
                    self.add(Problem(path, f"threshold {quote(base)} is not defined{hint}"))
                return None
            if base in chain or len(chain) == _MAX_CHAIN:
                circle = " -> ".join(f"`{step}`" for step in [*chain, base])
                wrong = "goes round in a circle" if base in chain else f"goes on for more than {_MAX_CHAIN} thresholds"
                self.add(Problem(path, f"`like` {wrong}: {circle}"))
                return None
            chain.append(base)

    def requirements(self) -> dict[str, Requirement]:
        requirements: dict[str, Requirement] = {}
        for name, entry in self.entries("requirements").items():
            try:
                form = self.parse(_schema.requirement_form(entry), "requirements", name)
            except ValueError as error:
                self.add(Problem(("requirements", name), str(error)))
                continue
            if isinstance(form, _schema.AttestedForm):
                requirements[name] = Attested(name, form.attested, form.by, form.about, form.fresh_for)
            elif isinstance(form, _schema.HoleForm):
                requirements[name] = Hole(name, form.hole, form.owner, form.review)
        cells = (cell for gate in self.entries("gates").values() if isinstance(gate, dict) for cell in gate.values())
        if any(isinstance(cell, list) and "never" in cell for cell in cells):
            requirements.setdefault("never", Never("never"))
        return requirements

    def gates(self) -> dict[str, dict[str, tuple[str, ...]]]:
        gates = {}
        for action, cells in self.entries("gates").items():
            if not isinstance(cells, dict):
                self.add(Problem(("gates", action), f"expected a mapping from thresholds to lists, got {quote(cells)}"))
                continue
            read = {threshold: self.cell(("gates", action, threshold), cell) for threshold, cell in cells.items()}
            if any(cell is not None for cell in read.values()) or not cells:
                gates[action] = {threshold: cell for threshold, cell in read.items() if cell is not None}
        return gates

    def cell(self, path: _yaml.Path, cell: _yaml.Plain) -> tuple[str, ...] | None:
        """The requirements listed in one cell; nothing if they are not names."""
        if not isinstance(cell, list):
            self.add(Problem(path, f"expected a list of requirements, got {quote(cell)}"))
            return None
        names = []
        for place, item in enumerate(cell):
            try:
                names.append(scalar.name(item))
            except ValueError as error:
                self.add(Problem((*path, place), str(error)))
        return tuple(names) if len(names) == len(cell) else None

    def attacker_budget(self) -> tuple[Fraction, str]:
        """The share and its source. Less than the default is a loosening, and must say why."""
        if "attacker_budget" not in self.entries():
            return _DEFAULT_BUDGET, "default"
        form = self.parse(_schema.BudgetForm, "attacker_budget")
        if form is None:
            return _DEFAULT_BUDGET, "default"
        if form.share < _DEFAULT_BUDGET and not form.source:
            got = f"`{exact(form.share)}` and no source"
            message = f"expected a `source` for a share below the default `{exact(_DEFAULT_BUDGET)}`, got {got}"
            self.add(Problem(("attacker_budget", "share"), message))
        return form.share, form.source or "no source given"
