"""A file of cases to values, or to the list of everything that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from interlock.decide.facts import BEGINNING, Deployment, Subject, Version
from interlock.errors import InterlockError, PolicyError
from interlock.policy import _scalar as scalar
from interlock.policy._cases.facts import KINDS, Known, Telling, digest, states, subjects
from interlock.policy._cases.read import Entry, ListComposer, Problems, known
from interlock.policy._cases.values import Case, Expected
from interlock.policy._scalar import quote, suggest
from interlock.policy._written.source import content_of
from interlock.policy._written.yaml import Node, Refused, mistakes, plain
from interlock.policy.compile import digest as policy_digest
from interlock.policy.draft import draft
from interlock.policy.model import STANDARD_ACTIONS
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from interlock.decide.decision import Verdict
    from interlock.policy.model import Policy


def load(path: Path, policy: Policy) -> tuple[Case, ...]:
    """Read the cases in the file at `path`, which test `policy`.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: the cases are not valid; lists every problem.
    """
    content = content_of(path, "a file of cases")
    composer = ListComposer("a file of cases")
    try:
        cases = _Reading(path, policy, composer.problems).cases(composer.compose(content))
    except Refused:
        cases = ()
    if composer.problems:
        raise PolicyError(mistakes(composer.problems, name=str(path)))
    return cases


@dataclass(frozen=True, slots=True)
class _Reading:
    """One file on its way to cases: where it is, the policy that it tests, the problems so far; the policies that it
    names, and the shared facts that are used, as far as they came up.
    """

    path: Path
    policy: Policy
    found: Problems
    policies: dict[str, Policy] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def cases(self, root: Node) -> tuple[Case, ...]:
        entry = Entry(root, self.found, "a file of cases")
        shared, defaults, nodes = entry.named("facts"), entry.child("defaults"), entry.nodes("cases")
        if not nodes:
            self.found.append((root.at, "expected at least one case, got none"))
        if defaults:
            Entry(defaults, self.found, "defaults")
        entry.end()
        cases: dict[str, Case] = {}
        for node in nodes:
            case = self.case(_merged(defaults, node), shared)
            if case.name in cases:
                self.found.append(
                    (node.at, f"{quote(case.name)} names two cases, the first at {cases[case.name].where}")
                )
            cases[case.name] = case
        for name in shared.keys() - self.used:
            self.found.append((shared[name].key_at, f"no case uses {quote(name)}, so that nothing checks it"))
        return tuple(cases.values())

    def case(self, node: Node, shared: Mapping[str, Node]) -> Case:
        """One case; of no use where `found` has something about it."""
        entry = Entry(node, self.found, "a case")
        name, at = entry.need("name", scalar.prose), entry.need("at", scalar.moment)
        also = tuple(self.also(entry))
        names = Known([self.policy, *(version.policy for version in also)])
        telling = self.telling(entry, names, until=entry.get("checkpoint", scalar.moment, at) or LATEST)
        self.tell(entry, telling, self.chosen(entry, shared))
        actions = _actions(names.policies)
        because, ways = (entry.keyed(it, "action", actions) for it in ("because", "resume"))
        case = Case(
            name=name,
            where=f"{self.path}:{node.at[0]}:{node.at[1]}",
            at=at,
            subject=telling.subjects[telling.subject].digest,
            deployment=telling.deployments[telling.deployment].digest if telling.deployment else None,
            facts=telling.facts(),
            saw=telling.saw,
            since=entry.get("since", scalar.moment, None),
            entered=entry.get("entered", scalar.moment, None),
            also=also,
            expect={it: self.expected(entry, node) for it, node in entry.keyed("expect", "action", actions).items()},
            findings=states(entry, "findings", names.thresholds),
            because={it: _texts(entry, node) for it, node in because.items()},
            resume={it: () if node.value == "nothing" else _texts(entry, node) for it, node in ways.items()},
            duties=_duties(entry, names),
        )
        entry.end()
        return case

    def also(self, entry: Entry) -> Iterable[Version]:
        """The versions in force beside the tested one."""
        for node in entry.nodes("also"):
            inner = Entry(node, self.found, "a policy in force")
            policy, since = inner.need("policy", self.other), inner.get("since", scalar.moment, None)
            entered = inner.get("entered", scalar.moment, BEGINNING)
            if inner.end():
                yield Version(policy, policy_digest(policy), since or policy.effective, entered)

    def other(self, value: object) -> Policy:
        """The policy in a file, by its path from the file of cases."""
        text = scalar.prose(value)
        if text not in self.policies:
            try:
                self.policies[text] = draft(self.path.parent / text)
            except InterlockError as error:
                raise ValueError(str(error).split("\n", maxsplit=1)[0]) from None
        return self.policies[text]

    def telling(self, entry: Entry, names: Known, *, until: datetime) -> Telling:
        """What the facts of a case are told of: its subjects and deployments, and which of them is asked about."""
        models = subjects(entry.named("subjects"), self.found)
        if not models:
            entry.wrong(entry.node, "expected `subjects` with at least one, got none")
            models = {"": Subject("", "", 0, 0, 0, ())}  # so that the rest of the case can be read
        first = next(iter(models.values()))
        read = known("subject", models)
        subject = (entry.need if len(models) > 1 else lambda name, read: entry.get(name, read, first))("subject", read)
        asked = subject or first
        offered: dict[str, Deployment] = {}
        for name, node in entry.named("deployments").items():
            inner = Entry(node, self.found, "a deployment")
            offered[name] = Deployment(digest(name), name, inner.get("subject", read, asked).digest)
            inner.end()
            if name in models:
                self.found.append((node.key_at, f"{quote(name)} names a subject and a deployment"))
        deployment = entry.get("deployment", known("deployment", offered), None)
        return Telling(
            known=names,
            until=until,
            subject=asked.name,
            deployment=deployment.name if deployment else None,
            subjects=models,
            deployments=offered,
            ids={},
            found=self.found,
            made=[],
            saw={},
        )

    def chosen(self, entry: Entry, shared: Mapping[str, Node]) -> list[Node]:
        """The facts of a case: those that it uses, less those that it is without, and its own."""
        lists = entry.each("use", known("list of facts", {name: name for name in shared}))
        self.used.update(lists)
        nodes = [it for name in lists for it in _items(shared[name])]
        ids = {name for node in nodes if (name := _id(node))}
        without = entry.each("without", known("fact", {name: name for name in ids}))
        return [node for node in nodes if _id(node) not in without] + entry.nodes("facts")

    def tell(self, entry: Entry, telling: Telling, nodes: list[Node]) -> None:
        """Read every fact; the names that they give themselves first, since they may name one another."""
        entries: list[tuple[str, Entry, str]] = []
        for number, node in enumerate(nodes, start=1):
            kind = next(iter(node.value)) if isinstance(node.value, dict) and len(node.value) == 1 else None
            if kind is None or kind not in KINDS:
                hint = suggest(kind, KINDS) if kind else f"; a kind is one of {', '.join(KINDS)}"
                got = quote(kind) if kind else quote(plain(node))
                entry.wrong(node, f"expected one fact such as `result: {{...}}`, got {got}{hint}")
                continue
            inner = Entry(cast("dict[str, Node]", node.value)[kind], self.found, f"a fact of kind {kind}")
            name = inner.get("id", scalar.name, "")
            if name in telling.ids:
                inner.wrong(cast("Node", inner.child("id")), f"{quote(name)} is the `id` of two facts")
            if name:
                telling.ids[name] = kind
            entries.append((kind, inner, f"fact {name}" if name else f"fact number {number}"))
        for kind, inner, name in entries:
            telling.tell(kind, inner, name)
        facts = telling.facts()
        for it in facts.subjects.values():
            if it.digest in facts.ancestors(it.digest):
                entry.wrong(entry.node, f"subject {quote(it.name)} comes from itself")

    def expected(self, entry: Entry, node: Node) -> Expected:
        """A verdict, perhaps with the bounds of the permit."""
        read = scalar.one_of("permit", "hold")
        if not isinstance(node.value, dict):
            return Expected(cast("Verdict", entry.value(node, read)))
        inner = Entry(node, self.found, "what is expected")
        verdict = inner.need("verdict", read)
        most = inner.get("most_effective_compute", scalar.flop, None)
        until = inner.get("not_after", scalar.moment, None)
        if verdict == "hold" and (most is not None or until is not None):
            inner.wrong(node, "a hold has no `most_effective_compute` and no `not_after`")
        inner.end()
        return Expected(cast("Verdict", verdict), most, until)


def _merged(defaults: Node | None, case: Node) -> Node:
    """The case with what it leaves out taken over from the defaults."""
    if defaults is None or not isinstance(defaults.value, dict) or not isinstance(case.value, dict):
        return case
    return replace(case, value={**defaults.value, **case.value})


def _items(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else [node]


def _id(node: Node) -> str | None:
    """The `id` that a fact gives itself."""
    inner = next(iter(node.value.values()), None) if isinstance(node.value, dict) else None
    name = inner.value.get("id") if inner and isinstance(inner.value, dict) else None
    return name.value if name and isinstance(name.value, str) else None


def _actions(policies: Iterable[Policy]) -> list[str]:
    named = [*(action for policy in policies for action in (*policy.gates, *policy.not_governed, *policy.actions))]
    return list(dict.fromkeys([*STANDARD_ACTIONS, *named]))


def _texts(entry: Entry, node: Node) -> tuple[str, ...]:
    texts = [entry.value(it, scalar.prose) for it in _items(node)]
    if not texts:
        entry.wrong(node, "expected at least one text, got an empty list")
    return tuple(text for text in texts if text is not None)


def _duties(entry: Entry, names: Known) -> dict[str, datetime | None]:
    """Duties by name, with the time at which each must be due where that is said."""
    node = entry.child("duties")
    if node is None or not isinstance(node.value, dict):
        return dict.fromkeys(entry.each("duties", known("duty", {name: name for name in names.duties})))
    return {it: entry.value(when, scalar.moment) for it, when in entry.keyed("duties", "duty", names.duties).items()}
