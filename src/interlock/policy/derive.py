"""A developer's own policy from one that is there: a few answers put into its text, and its cases kept true.

What the answers do not speak of stays as it is, comments and layout too. The cases keep their times: they are told as
if the policy had come into force when the one that it comes from did. Nothing is written, and nothing is believed: the
caller loads the policy and runs its cases.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.policy import _scalar, shipped
from interlock.policy._written.source import content_of
from interlock.policy.draft import draft
from interlock.policy.edit import Edits, scalar
from interlock.policy.model import Hole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from interlock.policy.model import Policy

#: Whose policy a template is, until somebody takes it over: what its title begins with.
PLACEHOLDERS = ("Example Lab", "Example Regulator")
#: What the sources of a template's made-up numbers say.
ILLUSTRATIVE = "added: illustrative"
#: The threshold that no model is ever below, where weights are never to be released; numbered, if there is another.
NO_RELEASE = "no-release"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a policy is started with. `developer` is the authority's name where the policy is a baseline.

    `effective` and `review`, by when every hole is to be looked at, are times in UTC. `approved_by` are roles of the
    policy; none: those that it has. Without `weights` no model's weights are ever released.
    """

    developer: str
    effective: datetime
    review: datetime
    approved_by: tuple[str, ...] = ()
    weights: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """The texts of a policy and of its cases. `beside` are files that the cases name, by their names."""

    policy: str
    cases: str
    beside: dict[str, bytes]


def slug(developer: str) -> str:
    """The part of an id that a name gives: `Acme AI, Inc.` is `acme-ai-inc`.

    Raises:
        UsageError: the name is not a line of text, or has no letter or digit that may stand in an id.
    """
    try:
        _scalar.prose(developer)
    except ValueError as error:
        raise UsageError(f"the developer's name: {error}") from None
    plain = unicodedata.normalize("NFKD", developer).encode("ascii", "ignore").decode().lower()
    made = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:100].rstrip("-")
    if not made or "\n" in developer:
        raise UsageError(f"expected a name with some of a-z and 0-9 for the policy's id, got `{developer}`")
    return made


def derive(source: Path, answers: Answers) -> Draft:
    """The policy in the file at `source`, and the cases beside it, with the answers put in.

    Raises:
        UsageError: an answer does not fit the policy, or a file cannot be read.
        PolicyError: the policy is not valid.
    """
    policy = draft(source)
    _check(policy, answers)
    cases = source.with_name(f"{source.stem}.cases.yaml")
    told = Edits(content_of(cases, "the policy's cases").decode())
    beside = {name: (source.parent / name).read_bytes() for name in _named(told)}
    return Draft(_policy(source, policy, answers), _cases(source, policy, answers, told), beside)


def _check(policy: Policy, answers: Answers) -> None:
    slug(answers.developer)
    for role in answers.approved_by:
        if role not in policy.roles:
            raise UsageError(
                f"the policy has no role `{role}` to approve amendments; it has: {', '.join(policy.roles)}"
            )
    if policy.expires is not None and answers.effective >= policy.expires:
        end = f"{policy.expires:%Y-%m-%d}"
        raise UsageError(f"expected a time before {end}, when the policy expires, got {answers.effective:%Y-%m-%d}")
    if answers.review <= answers.effective:
        raise UsageError(f"expected a review after {answers.effective:%Y-%m-%d}, got {answers.review:%Y-%m-%d}")


# -- the policy --------------------------------------------------------------------------------------------------------


def _policy(source: Path, policy: Policy, answers: Answers) -> str:
    edits = Edits(source.read_text(encoding="utf-8"))
    edits.head(_provenance(source, policy))
    edits.replace(_id(policy, answers), "id")
    edits.replace("1.0.0", "version")
    edits.replace(scalar(title(policy, answers.developer)), "title")
    edits.replace(_scalar.stamp(answers.effective), "effective")
    if policy.supersedes:
        edits.remove("supersedes")
    if policy.imposed_by:
        edits.replace(scalar(answers.developer), "imposed_by")
    if answers.approved_by:
        edits.replace(f"[{', '.join(answers.approved_by)}]", "amendments", "approved_by")
    for name, requirement in policy.requirements.items():
        if isinstance(requirement, Hole):
            edits.replace(f"{answers.review:%Y-%m-%d}", "requirements", name, "review")
    if not answers.weights and not _never_released(policy):
        _never_release(edits, policy)
    return edits.text()


def _id(policy: Policy, answers: Answers) -> str:
    return f"{slug(answers.developer)}/{policy.id.partition('/')[2] or policy.id}"


def title(policy: Policy, developer: str) -> str:
    """What the policy is called once it is the developer's."""
    for placeholder in PLACEHOLDERS:
        if policy.title.startswith(placeholder):
            return developer + policy.title.removeprefix(placeholder)
    return f"{developer} policy, derived from {policy.title}"


