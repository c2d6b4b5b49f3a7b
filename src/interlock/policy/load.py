"""A policy file to a `Policy`, or to the list of everything that is wrong with it.

Reading goes on past a mistake: each entry is read on its own, and what could be read is checked for what refers to
what, so that an author sees all problems at once, each with file, line and column. A file with a problem is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from interlock.errors import EvidenceError, PolicyError, UsageError
from interlock.evidence.keys import PublicKey, load_public
from interlock.policy import _scalar as scalar
from interlock.policy._scalar import exact, quote
from interlock.policy._structure import check as _check
from interlock.policy._structure.check import Problem, way_round
from interlock.policy._structure.cycles import never_met
from interlock.policy._structure.parts import located
from interlock.policy._structure.rules import useless, useless_rule
from interlock.policy._written import build as _build
from interlock.policy._written import document as _document
from interlock.policy._written import form as _form
from interlock.policy._written import form_requirement as _form_requirement
from interlock.policy._written import form_threshold as _form_threshold
from interlock.policy._written import forms as _forms
from interlock.policy._written import rule_out as _rule_out
from interlock.policy._written import yaml as _yaml
from interlock.policy._written.document import Document
from interlock.policy._written.expression import Words
from interlock.policy._written.measured import completed, thresholds_around
from interlock.policy._written.source import content_of
from interlock.policy.model import (
    RULE_FIELDS,
    Action,
    Actor,
    At,
    Channel,
    Context,
    Domain,
    ExceptionRule,
    IncidentKind,
    Measured,
    Never,
    Policy,
    Ref,
    Refresh,
    Report,
    Role,
    Scope,
    Standard,
    ThreatModel,
)
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from interlock.policy.duty import Duty
    from interlock.policy.model import AnyMeasure, Assumption, Cell, Expr, Requirement, RuleOut, Threshold

G = TypeVar("G", bound="_form.Form")
T = TypeVar("T")
Absent = Callable[[str], PublicKey]

_REQUIRED = frozenset({"roles", "thresholds", "gates"})
_SECTIONS = (
    *_REQUIRED,
    *("measures", "assumptions", "requirements", "exceptions", "actions", "not_governed", "on_hold", "duties"),
    *("domains", "actors", "threat_models", "standards", "reports", "channels", "incidents"),
)
_MAX_CHAIN = 16  # thresholds that `like` one another
_DEFAULT_BUDGET = Fraction(1, 100)  # of the training compute (DESIGN 3.1, kin)
_UNREAD = Refresh(Fraction(1), Duration(0, 1))  # where the policy's own has mistakes, so that the rest is still checked


def load(path: Path, *, at: datetime | None = None, absent: Absent | None = None) -> Policy:
    """Read the policy in the file at `path`. Key files are looked for beside it. With `at`, it must not have expired;
    with `absent`, that gives a key in place of a key file that is not there.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: the policy is not valid; lists every problem.
    """
    return loads(content(path), name=str(path), folder=path.parent, at=at, absent=absent)


def content(path: Path) -> bytes:
    """What the policy file at `path` holds, for `loads`, read no further than it takes to tell that it is too large.

    Raises:
        UsageError: the file is not there, or cannot be read.
    """
    return content_of(path, "a policy file")


def loads(
    text: str | bytes, *, name: str, folder: Path | None, at: datetime | None = None, absent: Absent | None = None
) -> Policy:
    """Read a policy from `text`. `name` stands for the file in messages; key files are looked for in `folder`. The rest
    is as for `load`.

    Raises:
        PolicyError: the policy is not valid; lists every problem.
    """
    composer = _yaml.Composer()
    found = composer.problems
    try:
        root = composer.compose(text)
    except _yaml.Refused:
        raise PolicyError(_yaml.mistakes(found, name=name)) from None
    data = _yaml.plain(root)
    names = _document.names(data, _SECTIONS, _REQUIRED)
    if "requirements" in names:
        names["requirements"] |= {"never"}
    policy = _Reading(Document(root, data, names, found), folder, absent).policy(at)
    if policy is None or found:
        raise PolicyError(_yaml.mistakes(found, name=name))
    return policy


def key_files(text: str | bytes, *, name: str) -> tuple[str, ...]:
    """The key files that a policy's roles name, as written; none where the text is no mapping of roles.

    Raises:
        PolicyError: the text is not YAML that a policy can be read from.
    """
    composer = _yaml.Composer()
    try:
        data = _yaml.plain(composer.compose(text))
    except _yaml.Refused:
        raise PolicyError(_yaml.mistakes(composer.problems, name=name)) from None
    roles = data.get("roles") if isinstance(data, dict) else None
    entries = [role.get("keys") for role in roles.values() if isinstance(role, dict)] if isinstance(roles, dict) else []
    keys = [key for listed in entries if isinstance(listed, list) for key in listed]
    return tuple(dict.fromkeys(key for key in keys if isinstance(key, str) and key.endswith(".pub")))


def _form_of(form: type[G]) -> Callable[[object], G]:
    return partial(_form.read, form)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One file being read, where its key files are, and what gives a key in place of one that is not there."""

    doc: Document
    folder: Path | None
    absent: Absent | None

    def policy(self, at: datetime | None) -> Policy | None:
        """The policy, or nothing when there are problems."""
        head = self.doc.read(_form_of(_forms.PolicyForm))
        plans = self.doc.read(_form_of(_forms.PlansForm), "plans")
        share, share_source = self.attacker_budget()
        parts = self.parts(head)
        self.doc.add_checks(parts)
        expires = self.doc.read(scalar.moment, "expires")
        if at and expires and expires <= at:
            got = f"one that expired at `{scalar.stamp(expires)}`"
            self.doc.add(
                Problem(
                    ("expires",),
                    f"expected a policy in force at `{scalar.stamp(at.replace(microsecond=0))}`, got {got}",
                )
            )
        if self.doc.found or not (head and plans and parts.refresh and parts.permits and parts.amendments):
            return None
        return Policy(
            id=head.id,
            version=head.version,
            title=head.title,
            effective=head.effective,
            expires=head.expires,
            supersedes=head.supersedes,
            imposed_by=head.imposed_by,
            scope=parts.scope or Scope(),
            roles=MappingProxyType(parts.roles),
            measures=MappingProxyType(parts.measures),
            assumptions=MappingProxyType(parts.assumptions),
            thresholds=MappingProxyType(parts.thresholds),
            requirements=MappingProxyType(parts.requirements),
            exceptions=MappingProxyType(parts.exceptions),
            gates=MappingProxyType({action: MappingProxyType(cells) for action, cells in parts.gates.items()}),
            not_governed=MappingProxyType(parts.not_governed),
            actions=MappingProxyType(parts.actions),
            refresh=parts.refresh,
            attacker_budget=share,
            attacker_budget_source=share_source,
            permits=parts.permits,
            report_within=plans.report_within,
            independent=head.independent,
            on_hold=MappingProxyType(parts.on_hold),
            duties=MappingProxyType(parts.duties),
            amendments=parts.amendments,
            context=parts.context,
            sources=head.sources,
        )

    def parts(self, head: _forms.PolicyForm | None) -> _check.Parts:
        """What could be read."""
        doc = self.doc
        reach = doc.read(_form_of(_form_threshold.RefreshForm), "refresh")
        permits = doc.read(_form_of(_forms.PermitsForm), "permits")
        amendments = doc.read(_form_of(_forms.AmendmentsForm), "amendments")
        refresh = _rule_out.refresh_of(reach) if reach else None
        measures, words = self.measures()
        thresholds = self.thresholds(words, refresh or _UNREAD)
        gates = self.gates()
        exceptions = self.named(ExceptionRule, "exceptions", _form_requirement.ExceptionForm)
        on_hold = {key: _build.responses(forms) for key, forms in doc.section("on_hold", _forms.responses).items()}
        requirements = self.requirements(words, thresholds, gates, exceptions, refresh or _UNREAD)
        if "never" in _build.mentioned(gates, requirements, exceptions, on_hold):
            requirements.setdefault("never", Never("never"))
        return _check.Parts(
            roles=self.roles(),
            measures=measures,
            assumptions=self.assumptions(),
            thresholds=thresholds,
            requirements=requirements,
            exceptions=exceptions,
            gates=gates,
            not_governed=doc.section("not_governed", scalar.prose),
            actions=self.named(Action, "actions", _forms.ActionForm),
            on_hold=on_hold,
            duties=self.duties(),
            context=self.context(),
            scope=self.scope(words),
            refresh=refresh,
            permits=_build.permits(permits) if permits else None,
            amendments=_build.amendments(amendments) if amendments else None,
            independent=head.independent if head else "",
            effective=head.effective if head else None,
            expires=head.expires if head else None,
            version=head.version if head else "",
            supersedes=head.supersedes if head else "",
            names=doc.names,
            listed={action: self.listed(action) for action in doc.entries("gates")},
        )

    def named(self, kind: Callable[..., T], section: str, form: type[_form.Form]) -> dict[str, T]:
        """The entries of a section whose values have the fields of their form."""
        return {name: _build.named(kind, name, it) for name, it in self.doc.section(section, _form_of(form)).items()}

    # -- who and what ----------------------------------------------------------------------------------------------

    def roles(self) -> dict[str, Role]:
        roles = {}
        for name, form in self.doc.section("roles", _form_of(_form_threshold.RoleForm)).items():
            keys = [self.key(text, ("roles", name, "keys", place)) for place, text in enumerate(form.keys)]
            if all(keys):
                roles[name] = Role(
                    name, tuple(filter(None, keys)), form.quorum, form.independent_of, form.declares, form.sources
                )
        return roles

    def key(self, text: str, path: _yaml.Path) -> str | None:
        """A key's text form, read from the file that `text` names unless it is the key itself."""
        try:
            return str(PublicKey.parse(text) if text.startswith("ed25519:") else self.key_file(text))
        except (EvidenceError, ValueError) as error:
            self.doc.add(Problem(path, str(error)))
        return None

    def key_file(self, text: str) -> PublicKey:
        if not text.endswith(".pub") or Path(text).is_absolute():
            raise ValueError(f"expected `ed25519:BASE64` or a relative path to a .pub file, got {quote(text)}")
        if self.folder is None:
            raise ValueError(
                f"expected `ed25519:BASE64`, got {quote(text)}; text without a folder has no files beside it"
            )
        path = self.folder / text
        if self.absent is not None and ".." not in Path(text).parts and not path.is_file():
            return self.absent(text)
        if not path.is_file():
            raise ValueError(f"expected a key file at `{path}`, got nothing")
        try:
            return load_public(path)
        except (UsageError, OSError):  # never shows what is in the file: it may be a private key under a wrong name
            raise ValueError(f"expected one line `ed25519:BASE64` in key file `{path}`, got something else") from None

    def measures(self) -> tuple[dict[str, AnyMeasure], Words]:
        """The measures, and what expressions may name. `max_of` is in the second only."""
        forms = self.doc.section("measures", _form_threshold.measure)
        built = {name: _build.measure(name, form) for name, form in forms.items()}
        measures = {name: measure for name, measure in built.items() if measure is not None}
        rungs: dict[str, list[str]] = {}
        for name in self.doc.entries("thresholds"):
            rung = self.doc.at("thresholds", name, "rung")
            if isinstance(rung, str):
                rungs.setdefault(rung, []).append(name)
        words = Words(
            measures=measures,
            worst={name: form.max_of for name, form in forms.items() if isinstance(form, _form_threshold.WorstForm)},
            measure_names=self.doc.names.get("measures", frozenset()),
            threshold_names=self.doc.names.get("thresholds", frozenset()),
            rungs={rung: tuple(names) for rung, names in rungs.items()},
        )
        self.doc.add_all(words.problems())
        return measures, words

    def assumptions(self) -> dict[str, Assumption]:
        forms = self.doc.section("assumptions", _form_threshold.assumption)
        return {name: _build.assumption(name, form) for name, form in forms.items()}

    def duties(self) -> dict[str, Duty]:
        forms = self.doc.section("duties", _form_of(_forms.DutyForm))
        return {name: _build.duty(name, form) for name, form in forms.items()}

    def context(self) -> Context:
        """What the policy speaks of without deciding by it."""
        return Context(
            domains=MappingProxyType(self.named(Domain, "domains", _forms.DomainForm)),
            actors=MappingProxyType(self.named(Actor, "actors", _forms.ActorForm)),
            threat_models=MappingProxyType(self.named(ThreatModel, "threat_models", _forms.ThreatModelForm)),
            standards=MappingProxyType(self.named(Standard, "standards", _forms.StandardForm)),
            reports=MappingProxyType(self.named(Report, "reports", _forms.ReportForm)),
            channels=MappingProxyType(self.named(Channel, "channels", _forms.ChannelForm)),
            incidents=MappingProxyType(self.named(IncidentKind, "incidents", _forms.IncidentForm)),
        )

    def scope(self, words: Words) -> Scope | None:
        form = self.doc.read(_form_of(_forms.ScopeForm), "scope")
        subjects = self.expression(words, "scope", "subjects")
        return _build.scope(form, subjects) if form else None

    # -- thresholds ------------------------------------------------------------------------------------------------

    def expression(self, words: Words, *path: str) -> Expr | None:
        return self.doc.read(lambda value: words.expression(_form_threshold.expression(value)), *path)

    def thresholds(self, words: Words, refresh: Refresh) -> dict[str, Threshold]:
        bare: dict[str, Threshold] = {}
        whens: dict[str, Expr | None] = {}
        for name in self.doc.entries("thresholds"):
            form = self.doc.read(_form_of(_form_threshold.ThresholdForm), "thresholds", name)
            when = whens[name] = self.expression(words, "thresholds", name, "reached_when")
            if form and (when or "reached_when" not in self.doc.entries("thresholds", name)):
                bare[name] = _build.threshold(name, form, words, when)
        thresholds = {}
        for name, when in whens.items():
            rule = self.rule_out(name, bare, refresh)
            if name in bare and (rule or "rule_out" not in self.doc.entries("thresholds", name)):
                thresholds[name] = replace(bare[name], rule_out=rule)
            else:
                self.check_names(when, name)
        return thresholds

    def check_names(self, when: Expr | None, name: str) -> None:
        """Check the names in a threshold that cannot be read as a whole, so that none is left for the next time."""
        for at, part, _ in located(when, ("thresholds", name, "reached_when")) if when else ():
            if isinstance(part, At):
                self.doc.add_all(_check.refers(self.doc.names, "measures", part.measure, at))
            elif isinstance(part, Ref):
                self.doc.add_all(_check.refers(self.doc.names, "thresholds", part.threshold, at))
        self.doc.add_mentions("thresholds", name, "rule_out")

    def rule_out(self, name: str, bare: Mapping[str, Threshold], refresh: Refresh) -> RuleOut | None:
        """The threshold's `rule_out`, with what it leaves out taken over from the threshold that it is `like`."""
        if name in bare and bare[name].uses != RULE_FIELDS:
            return self.part_of_rule(bare[name], refresh)
        self.doc.read(_form_of(_form_threshold.RuleOutForm), "thresholds", name, "rule_out")
        try:
            form = _form.read(_form_threshold.RuleOutForm, self.merged(name, bare))
        except _form.Wrong:
            return None  # noted where the mistake was written
        path = ("thresholds", name, "rule_out")
        if "demonstrations" in self.doc.entries(*path):
            self.doc.add_all(_rule_out.idle_demonstrations(form, path))
        return _rule_out.rule_out(form, refresh)

    def part_of_rule(self, threshold: Threshold, refresh: Refresh) -> RuleOut | None:
        """The `rule_out` of a threshold that measures nothing itself; refused where nothing is decided by it."""
        path = ("thresholds", threshold.name, "rule_out")
        written = self.doc.at(*path)
        if isinstance(written, dict) and not threshold.uses:
            self.doc.add(useless_rule(threshold, path))
            return None
        known = RULE_FIELDS | _form_threshold.RuleOutForm.model_fields.keys()
        over = [field for field in self.doc.entries(*path) if field in known - threshold.uses]
        self.doc.add_all(useless(threshold, field, (*path, field)) for field in over)

        def read(entry: _yaml.Plain) -> RuleOut:
            fields = {it: value for it, value in entry.items() if it not in over} if isinstance(entry, dict) else entry
            return _rule_out.part(_form.read(_form_threshold.PartForm, fields), refresh)

        return self.doc.read(read, *path)

    def merged(self, name: str, bare: Mapping[str, Threshold]) -> dict[str, _yaml.Plain] | None:
        """The written fields of `rule_out` along the chain of `like`, the nearest first."""
        path = ("thresholds", name, "rule_out", "like")
        fields: dict[str, _yaml.Plain] = {}
        chain = [name]
        while True:
            entry = self.doc.at("thresholds", chain[-1], "rule_out")
            if not isinstance(entry, dict):
                return None
            fields = {**entry, **fields}
            base = entry.get("like")
            if base is None:
                fields.pop("like", None)
                return fields
            if not isinstance(base, str) or base not in self.doc.entries("thresholds"):
                if len(chain) == 1 and isinstance(base, str):
                    self.doc.add_all(_check.refers(self.doc.names, "thresholds", base, path))
                return None
            if base in bare and bare[base].uses != RULE_FIELDS:
                if len(chain) == 1:
                    message = f"expected a threshold with a `rule_out` for a measure of its own, got `{base}`"
                    self.doc.add(Problem(path, message))
                return None
            if base in chain or len(chain) == _MAX_CHAIN:
                circle = " -> ".join(f"`{step}`" for step in [*chain, base])
                wrong = "goes round in a circle" if base in chain else f"goes on for more than {_MAX_CHAIN} thresholds"
                self.doc.add(Problem(path, f"`like` {wrong}: {circle}"))
                return None
            chain.append(base)

    # -- requirements and gates ------------------------------------------------------------------------------------

    def requirements(
        self,
        words: Words,
        thresholds: Mapping[str, Threshold],
        gates: Mapping[str, Mapping[str, Cell]],
        exceptions: Mapping[str, ExceptionRule],
        refresh: Refresh,
    ) -> dict[str, Requirement]:
        """The requirements. A measured one takes what it leaves out from the thresholds in whose cells it stands."""
        forms = self.doc.section("requirements", _form_requirement.requirement)
        plain = {name: it for name, form in forms.items() if (it := _build.requirement(name, form)) is not None}
        around = thresholds_around(thresholds, gates, plain, exceptions)
        whole = self.whole(gates, requirements=forms, thresholds=thresholds, exceptions=exceptions)
        made: dict[str, Requirement] = {}
        for name, form in forms.items():
            if name in plain:
                made[name] = plain[name]
            elif isinstance(form, _form_requirement.MeasuredForm) and (whole or around.get(name)):
                measured = self.measured(name, form, words, around.get(name, []), refresh)
                made |= {name: measured} if measured else {}
        self.doc.add_all(_round(forms, made))
        return made

    def measured(
        self, name: str, form: _form_requirement.MeasuredForm, words: Words, around: list[Threshold], refresh: Refresh
    ) -> Measured | None:
        level = self.doc.read(lambda _: words.safe(form.measured), "requirements", name, "measured")
        rule = self.doc.read(lambda _: completed(form, around, refresh), "requirements", name)
        return Measured(name, level.name, level.level, rule, form.sources) if level and rule else None

    def whole(self, gates: Mapping[str, Mapping[str, Cell]], **read: Mapping[str, object]) -> bool:
        """Whether all that the sections define could be read."""
        names = self.doc.names
        cells = {action: set(self.doc.entries("gates", action)) for action in self.doc.entries("gates")}
        return cells == {action: set(gate) for action, gate in gates.items()} and all(
            names.get(section, {""}) - {"never"} <= read[section].keys() for section in read
        )

    def gates(self) -> dict[str, dict[str, Cell]]:
        gates = {}
        for action, cells in self.doc.entries("gates").items():
            if isinstance(cells, dict):
                read = {name: self.doc.read(_forms.cell, "gates", action, name) for name in cells}
                gates[action] = {name: _build.cell(form) for name, form in read.items() if form}
            else:
                message = f"expected a mapping from thresholds to lists, got {quote(cells)}"
                self.doc.add(Problem(("gates", action), message))
        return gates

    def listed(self, action: str) -> frozenset[str]:
        """The thresholds that are written at a gate, in whatever form."""
        written = self.doc.at("gates", action)
        names = written if isinstance(written, (list, dict)) else ()
        return frozenset(name for name in names if isinstance(name, str))

    def attacker_budget(self) -> tuple[Fraction, str]:
        """The share and its source. Less than the default is a loosening, and must say why."""
        form = self.doc.read(_form_of(_forms.BudgetForm), "attacker_budget")
        if form is None:
            return _DEFAULT_BUDGET, "default"
        if form.share < _DEFAULT_BUDGET and not form.source:
            got = f"`{exact(form.share)}` and no source"
            message = f"expected a `source` for a share below the default `{exact(_DEFAULT_BUDGET)}`, got {got}"
            self.doc.add(Problem(("attacker_budget", "share"), message))
        return form.share, form.source or "no source given"


def _round(
    forms: Mapping[str, _form_requirement.RequirementForm], made: Mapping[str, Requirement]
) -> Iterator[Problem]:
    """What is never met under `any_of` and `at_least`, even where all parts are needed: it reads as a way round."""
    stuck = never_met(made)
    for name, form in forms.items():
        for word, listed in _form_requirement.choices(form):
            for place, part in enumerate(listed):
                if part in stuck:
                    yield way_round(name, stuck[part], ("requirements", name, *word, place))