def _provenance(source: Path, policy: Policy) -> str:
    if source.stem in shipped.templates():
        return f"Started from the template `{source.stem}`. What is marked `{ILLUSTRATIVE}` is to be replaced."
    return (
        f"Derived from `{source.stem}` ({policy.title}, version {policy.version}), and no longer that text:\n"
        f"whoever edits it answers for it. Its `sources` say where each clause comes from."
    )


def releases(policy: Policy) -> tuple[str, ...]:
    """The actions that let weights out, at however many removes."""
    refined = [name for name in policy.actions if policy.refined(name) == "release-weights"]
    return tuple(dict.fromkeys(["release-weights", *refined]))


def _never_released(policy: Policy) -> bool:
    """Whether a threshold that no model is below stands at every release of weights, with `never`."""
    gates = [policy.gates.get(action, {}) for action in releases(policy)]
    empty = [name for name, threshold in policy.thresholds.items() if threshold.hole]
    return any(all(name in gate and "never" in gate[name].requires for gate in gates) for name in empty)


def _never_release(edits: Edits, policy: Policy) -> None:
    """A threshold that no model is below stands at every release of weights, with `never`. What stood there stays."""
    judge, name = policy.amendments.approved_by[0], _free(policy)
    why = "added: the developer never releases weights, so that nothing shows a model to be clear of this line"
    edits.insert(f'{name}: {{judged_by: {judge}, on: unspecified, sources: ["{why}"]}}', "thresholds")
    for action in reversed(releases(policy)):
        if action in policy.gates:
            edits.insert(f"{name}: [never]", "gates", action)
        else:
            edits.insert(f"{action}: {{{name}: [never]}}", "gates")
    left = [action for action in releases(policy) if action in policy.not_governed]
    if left and len(left) == len(policy.not_governed):
        edits.remove("not_governed")
    else:
        for action in left:
            edits.remove("not_governed", action)


def _free(policy: Policy) -> str:
    """A name that no threshold of the policy has."""
    numbered = (f"{NO_RELEASE}-{number}" for number in count(2))
    return next(name for name in chain([NO_RELEASE], numbered) if name not in policy.thresholds)


# -- its cases ---------------------------------------------------------------------------------------------------------


def _cases(source: Path, policy: Policy, answers: Answers, edits: Edits) -> str:
    since = _scalar.stamp(policy.effective)
    edits.head(
        f"From the cases of `{source.stem}`. Their times are made up: they are told as if the policy had come into\n"
        f"force at {since}, as that one did, whatever its `effective` says now."
    )
    top = edits.keys()
    if "defaults" in top:
        if "since" not in edits.keys("defaults"):
            edits.insert(f"since: {since}", "defaults")
    elif "cases" in top:
        edits.insert(f"defaults: {{since: {since}}}")
    else:
        for case in _each(edits):
            if "since" not in edits.keys(*case):
                edits.insert(f"since: {since}", *case)
    held = () if answers.weights else releases(policy)
    for action in held:
        _expect_hold(edits, action)
    _rename(edits, policy, answers, held)
    return edits.text()


def _each(edits: Edits) -> Iterator[tuple[str | int, ...]]:
    """The paths of the cases."""
    inner = () if edits.find("cases") is None else ("cases",)
    yield from ((*inner, place) for place in edits.keys(*inner))


def _expect_hold(edits: Edits, action: str) -> None:
    """What a case says of an action is that it holds, for good."""
    for case in [("defaults",), *_each(edits)]:
        for field, said in {"expect": "hold", "because": "never", "resume": "nothing"}.items():
            if edits.find(*case, field, action) is not None:
                edits.replace(said, *case, field, action)


def _rename(edits: Edits, policy: Policy, answers: Answers, but: tuple[str, ...]) -> None:
    """Reasons that name the policy name it by its new id. `but`: what is said of these actions is another thing now."""
    for case in [("defaults",), *_each(edits)]:
        for action in edits.keys(*case, "because"):
            at = (*case, "because", action)
            for path in [at, *((*at, place) for place in edits.keys(*at))]:
                text = edits.text_at(*path)
                if policy.id in text and action not in but:
                    edits.replace(scalar(text.replace(policy.id, _id(policy, answers))), *path)


def _named(edits: Edits) -> Iterator[str]:
    """The files of other policies that the cases name."""
    names = dict[str, None]()
    for case in [("defaults",), *_each(edits)]:
        for at in [(*case, "also"), *((*case, "also", place) for place in edits.keys(*case, "also"))]:
            if name := edits.text_at(*at, "policy"):
                names[name] = None
    return iter(names)
