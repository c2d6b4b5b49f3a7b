"""A second reading of docs/semantics.md, written from that page alone and sharing nothing with `interlock.decide`.

Slow and plain on purpose: no caches but one of findings, no floats. The numbers in the comments are the rules of the
page. Where a function gives a `Span`, None says: it is not so.
"""

import hashlib
import json
import math
import re
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from interlock.policy import model

ONE = Fraction(1)
FOREVER = datetime.max.replace(tzinfo=UTC)
STATES = REACHED, BELOW, OPEN = "reached", "below", "not ruled out"


@dataclass(frozen=True)
class Ruling:
    """Of one policy. `cells`: threshold -> (state, overdue, opens, {requirement: met}), of the version in force."""

    governs: bool
    verdict: str
    cells: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The decision. The last two are None unless it is `permit`."""

    verdict: str
    policies: dict
    most_effective_compute: int | None = None
    not_after: datetime | None = None


class Span(NamedTuple):
    """Until when something is so (42, 43), and up to which effective compute (41, 42)."""

    end: datetime = FOREVER
    reach: Fraction | float = math.inf  # only compared


class Finding(NamedTuple):
    """Of a threshold: the moment from which it may be reached, the spans of its being below and of its evaluation."""

    state: str
    may: datetime
    below: Span | None
    evaluated: Span | None


class Line(NamedTuple):
    """Rule 7. `version` is its place among the policy's versions; `owner` has its rule: (section, name)."""

    version: int
    policy: model.Policy
    owner: tuple
    rule: model.RuleOut
    name: str
    mean: bool
    parts: list  # (weight, plain measure)
    level: Fraction  # turned


def least(*spans):
    """Of what all must be so."""
    return None if None in spans else Span(min(s.end for s in spans), min(s.reach for s in spans))


def latest(spans):
    """Of what one way is enough for: the one that ends last, then the one that reaches furthest."""
    return max((s for s in spans if s is not None), default=None)


def best(count, spans):
    """Of what `count` ways are needed for: those that end last, in order of writing where alike."""
    found = sorted((s for s in spans if s is not None), key=lambda s: s.end, reverse=True)
    return least(*found[:count]) if 0 < count <= len(found) else None


def entry_of(policy, owner):
    return getattr(policy, owner[0]).get(owner[1])


def rule_of(policy, owner):
    return getattr(entry_of(policy, owner), "rule_out", None)


def alpha_of(rule):  # 7, 23
    return 1 - rule.confidence if rule else ONE


def tests(threshold):  # 25
    """How many of its ways rest on a test of their own, at least 1."""
    ways = [way for way in threshold.below_if if isinstance(way, (model.UnderScreen, model.UnderReference))]
    return max(1, len(ways) + (threshold.judged is None))


def line_of(version, policy, owner, name, level):
    measure = policy.measures[name]
    mean = isinstance(measure, model.Mean)
    parts = [(w, policy.measures[part]) for part, w in (measure.weights if mean else {name: ONE}).items()]
    if parts[0][1].danger == "lower":
        level = sum(w * (part.low + part.high) for w, part in parts) - level
    return Line(version, policy, owner, rule_of(policy, owner), name, mean, parts, level)


# -- rules 1 to 4: one result ------------------------------------------------------------------------------------------


def binomial(n, low, high, p):
    """P(low <= X(n, p) <= high)."""
    a, b = p.numerator, p.denominator
    return Fraction(sum(math.comb(n, i) * a**i * (b - a) ** (n - i) for i in range(low, high + 1)), b**n)


def count_shows(k, n, p, alpha):
    return p <= 0 or (0 < k <= n and p <= 1 and binomial(n, k, n, p) <= alpha)


def passed(check, assumption):  # 16
    alpha, known = 1 - assumption.confidence, check.validity
    if known is None:
        valid = assumption.sharpness == 0 and assumption.least_parameters == 0
    else:
        sharp = known.at <= assumption.sharp_at
        sharp = sharp and count_shows(known.ruled_out, known.honest, assumption.sharpness, alpha)
        valid = (sharp or assumption.sharpness == 0) and known.least_parameters >= assumption.least_parameters
    return check.passed and count_shows(check.caught, check.organisms, assumption.coverage, alpha) and valid


def tried_as_hard(protocol, rule, validity):  # 16
    same = protocol.recipe == validity.recipe and protocol.recipe != "unknown"
    wide = rule.confidence >= validity.confidence
    return same and wide and protocol.demonstrations >= validity.demonstrations


def exp_is_less(x, alpha):
    """Whether exp(-x) < alpha, for x > 0: whether exp(x) > 1 / alpha, by partial sums and a bound on the remainder."""
    if alpha <= 0 or alpha >= 1:
        return alpha >= 1
    n, term, total = 0, ONE, ONE
    while total <= 1 / alpha:
        n += 1
        term = term * x / n
        total += term
        if n + 2 > x and total + term * x / (n + 1) / (1 - x / (n + 2)) < 1 / alpha:
            return False
    return True


def stopped(result):  # 1
    """Whether it stopped by its rule."""
    ran, plan = result.protocol, result.plan
    if plan is None or ran.stopping != "e-process" or plan.protocol.stopping != "e-process":
        return False
    if ran.order_seed is None or ran.order_seed != plan.protocol.order_seed:
        return False
    if result.total is not None or ran.unit != "sample" or ran.attempts != 1:
        return False
    return result.stopped_at is not None and 0 <= result.stopped_at <= ran.samples


def units(result):  # 1
    return result.stopped_at if stopped(result) else result.protocol.samples


def evidence_rules_out(k, n, p, alpha):  # 1
    if not (0 <= k < n and p > 0):
        return False
    if p >= 1:
        return True
    return binomial(n + 1, k + 1, n + 1, p) * alpha >= (k + 1) * binomial(n + 1, k + 1, k + 1, p)


def evidence_shows(k, n, p, alpha):  # 1
    return p <= 0 or evidence_rules_out(n - k, n, 1 - p, alpha)


def can_be_read(result, measure):  # 3
    if not 0 <= result.scored <= units(result):
        return False
    if result.total is None:
        return measure.low == 0 and measure.high == 1 and 0 <= result.correct <= result.scored
    return result.scored * measure.low <= result.total <= result.scored * measure.high


def refused_scores(result, measure):  # 1
    return min(max(0, result.refused_scores), result.scored) if measure.kind == "capability" else 0


def turned_sum(result, measure):
    """The sum of the turned scores of the scored units."""
    total = Fraction(result.correct) if result.total is None else result.total
    return result.scored * (measure.low + measure.high) - total if measure.danger == "lower" else total


def rules_out(result, measure, p, alpha):  # 1, 2, 3
    n, r = units(result), measure.high - measure.low
    if n <= 0 or p <= measure.low or not can_be_read(result, measure):
        return False
    total = turned_sum(result, measure) + (n - result.scored) * measure.high + refused_scores(result, measure) * r
    total = min(total, n * measure.high)
    if stopped(result):
        return evidence_rules_out(int(total), n, p, alpha)
    if result.total is None:
        return binomial(n, 0, int(total), min(p, ONE)) < alpha
    return total / n < p and exp_is_less(2 * n * (p - total / n) ** 2 / r**2, alpha)


def shows(result, measure, p, alpha):  # 1, 2, 3
    n, r = units(result), measure.high - measure.low
    if p <= measure.low or n <= 0 or p > measure.high or not can_be_read(result, measure):
        return p <= measure.low and can_be_read(result, measure)
    total = turned_sum(result, measure) + (n - result.scored) * measure.low
    if stopped(result):
        return evidence_shows(int(total), n, p, alpha)
    if result.total is None:
        return count_shows(int(total), n, p, alpha)
    return total / n > p and exp_is_less(2 * n * (total / n - p) ** 2 / r**2, alpha)


def upper(result, measure, alpha):  # 4
    step = (measure.high - measure.low) / Fraction(10000)
    i = bisect_left(range(10001), 1, key=lambda i: rules_out(result, measure, measure.low + i * step, alpha))
    return measure.low + min(i, 10000) * step


def lower(result, measure, alpha):  # 4
    step = (measure.high - measure.low) / Fraction(10000)
    i = bisect_left(range(10001), 1, key=lambda i: not shows(result, measure, measure.low + i * step, alpha))
    return measure.low + max(i - 1, 0) * step


# -- the ledger --------------------------------------------------------------------------------------------------------


def named(facts, name):
    """The subject that a policy means by a name, or None."""
    found = [subject for subject in facts.subjects.values() if subject.name == name]
    found = [] if re.fullmatch("[0-9a-fA-F]{64}", name) else found
    found = [facts.subjects[name]] if name in facts.subjects else found
    return found[0] if len(found) == 1 and can_be(found[0]) else None


def steps(facts, digest):
    return facts.subjects[digest].steps if digest in facts.subjects else ()


def ancestors(facts, digest):
    """All subjects that steps lead back to, unknown ones too."""
    parents = {step.parent for step in steps(facts, digest)}
    return parents.union(*(ancestors(facts, parent) for parent in parents))


def known(facts, digest):
    return ({digest} | ancestors(facts, digest)) <= set(facts.subjects)


def can_be(subject):  # 38
    return 0 <= subject.ec_low <= subject.ec_high and subject.training_compute >= 0


def sane(facts, digest):  # 38
    return all(can_be(facts.subjects[other]) for other in {digest} | ancestors(facts, digest))


def cost(facts, origin, digest):
    """The least compute of a way of steps from `origin` to `digest`, or None if there is no way."""
    before = [(step, 0 if step.parent == origin else cost(facts, origin, step.parent)) for step in steps(facts, digest)]
    return min((most + step.compute for step, most in before if most is not None), default=None)


def cheap(facts, origin, budget):
    """The derivatives that cost at most that share of the origin's training compute; with None, all."""
    costs = {other: cost(facts, origin, other) for other in facts.subjects}
    most = math.inf if budget is None else budget * facts.subjects[origin].training_compute
    return {other for other, cost in costs.items() if cost is not None and cost <= most}


def going_on(facts, digest, budget):
    """The steps by which it is a later state of its parents, or a copy."""
    made = steps(facts, digest)
    known = {step.parent for step in made} & set(facts.subjects)
    least = {it: budget * facts.subjects[it].training_compute for it in known}
    return [step for step in made if step.kind == "continued" or step.compute <= least.get(step.parent, -1)]


def ways(facts, parent, digest, budget, *, ends=("continued",)):
    """The sums of compute over each way of such steps from one to the other, the last of one of these kinds."""
    found = set()
    for step in (step for step in going_on(facts, digest, budget) if not ends or step.kind in ends):
        sums = {0} if step.parent == parent else ways(facts, parent, step.parent, budget, ends=())
        found |= {spent + step.compute for spent in sums}
    return found


def compared(facts, digest, other, budget):
    """(least and most spent on the one, least and most on the other), from wherever ways lead to both."""
    if digest == other:
        return []
    pairs = [
        (ways(facts, it, digest, budget, ends=()), ways(facts, it, other, budget)) for it in ancestors(facts, digest)
    ]
    return [(min(own), max(own), min(theirs), max(theirs)) for own, theirs in pairs if own and theirs]


def beside(facts, digest, budget):
    """Where a way took no more than a way to this one did."""
    return {it for it in facts.subjects if any(low <= most for _, most, low, _ in compared(facts, digest, it, budget))}


def forebears(facts, digest, budget):
    origins = {digest} | ancestors(facts, digest)
    return origins.union(*(beside(facts, origin, budget) for origin in origins & set(facts.subjects))) - {digest}


def continuations(facts, digest, budget):
    after = {it for it in facts.subjects if ways(facts, digest, it, budget)}
    pairs = {it: compared(facts, digest, it, budget) for it in facts.subjects}
    return after | {it for it, found in pairs.items() if any(high > least for least, _, _, high in found)} - {digest}


def with_cheap(facts, origins, budget):
    return origins.union(*(cheap(facts, origin, budget) for origin in origins & set(facts.subjects)))


def relatives(facts, digest, budget):
    return with_cheap(facts, {digest} | forebears(facts, digest, budget), budget)


def onward(facts, digest, budget):
    return with_cheap(facts, continuations(facts, digest, budget), budget)


def kin(facts, digest, budget):
    found = relatives(facts, digest, budget) | onward(facts, digest, budget)
    return found | cheap(facts, digest, None)


def amount(policy, facts, subject, part):  # 22, 41
    """(whether it is reached, the span of its being below)."""
    line = [facts.subjects[digest] for digest in ancestors(facts, subject.digest) & set(facts.subjects)] + [subject]
    level, low, high = Fraction(part.level), max(s.ec_low for s in line), max(s.ec_high for s in line)
    cap = math.ceil(level) - 1
    if part.quantity == "training_compute":
        trained = [max(step.compute for step in s.steps) if s.steps else s.training_compute for s in line]
        low = high = max(sum(trained), *(s.training_compute for s in line))
        cap = math.ceil(level * subject.ec_low / low) - 1 if low else subject.ec_low
    elif part.quantity != "effective_compute":
        other = named(facts, policy.measures[part.quantity].subject)
        if other is None:
            return False, None
        low = Fraction(low, other.ec_high) if other.ec_high else 0
        high = Fraction(high, other.ec_low) if other.ec_low else math.inf
        cap = math.ceil(level * other.ec_low) - 1
    return low >= level, Span(reach=Fraction(cap)) if high < level and subject.ec_high <= cap else None


def certainly_false(policy, facts, subject, expr):  # 39, 41
    """Up to which effective compute it is, as a span."""
    if isinstance(expr, model.Amount):
        return amount(policy, facts, subject, expr)[1]
    found = [certainly_false(policy, facts, subject, part) for part in getattr(expr, "parts", ())]
    false = sorted((span for span in found if span is not None), key=lambda span: span.reach, reverse=True)
    needed = len(found) - expr.count + 1 if found else 0
    return false[needed - 1] if 0 < needed <= len(false) else None


def left_out(policy, facts, subject):  # 39, 41
    scope = policy.scope.subjects
    return (
        certainly_false(policy, facts, facts.subjects[subject], scope) if scope and subject in facts.subjects else None
    )


def governs(policy, facts, subject, action):  # 39
    return action not in policy.not_governed and left_out(policy, facts, subject) is None


def finding_digest(facts, policy, threshold, subject, state, family):  # 30
    """`family`: the subject's kin."""
    seen = [result for result in facts.results if result.subject in family]
    seen += [incident for incident in facts.incidents if incident.subject is None or incident.subject in family]
    seen += [j for j in facts.judgements if j.threshold == threshold and j.subject in family]
    digests = {fact.digest for fact in seen}
    seen += [fact for fact in (*facts.withdrawals, *facts.set_asides) if fact.of in digests]
    value = {"policy": policy, "threshold": threshold, "subject": subject, "state": state}
    value["seen"] = sorted(fact.digest for fact in seen)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


# -- one version of one policy, from one horizon -----------------------------------------------------------------------


@dataclass
class Case:
    """Version `index` of a policy's `versions`, asked about one subject, from one horizon (35)."""

    versions: list
    index: int
    horizon: datetime
    facts: object
    subject: str
    deployment: str | None
    action: str
    at: datetime
    leans: bool = True  # False in the case of a named subject (26)

    def __post_init__(self):
        self.policy, self.me, self.findings = self.versions[self.index].policy, self.facts.subjects[self.subject], {}

    # Terms, and 35

    def seen(self, index, moment):
        later = self.versions[index + 1].since if index + 1 < len(self.versions) else FOREVER
        return self.versions[index].since <= self.at and later > moment

    def seeing(self, moment):
        """This version, and the earlier ones that have seen the moment."""
        return [v.policy for i, v in enumerate(self.versions[: self.index]) if self.seen(i, moment)] + [self.policy]

    def budget(self, moment):
        return max(policy.attacker_budget for policy in self.seeing(moment))

    def entry_at(self, moment, owner):
        """That name in the version in force at a moment, or the first if none was."""
        in_force = [version for version in self.versions if version.since <= moment] or self.versions[:1]
        return entry_of(in_force[-1].policy, owner)

    def counts(self, fact, owner):  # 35
        start = (getattr(fact, "plan", None) or fact).at
        told = self.entry_at(start, owner) is not None
        return told and start >= self.horizon and max(start, fact.at) <= self.facts.checkpoint.time

    def withdrawn(self, fact):
        return any(w.of == fact.digest and w.signers & fact.signers for w in self.facts.withdrawals)

    def set_aside(self, fact):
        roles = {policy.independent for policy in self.seeing((getattr(fact, "plan", None) or fact).at)}
        asides = [s for s in self.facts.set_asides if s.of == fact.digest and roles <= s.signers and all(roles)]
        dated = [s for s in asides if self.horizon <= s.at <= self.facts.checkpoint.time]
        return any(not self.withdrawn(s) for s in dated)

    def relatives(self, budget):
        """Wherever positive evidence is positive for the subject, or, at `scale`, for scaling it on."""
        return relatives(self.facts, self.subject, budget) | self.onward(budget)

    def near(self, budget):
        """Those of them that nothing answers."""
        return {self.subject} | cheap(self.facts, self.subject, budget) | self.onward(budget)

    def onward(self, budget):
        return onward(self.facts, self.subject, budget) if self.action == "scale" else set()

    def concerns(self, incident, digest, family):
        """Whether an incident has no subject, or one of the family of that digest."""
        return incident.subject is None or incident.subject in family(self.facts, digest, self.budget(incident.at))

    def on_task(self, measure, protocol):
        asked = self.deployment is not None and protocol.deployment == self.deployment
        return protocol.task == measure.task and (measure.on == "model" or asked)

    # What counts

    def counting(self, measure, digests):  # 6
        """The results that count on these; with None, those that count on the subject for ruling out (17)."""
        ours = [r for r in self.facts.results if self.on_task(measure, r.protocol) and not self.set_aside(r)]
        if digests is None:
            return [r for r in ours if r.subject in self.counted(self.budget((r.plan or r).at))]
        return [r for r in ours if r.subject in digests]

    def concerned(self, line, digests):
        """For each measure of a line: (weight, plain measure, the results that count and that the line concerns)."""
        found = [(w, measure, self.counting(measure, digests)) for w, measure in line.parts]
        if line.version == self.index:
            return found
        return [(w, m, [r for r in rs if self.seen(line.version, (r.plan or r).at)]) for w, m, rs in found]

    def lines(self, name):  # 7
        """Of a `measured` requirement. Its own comes first."""
        found, owner = [], ("requirements", name)
        for i in range(self.index, -1, -1):
            entry = entry_of(self.versions[i].policy, owner)
            if isinstance(entry, model.Measured):
                found.append(line_of(i, self.versions[i].policy, owner, entry.measure, entry.level))
        return found

    def under(self, line, digests, p, alpha):  # 5
        found = self.concerned(line, digests)
        if not line.mean:
            return all(rules_out(result, measure, p, alpha) for _, measure, results in found for result in results)
        alpha /= len(found)
        found = [(w, m, results if self.any_was_sound(line, m, results) else []) for w, m, results in found]
        return sum(w * max((upper(r, m, alpha) for r in results), default=m.high) for w, m, results in found) <= p

    def positive(self, line, digest):  # 5, 8
        found, alpha, p = self.concerned(line, {digest}), alpha_of(line.rule), line.level
        if not line.mean:
            return any(shows(result, measure, p, alpha) for _, measure, results in found for result in results)
        alpha /= len(found)
        return sum(w * max((lower(r, m, alpha) for r in results), default=m.low) for w, m, results in found) >= p

    def margin(self, line):  # 9
        """(margin, span)."""
        buffer = line.rule.buffer
        if not buffer.forecast_by:
            return buffer.margin, Span()
        signed = [f for f in self.facts.forecasts if f.measure == line.name and buffer.forecast_by in f.signers]
        good = [f for f in signed if f.multiple >= buffer.multiple and not self.withdrawn(f) and buffer.fresh_for]
        ends = [buffer.fresh_for.after(f.at) for f in good if self.counts(f, ("measures", line.name))]
        return max([0, *(f.margin for f in signed)]), latest(Span(end) for end in ends if self.at < end)

    def under_lines(self, lines, digests, cap=ONE, share=ONE):  # 7, 21 (the last part), 31
        spans = [Span()]
        for line in lines:
            if any(results for _, _, results in self.concerned(line, digests)):
                margin, span = self.margin(line)
                under = self.under(line, digests, line.level - margin, min(cap, alpha_of(line.rule)) * share)
                spans.append(span if under else None)
            elif line.version == self.index:
                return None
        return least(*spans)

    # Clear before (7)

    def having(self, name):
        """The earlier versions that have a threshold of that name."""
        return [i for i in range(self.index) if name in self.versions[i].policy.thresholds]

    def then(self, i):  # 7, 36
        """An earlier version as if it were in force, and no later one were there, with everything since the first."""
        return replace(self, versions=self.versions[: i + 1], index=i, horizon=self.versions[0].entered)

    def was_sound(self, result, line, measure, demand):
        return self.then(line.version).flawless(result, line.owner, line.rule, demand, measure, {line.rule.run_by})

    def any_was_sound(self, line, measure, results):
        """Whether results of a measure lower its U: for this version always, as its demands are asked for beside."""
        demands = line.rule.elicitation
        good = [r for r in results for demand in demands if self.was_sound(r, line, measure, demand)]
        return line.version == self.index or bool(good)

    def was_shown(self, line):
        """How far those reach that were sound, for every demand."""
        spans, multiple = [], min(line.rule.refresh.multiple, line.rule.buffer.multiple)
        for _, measure, results in self.concerned(line, self.standing(line.rule)):
            for demand in line.rule.elicitation:
                good = [r.subject for r in results if self.was_sound(r, line, measure, demand)]
                lows = [self.facts.subjects[digest].ec_low for digest in good]
                spans.append(Span(reach=max(lows) * multiple) if lows else None)
        return self.room(least(*spans)) if spans else None

    def clear(self, i, name, cap, share):
        return self.clear_threshold(i, name, cap, share)[1]

    def clear_threshold(self, i, name, cap, share):
        """(the span of being shown to be under, the span of not being against)."""
        policy = self.versions[i].policy
        threshold = policy.thresholds[name]
        if threshold.reached_when is None or threshold.judged:
            return None, Span()
        for way in threshold.below_if:
            span = amount(policy, self.facts, self.me, way)[1] if isinstance(way, model.UnderQuantity) else None
            if span is not None:
                return span, span
        cap, share = min(cap, alpha_of(threshold.rule_out)), share / tests(threshold)
        return self.clear_part(i, threshold.reached_when, name, cap, share)

    def clear_part(self, i, expr, name, cap, share):
        policy = self.versions[i].policy
        if isinstance(expr, model.At):
            line = line_of(i, policy, ("thresholds", name), expr.measure, expr.level)
            if not any(results for _, _, results in self.concerned(line, None)):
                return None, Span()
            under = self.under_lines([line], None, cap, share)
            return least(under, self.was_shown(line)), under
        if isinstance(expr, model.Amount):
            under = amount(policy, self.facts, self.me, expr)[1]
            return under, under or Span()
        if isinstance(expr, model.Ref):
            return self.clear_threshold(i, expr.threshold, cap, share)
        parts = [self.clear_part(i, part, name, cap, share / max(1, expr.count)) for part in expr.parts]
        shown = best(max(1, len(parts) - expr.count + 1), [span for span, _ in parts])
        silent = least(Span(), *(span for _, span in parts))
        longer = shown and (silent is None or shown.end > silent.end)
        return shown, shown if longer else silent

    def has_way(self, i, name, way):  # 25
        """Whether an earlier version has this very way, and means the same by it."""
        then, here = self.versions[i].policy, self.policy
        if way is None or way not in then.thresholds[name].below_if:
            return False
        if isinstance(way, model.UnderScreen):
            screen = then.thresholds[way.threshold]
            return screen == here.thresholds[way.threshold] and self.mean_alike(then, screen.measures)
        return self.mean_alike(then, [way.quantity] if isinstance(way, model.UnderQuantity) else way.on)

    def mean_alike(self, then, names):  # 25
        for name in names:
            one = then.measures.get(name)
            if one != self.policy.measures.get(name) or not self.mean_alike(then, getattr(one, "weights", ())):
                return False
        return True

    # Soundness

    def admissible(self, result, owner):  # 10, 27
        if result.plan is None or self.withdrawn(result.plan):
            return False
        return not self.spoilt(result) and self.counts(result, owner)

    def spoilt(self, result):
        plan = result.plan
        for other in (r for r in self.facts.results if r.plan):
            against = [s.at for s in self.facts.set_asides if s.of == other.digest]
            against += [w.at for w in self.facts.withdrawals if w.of == other.digest and w.signers & other.signers]
            same = (other.plan.subject, other.plan.protocol) == (plan.subject, plan.protocol)
            if against and other.plan.digest == plan.digest:
                return True
            if same and any(plan.at <= at <= result.at for at in against):
                return True
        return False

    def fits(self, result, measure):  # 11, 27
        p = result.protocol
        if (p.task, p.task_version, p.metric) != (measure.task, measure.task_version, measure.metric):
            return False
        if isinstance(measure, model.Unbounded):
            return True
        place = self.on_task(measure, p) and (measure.on == "deployment" or p.deployment is None)
        samples = p.unit == measure.unit and measure.samples_digest in ("", p.samples_digest)
        return place and samples and can_be_read(result, measure)

    def expiry(self, result, refresh, buffer):  # 14
        start = (result.plan or result).at
        ends = [refresh.period.after(start)]
        ends += [buffer.period.after(start)] if buffer and buffer.period else []
        for incident in self.facts.incidents:
            asked = incident.kind == "refresh" and refresh.discretion and refresh.discretion in incident.members
            if incident.at >= start and (incident.kind in refresh.events or asked):
                ends += [incident.at] if self.concerns(incident, result.subject, kin) else []
        return min(ends)

    def fresh(self, result, refresh, buffer):  # 14
        end = self.expiry(result, refresh, buffer)
        return Span(end) if self.at < end else None

    def sound(self, result, owner, rule, demand, measure, runners):  # 10 to 14
        good = self.flawless(result, owner, rule, demand, measure, runners)
        return self.fresh(result, rule.refresh, rule.buffer) if good else None

    def flawless(self, result, owner, rule, demand, measure, runners):  # 10 to 13
        protocol, trained = result.protocol, demand.elicitation in {"fine-tuned", "rl-fine-tuned"}
        shown = protocol.shots if demand.elicitation == "few-shot" else protocol.demonstrations
        return (
            self.admissible(result, owner)
            and runners <= result.plan.signers & result.signers
            and self.fits(result, measure)
            and (protocol.stopping == "fixed" or stopped(result))
            and (protocol.stopping == "fixed" or self.policy.independent in result.plan.signers)
            and units(result) >= max(1, measure.least_samples)  # 12
            and result.scored - refused_scores(result, measure) >= rule.coverage * units(result)
            and not (measure.kind == "propensity" and trained)
            and protocol.elicitation == demand.elicitation  # 13
            and result.flop >= demand.flop
            and protocol.attempts >= demand.attempts
            and (protocol.tools or not demand.tools)
            and (protocol.safety_ablated or not demand.safety_ablated)
            and result.refused_at_most <= demand.refusals * units(result)
            and shown >= max(demand.demonstrations, int(demand.elicitation in {"few-shot", "fine-tuned"}))
        )

    def sounds(self, digest, owner, rule, demands, measure, *, after=None, runners=None, samples=0):
        """(result, span) of all on a subject that are sound for one of the demands and begun after `after`."""
        found, runners = [], runners or {rule.run_by}
        for r in self.facts.results:
            later = r.plan and (after is None or r.plan.at > after)
            if r.subject == digest and later and units(r) >= samples:
                found += [(r, self.sound(r, owner, rule, demand, measure, runners)) for demand in demands]
        return [(result, span) for result, span in found if span is not None]

    def discharged(self, name, digest, rule, protocol):  # 16
        assumption = self.policy.assumptions.get(name)
        if assumption is None:
            return None
        told, failed = [a for a in self.facts.attestations if a.is_assumption and a.name == name], []
        if not assumption.checked:
            told = [a for a in told if not a.check]
        if assumption.checked:
            told = [a for a in told if a.check and a.check.name == assumption.checked]
            failed = [a for a in told if not passed(a.check, assumption)]
        good = [a for a in told if a.about == digest and a not in failed]
        bound = {a: a.check.validity for a in good if a.check and a.check.validity}
        good = [a for a in good if a not in bound or tried_as_hard(protocol, rule, bound[a])]
        for other in failed:
            budget = self.budget(other.at)
            if other.about == digest or other.about in self.counted(budget):
                back = {it for it in forebears(self.facts, digest, budget) if digest not in ancestors(self.facts, it)}
                back |= {digest}
                good = [a for a in good if a.at > other.at and a.entry > other.entry and other.about in back]
        good = [
            a for a in good if assumption.by in a.signers and rule.run_by not in a.signers and not self.withdrawn(a)
        ]
        ends = [assumption.fresh_for.after(a.at) for a in good if self.counts(a, ("assumptions", name))]
        not_void = [self.finding(threshold).below for threshold in assumption.void_at]
        return least(latest(Span(end) for end in ends if self.at < end), *not_void)

    def way(self):  # 17
        """The ancestors on the way of single `continued` steps, at `scale`."""
        found, digest = [], self.subject
        while self.action == "scale" and [step.kind for step in steps(self.facts, digest)] == ["continued"]:
            digest = steps(self.facts, digest)[0].parent
            found.append(digest)
        return found

    def counted(self, budget):  # 17
        """The subject, and at `scale` those whose results count with its own for ruling out."""
        way = {self.subject, *self.way()}
        return way | beside(self.facts, self.subject, budget) if self.action == "scale" else way

    def standing(self, rule):  # 17
        """The subject, and what stands in for it."""
        parents = [self.facts.subjects[digest] for digest in self.way() if digest in self.facts.subjects]
        near = [s.digest for s in parents if self.me.ec_high <= rule.refresh.multiple * s.ec_low]
        return [self.subject, *near]

    def reach(self, digest, owner):  # 18, 41, 42
        rule = rule_of(self.policy, owner)
        grows = owner[0] == "thresholds" or rule.buffer.multiple > 1
        multiples = [rule.refresh.multiple] + [rule.buffer.multiple] * grows
        return Span(reach=Fraction(self.facts.subjects[digest].ec_low * min(multiples)))

    def room(self, span):
        return span if span is not None and self.me.ec_high <= span.reach else None

    def satisfied(self, owner, demand, measure, digests, after):  # 15, 18
        rule, spans = rule_of(self.policy, owner), []
        behaves = measure.kind == "propensity" and demand.elicitation != "understanding-based"
        names = {*(model.ASSUMED_OF_PROPENSITY if behaves else model.ASSUMED[demand.elicitation]), *rule.assumes}
        for digest in digests:
            for result, span in self.sounds(digest, owner, rule, [demand], measure, after=after):
                words = [self.discharged(name, digest, rule, result.protocol) for name in names]
                spans.append(self.room(least(span, self.reach(digest, owner), *words)))
        return latest(spans)

    def all_satisfied(self, owner, measures, digests, after=None):  # 18, 20
        """Every demand for each measure, and no open plan that blocks. No demand satisfies nothing."""
        demands = rule_of(self.policy, owner).elicitation
        found = [self.satisfied(owner, demand, m, digests, after) for m in measures for demand in demands]
        return least(*found, *(self.plans(owner, measure) for measure in measures)) if found else None

    # Plans

    def is_open(self, plan, owner):  # 19
        results = [r for r in self.facts.results if r.plan == plan and not self.withdrawn(r)]
        for policy in [policy for policy in self.seeing(plan.at) if entry_of(policy, owner) is not None]:
            rule = rule_of(policy, owner)
            if not any(self.enough(r, policy, owner, rule) and set() < plan.signers <= r.signers for r in results):
                return True
        return False

    def enough(self, result, policy, owner, rule):  # 19
        """Whether a result is all of its plan, or stopped by its rule where it rules out every line of its task."""
        coverage, entry = rule.coverage if rule else 1, entry_of(policy, owner)
        if result.scored >= coverage * result.protocol.samples:
            return True
        if rule is None or not stopped(result) or result.scored < coverage * units(result):
            return False
        if owner[0] == "requirements":
            leaves = [(entry.measure, entry.level)]
        else:
            parts = model.walk(entry.reached_when) if entry.reached_when else ()
            leaves = [(part.measure, part.level) for part in parts if isinstance(part, model.At)]
        lines = [line_of(0, policy, owner, measure, level) for measure, level in leaves]
        lines = [line for line in lines if any(it.task == result.protocol.task for _, it in line.parts)]
        alpha = alpha_of(rule)
        under = [not line.mean and rules_out(result, line.parts[0][1], line.level, alpha) for line in lines]
        return bool(under) and all(under)

    def tasked(self, plan, measure):  # 19
        """Whether a plan is for the measure's task, or one that the measure of this name had in an earlier version."""
        before = [version.policy.measures.get(measure.name) for version in self.versions[: self.index]]
        tasks = {m.task for m in [measure, *before] if isinstance(m, (model.Measure, model.Unbounded))}
        return any(self.on_task(replace(measure, task=task), plan.protocol) for task in tasks)

    def plans(self, owner, measure):  # 19, 20
        """Until when no open plan that matters blocks."""
        ours = [p for p in self.facts.plans if p.subject in kin(self.facts, self.subject, self.budget(p.at))]
        return self.unblocked(p for p in ours if self.tasked(p, measure) and self.is_open(p, owner))

    def unblocked(self, plans):  # 20
        """Until when none of the plans blocks."""
        spans = [Span()]
        for plan in plans:
            due, reversible = [plan.report_by], self.action != "release-weights"
            for policy in self.seeing(plan.at):
                listed = policy.actions.get(self.action)
                easy = listed.reversible if listed else self.action in {"scale", "deploy-internal", "deploy-api"}
                due, reversible = [*due, policy.report_within.after(plan.at)], reversible and easy
            spans.append(Span(min(due)) if reversible and self.at < min(due) else None)
        return least(*spans)

    def stakes(self, i, names):  # 20
        """Thresholds of a version, with all that they refer to or are listed by."""
        thresholds = self.versions[i].policy.thresholds
        more = {t.name for t in thresholds.values() if names & set(t.above)}
        for expr in [thresholds[name].reached_when for name in names]:
            more |= {part.threshold for part in model.walk(expr) if isinstance(part, model.Ref)} if expr else set()
        return names if more <= names else self.stakes(i, names | more)

    def reported(self, name):  # 20
        """Until when no unreported plan of a threshold blocks."""
        spans = []
        for i in [*self.having(name), self.index]:
            policy = self.versions[i].policy
            for other in self.stakes(i, {name}):
                for leaf in policy.thresholds[other].measures:
                    parts = line_of(i, policy, ("thresholds", other), leaf, ONE).parts
                    spans += [self.plans(("thresholds", other), measure) for _, measure in parts]
        return least(Span(), *spans)

    def family(self):  # 20, 30
        """The kin by the greatest budget of any version up to this one."""
        versions = self.versions[: self.index + 1]
        return kin(self.facts, self.subject, max(version.policy.attacker_budget for version in versions))

    def broken(self):  # 20
        """Until when no silent plan blocks."""
        results = [r for r in self.facts.results if r.plan and set() < r.plan.signers <= r.signers]
        family, told = self.family(), [result.plan for result in results]
        return self.unblocked(p for p in self.facts.plans if p.subject in family and p not in told)

    # Findings: whether something is reached, and from when it may be

    def repeated(self, line, digest):  # 21, 43
        """Until when, `self.at` if it is not."""
        rule, ends = line.rule, [FOREVER]
        refusals = min((demand.refusals for demand in rule.elicitation), default=Fraction(0))
        for _, measure, results in self.concerned(line, {digest}):
            for r in [r for r in results if line.mean or shows(r, measure, line.level, alpha_of(rule))]:
                p = r.protocol
                hard = (p.demonstrations, r.flop, p.attempts, p.tools, p.safety_ablated, refusals)
                independent = {policy.independent for policy in self.seeing((r.plan or r).at)}
                demands = [model.Demand("fine-tuned", *hard)] if all(independent) else []
                like = {"after": r.at, "runners": independent, "samples": units(r)}
                mine = self.sounds(self.subject, line.owner, rule, demands, measure, **like)
                ends.append(max((span.end for _, span in mine), default=self.at))
        return min(ends)

    def leaf_reached(self, line):  # 21, 43
        """The first end of a repetition that keeps it from being reached; `self.at` if it is."""
        budget = line.policy.attacker_budget
        near = self.near(budget)
        positive = [d for d in self.relatives(budget) if self.positive(line, d)]
        return min((self.at if d in near else self.repeated(line, d) for d in positive), default=FOREVER)

    def own_leaf(self, i, leaf, name):
        return self.leaf_reached(line_of(i, self.versions[i].policy, ("thresholds", name), leaf.measure, leaf.level))

    def expr_reached(self, i, expr, name):  # 21 to 25
        """(whether it is reached, whether something else than an `Amount` contributes to that)."""
        policy = self.versions[i].policy
        if isinstance(expr, model.At):
            return (self.own_leaf(i, expr, name) <= self.at,) * 2
        if isinstance(expr, model.Amount):
            return amount(policy, self.facts, self.me, expr)[0], False
        if isinstance(expr, model.Ref) and i == self.index:
            return (self.reached(expr.threshold),) * 2
        if isinstance(expr, model.Ref):
            return self.come_to(i, expr.threshold)
        parts = [self.expr_reached(i, part, name) for part in expr.parts]
        reached = 0 < expr.count <= sum(part for part, _ in parts)
        return reached, reached and any(by_more for _, by_more in parts)

    def reached_before(self, i, name):  # 25
        """The same of a threshold of an earlier version."""
        expr = self.versions[i].policy.thresholds[name].reached_when
        found = [self.come_to(i, other) for other in self.above(i, name)]
        found += [self.expr_reached(i, expr, name)] if expr else []
        return any(reached for reached, _ in found), any(by_more for _, by_more in found)

    def come_to(self, i, name):  # 25
        """The same of one that another leads to."""
        judged = self.versions[i].policy.thresholds[name].judged
        for j in [j for j in self.facts.judgements if judged and (j.threshold, j.verdict) == (name, REACHED)]:
            related = j.subject in self.relatives(self.budget(j.at))
            if related and judged.by in j.members and self.seen(i, j.at):
                return True, True
        return (True, True) if self.struck(name) else self.reached_before(i, name)

    def struck(self, name):  # 25
        """Whether an incident says that a threshold is reached."""
        incidents = [i for i in self.facts.incidents if name in i.thresholds and not self.set_aside(i)]
        subjects = [(i.subject, self.relatives(self.budget(i.at))) for i in incidents]
        return any(subject is None or subject in family for subject, family in subjects)

    def ends(self, i, expr, name):  # 43
        """The moments at which something in an expression may be reached."""
        if isinstance(expr, model.At):
            return [self.own_leaf(i, expr, name)]
        if isinstance(expr, model.Ref):
            return [self.may(expr.threshold) if i == self.index else self.may_before(i, expr.threshold)]
        return [end for part in getattr(expr, "parts", ()) for end in self.ends(i, part, name)]

    def may_before(self, i, name):  # 43
        """The moment from which a threshold of an earlier version may be reached before."""
        moments = self.ends(i, self.versions[i].policy.thresholds[name].reached_when, name)
        moments += [self.may_before(i, other) for other in self.above(i, name)]
        return min((moment for moment in moments if moment > self.at), default=FOREVER)

    def above(self, i, name):
        return [t.name for t in self.versions[i].policy.thresholds.values() if name in t.above]

    def judged_ends(self, name):
        return [self.judged_reached(name, j) for j in self.facts.judgements if j.threshold == name]

    def judged_reached(self, name, judgement):  # 25, 43
        """With which answer a judgement makes it reached: `self.at` if it does already."""
        thresholds = [policy.thresholds.get(name) for policy in self.seeing(judgement.at)]
        roles = {threshold.judged.by for threshold in thresholds if threshold and threshold.judged}
        of, budget = judgement.subject, self.budget(judgement.at)
        if judgement.verdict != REACHED or not roles & judgement.members:
            return FOREVER
        if of not in self.relatives(budget):
            return FOREVER
        if of in self.near(budget):
            return self.at
        later = [j for j in self.facts.judgements if j.at > judgement.at and j.entry > judgement.entry]
        answers = [self.judged_below(j, name) for j in later]
        return max((span.end for span in answers if span is not None), default=self.at)

    def reached(self, name):  # 25
        expr = self.policy.thresholds[name].reached_when
        return (
            self.struck(name)
            or (expr is not None and self.expr_reached(self.index, expr, name)[0])
            or self.at in self.judged_ends(name)
            or any(self.reached(other) for other in self.above(self.index, name))
            or any(self.reached_before(i, name)[1] for i in self.having(name))
        )

    def may(self, name):  # 43
        moments = self.ends(self.index, self.policy.thresholds[name].reached_when, name) + self.judged_ends(name)
        moments += [self.may(other) for other in self.above(self.index, name)]
        moments += [self.may_before(i, name) for i in self.having(name)]
        return min((moment for moment in moments if moment > self.at), default=FOREVER)

    # Findings: until when something is below, and evaluated

    def part(self, expr, name, cap, share):  # 21 to 24, 28, 42, 43
        """(span of being below, span of its evaluation). `cap` is the outer alpha."""
        if isinstance(expr, model.At):
            return self.leaf(expr, name, cap, share)
        if isinstance(expr, model.Amount):
            return amount(self.policy, self.facts, self.me, expr)[1], Span()
        if isinstance(expr, model.Ref):
            inner = self.by_ref(expr.threshold, name, cap, share)
            return inner.below, inner.below or inner.evaluated
        parts = [self.part(part, name, cap, share / max(1, expr.count)) for part in expr.parts]
        below = best(max(1, len(parts) - expr.count + 1), [span for span, _ in parts])
        evaluated = least(*(span for _, span in parts)) if parts else None
        return below, least(below, Span(self.may(name))) if below else evaluated

    def by_ref(self, other, name, cap, share):  # 23
        outer, own = self.policy.thresholds[name].rule_out, self.policy.thresholds[other].rule_out
        return self.finding(other, min(cap, alpha_of(outer), alpha_of(own)), share)

    def leaf(self, leaf, name, cap, share):  # 21, 28
        owner, evaluated = ("thresholds", name), []
        line = line_of(self.index, self.policy, owner, leaf.measure, leaf.level)
        rule, digests, measures = line.rule, self.standing(line.rule), [measure for _, measure in line.parts]
        for measure in measures:
            sound = {d: self.sounds(d, owner, rule, rule.elicitation, measure) for d in digests}
            evaluated.append(
                latest(self.room(least(span, self.reach(d, owner))) for d in sound for _, span in sound[d])
            )
        below = None
        if self.at < self.leaf_reached(line):
            under = self.under_lines([line], None, cap, share)
            below = least(self.all_satisfied(owner, measures, digests), under)
        return below, least(*evaluated)

    def finding(self, name, cap=ONE, share=ONE):
        key = (name, cap, share)
        if key not in self.findings:
            self.findings[key] = self.find(self.policy.thresholds[name], cap, share)
        return self.findings[key]

    def find(self, threshold, cap, share):  # 25, 28, 42
        name, expr, judged = threshold.name, threshold.reached_when, threshold.judged
        reached, may, ways, evaluated = self.reached(name), self.may(name), [], None
        part = share / tests(threshold)
        if not threshold.hole:
            ways = [(way, self.below_if(way, threshold, cap, part)) for way in threshold.below_if]
            if judged:
                evaluated = latest(self.room(self.supported(j, name)) for j in self.facts.judgements)
                ways.append((None, latest(self.judged_below(j, name) for j in self.facts.judgements)))
            else:
                below, evaluated = self.part(expr, name, cap, part)
                ways.append((None, below))
        stand = [] if reached else [self.stands(way, span, threshold, cap, share) for way, span in ways]
        below = next((least(span, Span(may)) for span in stand if span is not None), None)
        return Finding(REACHED if reached else BELOW if below else OPEN, may, below, evaluated)

    def stands(self, way, span, threshold, cap, share):  # 25, 43
        """The span of a way, where it stands before earlier versions and no unreported plan blocks."""
        if span is None:
            return None
        name, cap = threshold.name, min(cap, alpha_of(threshold.rule_out))
        lacking = [i for i in self.having(name) if not self.has_way(i, name, way)]
        return least(span, self.reported(name), *(self.clear(i, name, cap, share) for i in lacking))

    def below_if(self, way, threshold, cap, share):  # 26
        if isinstance(way, model.UnderQuantity):
            return amount(self.policy, self.facts, self.me, way)[1]
        if isinstance(way, model.UnderScreen):
            return self.by_ref(way.threshold, threshold.name, cap, share).below
        return self.under_reference(way, threshold, cap, share)

    def under_reference(self, way, threshold, cap, share):  # 26, 42, 43
        rule, owner, spans = threshold.rule_out, ("thresholds", threshold.name), []
        other, measures = named(self.facts, way.subject), [self.policy.measures[name] for name in way.on]
        if not (self.leans and measures and rule and other and known(self.facts, other.digest)):
            return None
        if other.digest == self.subject or not all(isinstance(measure, model.Measure) for measure in measures):
            return None
        case = replace(self, subject=other.digest, deployment=None, leans=False)
        alpha = min(cap, alpha_of(rule)) * share / 2
        for measure in measures:
            mine = max((upper(r, measure, alpha) for r in self.counting(measure, {self.subject})), default=measure.high)
            sound = case.sounds(other.digest, owner, rule, rule.elicitation, measure)
            theirs = [r for r in case.counting(measure, {other.digest}) if r.plan and case.fits(r, measure)]
            least_shown = min((lower(result, measure, alpha) for result in theirs), default=measure.low)
            under = sound and theirs and mine + way.margin <= least_shown
            spans.append(latest(span for _, span in sound) if under else None)
        spans += [case.plans(owner, measure) for measure in measures]
        finding = case.by_ref(threshold.name, threshold.name, cap, share)
        return self.room(least(*spans, finding.below, self.all_satisfied(owner, measures, [self.subject])))

    def supported(self, judgement, name):  # 27
        threshold, owner = self.policy.thresholds[name], ("thresholds", name)
        judged = threshold.judged
        if not (judged and judged.on and judgement.threshold == name and judgement.subject == self.subject):
            return None
        if judged.by not in judgement.signers or self.withdrawn(judgement) or not self.counts(judgement, owner):
            return None
        rule = threshold.rule_out
        reach = self.reach(self.subject, owner) if rule else Span(reach=self.me.ec_low * self.policy.refresh.multiple)
        spans = [reach] + ([Span(judged.fresh_for.after(judgement.at))] if judged.fresh_for else [])
        words = [a for a in self.facts.attestations if a.digest in judgement.on and a.at <= judgement.at]
        for item in judged.on:
            items, measure = [self.attested(word, item) for word in words], self.policy.measures.get(item)
            if isinstance(measure, (model.Measure, model.Unbounded)):
                results = [r for r in self.counting(measure, {self.subject}) if r.digest in judgement.on]
                items += [self.item(r, measure, threshold) for r in results if r.at < judgement.at]
            items = [span for span in items if span is not None]
            spans += items or [None]
        until = (rule.refresh, rule.buffer) if rule else (self.policy.refresh, None)
        spans += [Span(self.expiry(r, *until)) for r in self.facts.results if r.digest in judgement.on]
        found = least(*spans)
        return found if found is not None and self.at < found.end else None

    def item(self, result, measure, threshold):  # 27
        samples, rule = result.protocol.samples, threshold.rule_out
        whole = samples > 0 and result.scored >= (rule.coverage if rule else 1) * samples
        if not (whole and self.fits(result, measure) and self.admissible(result, ("thresholds", threshold.name))):
            return None
        return self.fresh(result, rule.refresh, rule.buffer) if rule else self.fresh(result, self.policy.refresh, None)

    def judged_below(self, judgement, name):  # 27, 43
        found = self.room(self.supported(judgement, name))
        if found is None or judgement.verdict != BELOW:
            return None
        on = self.policy.thresholds[name].judged.on
        measures = [self.policy.measures[item] for item in on if item in self.policy.measures]
        for r in [r for measure in measures for r in self.counting(measure, {r.subject for r in self.facts.results})]:
            related = self.relatives(self.budget((r.plan or r).at))
            if r.subject in related and r.at >= judgement.at:
                return None
        return least(found, *(self.plans(("thresholds", name), measure) for measure in measures))

    # Requirements

    def against(self, name):  # 34
        """The moment of the last incident against a requirement, or None."""
        incidents = [i for i in self.facts.incidents if name in self.hit(set(i.requirements))]
        return max((i.at for i in incidents if self.concerns(i, self.subject, kin)), default=None)

    def hit(self, names):  # 34
        """The requirements named, all that they are combined of, and all that stands in for one of them."""
        more = {part for name in names for part in getattr(self.policy.requirements.get(name), "of", ())}
        for rule in self.policy.exceptions.values():
            more |= set(rule.requires) if names & set(rule.instead_of) else set()
        return names if more <= names else self.hit(names | more)

    def unspoilt(self, fact, owner, name, end):  # 29, 30, 33
        """A fact in favour that is not withdrawn, later than all that is against that requirement, and not over."""
        against = self.against(name)
        after = against is None or fact.at > against
        good = not self.withdrawn(fact) and self.counts(fact, owner) and after and self.at < end
        return Span(end) if good else None

    def attested(self, attestation, name):  # 29
        good = isinstance(self.policy.requirements.get(name), model.Attested) and not attestation.is_assumption
        return self.signed(attestation, name) if good else None

    def signed(self, fact, name):  # 29, 30
        requirement = self.policy.requirements[name]
        about = {"subject": self.subject, "deployment": self.deployment, "developer": None}[requirement.about]
        if fact.name != name or fact.about != about or requirement.by not in fact.signers:
            return None
        if requirement.about == "deployment" and about is None:
            return None
        then = self.entry_at(fact.at, ("requirements", name))
        standards = [getattr(it, "standard", None) for it in (then, requirement)]
        if type(then) is not type(requirement) or len(set(standards)) > 1:
            return None
        if (then.what, then.about) != (requirement.what, requirement.about):
            return None
        return self.unspoilt(fact, ("requirements", name), name, requirement.fresh_for.after(fact.at))

    def approved(self, approval, name, cell):  # 30
        finding, family = self.finding(cell), self.family()
        digests = {
            state: finding_digest(self.facts, self.policy.id, cell, self.subject, state, family) for state in STATES
        }
        saw = [state for state in STATES if digests[state] in approval.findings]
        if finding.state not in saw and not (finding.state == OPEN and REACHED in saw):
            return None
        # One that saw `not ruled out` only is over when that is.
        return least(self.signed(approval, name), self.broken(), Span() if REACHED in saw else Span(finding.may))

    def measured(self, requirement):  # 31
        owner, digests, after = ("requirements", requirement.name), [self.subject], self.against(requirement.name)
        lines = self.lines(requirement.name)
        measures = [measure for _, measure in lines[0].parts]
        for line in lines:
            near = cheap(self.facts, self.subject, line.policy.attacker_budget)
            if any(self.positive(line, digest) for digest in near):
                return None
        plans = [self.plans(owner, measure) for line in lines for _, measure in line.parts]
        return least(self.all_satisfied(owner, measures, digests, after), self.under_lines(lines, digests), *plans)

    def once_hole(self, name, cell):  # 32
        """Whether a requirement was a hole and may not be filled so, at a threshold with potential for takeover."""
        entry = self.policy.requirements.get(name)
        if isinstance(entry, model.Measured):
            parts = self.lines(name)[0].parts
            if all(measure.kind == "understanding" for _, measure in parts):
                return False
        was = any(isinstance(v.policy.requirements.get(name), model.Hole) for v in self.versions[: self.index])
        return was and self.policy.thresholds[cell].takeover_potential

    def plainly_met(self, name, cell, exceptions):  # 29 to 32, 34
        requirement = self.policy.requirements.get(name)
        if self.once_hole(name, cell):
            return None
        if isinstance(requirement, model.Attested):
            return latest(self.attested(a, name) for a in self.facts.attestations)
        if isinstance(requirement, model.Approved):
            return latest(self.approved(a, name, cell) for a in self.facts.approvals)
        if isinstance(requirement, model.Measured):
            return self.measured(requirement)
        if isinstance(requirement, model.Combined):
            return best(requirement.count, [self.met(part, cell, exceptions=exceptions) for part in requirement.of])
        if not isinstance(requirement, (model.Defined, model.RuledOut)) or self.against(name) is not None:
            return None
        if isinstance(requirement, model.RuledOut):
            return self.finding(requirement.threshold).below
        threshold = self.policy.thresholds.get(requirement.threshold)
        return Span() if threshold is not None and not threshold.hole else None

    def met(self, name, cell, *, exceptions=True):  # 33
        ways = [self.plainly_met(name, cell, exceptions)]
        closed = any(self.empty(part, cell) for part in self.policy.gates[self.action][cell].requires)
        for rule in self.policy.exceptions.values() if exceptions and not closed else ():
            if name in rule.instead_of and rule.requires and rule.approved_by:
                opened = latest(self.opened(amendment, rule, name) for amendment in self.facts.amendments)
                ways.append(least(opened, *(self.met(other, cell, exceptions=False) for other in rule.requires)))
        return latest(ways)

    def empty(self, name, cell):
        """Whether a requirement is, or holds, a hole or `never`."""
        requirement = self.policy.requirements.get(name)
        deeper = [self.empty(part, cell) for part in getattr(requirement, "of", ())]
        return isinstance(requirement, (model.Hole, model.Never)) or self.once_hole(name, cell) or any(deeper)

    def opened(self, amendment, rule, name):  # 33
        if amendment.exception != rule.name or amendment.subject not in (None, self.subject):
            return None
        if not set(rule.approved_by) <= amendment.signers or not amendment.published.strip():
            return None
        end = rule.lasts.after(amendment.at)
        return self.unspoilt(amendment, ("exceptions", rule.name), name, min(end, rule.until or end))

    # Decision

    def open(self, name):  # 36, 41, 43
        """Of a cell: (threshold, finding, span of being open, {requirement: span})."""
        finding = self.finding(name)
        met = {
            requirement: self.met(requirement, name) for requirement in self.policy.gates[self.action][name].requires
        }
        return name, finding, finding.below or least(finding.evaluated, *met.values()), met

    def gating(self):  # 36, 39
        """The thresholds of the cells that gate, of this version alone."""
        gates = self.policy.gates.get(self.action, {}) if self.governs() else {}
        return [name for name, cell in gates.items() if cell.requires]

    def governs(self):
        return governs(self.policy, self.facts, self.subject, self.action)

    def left(self):  # 36, 41, 43
        """(the cells that are left, with the reach of their rules; the spans of those that may yet be)."""
        cells, yet = [], []
        for i in range(self.index):
            case = self.then(i)
            if not case.governs():
                gates = case.policy.gates.get(self.action, {})
                dropped = [name for name, cell in gates.items() if cell.requires and name not in self.gating()]
                cap = left_out(case.policy, self.facts, self.subject)
                yet += [cap] if dropped and self.action not in case.policy.not_governed else []
            for name in [name for name in case.gating() if name not in self.gating()]:
                clear = None if self.come_to(i, name)[1] else self.clear(i, name, ONE, ONE)
                _, finding, _, met = case.open(name)
                if clear is not None:
                    yet.append(least(clear, Span(self.may_before(i, name))))
                elif finding.below:
                    yet.append(finding.below)
                else:
                    cells.append(
                        (name, finding, least(finding.evaluated or Span(), case.far(name), *met.values()), met)
                    )
        return cells, yet

    def far(self, name):  # 41
        has_rule = self.policy.thresholds[name].rule_out is not None
        return self.reach(self.subject, ("thresholds", name)) if has_rule else Span()

    def cells(self):  # 36
        return [self.open(name) for name in self.gating()] + self.left()[0]

    def permits(self):  # 37, 39, 41, 43
        """Where it does not govern: whether what is left to it leaves room."""
        mine, (left, yet) = [self.open(name) for name in self.gating()], self.left()
        lease = Span(self.policy.permits.lease.after(self.at), self.me.ec_low * self.policy.refresh.multiple)
        spans = [lease] + ([Span(self.policy.expires)] if self.policy.expires else [])
        spans += [self.far(name) for name, *_ in mine] + [span for _, _, span, _ in [*mine, *left]] + yet
        found = self.room(least(*spans))
        return found if (mine or not self.governs()) and found is not None and self.at < found.end else None


def answer(versions, facts, *, subject, deployment, action, at):  # 35, 38 to 40
    """The decision on an action at a time."""
    policies, rulings, rooms, more = {}, {}, [], []
    versions = [replace(version, since=max(version.since, version.entered)) for version in versions]
    for version in sorted(versions, key=lambda version: version.since):
        policies.setdefault(version.policy.id, []).append(version)
    force = {name: sum(version.since <= at for version in of) - 1 for name, of in policies.items()}
    force = {name: index for name, index in force.items() if index >= 0}
    governing = [n for n, i in force.items() if governs(policies[n][i].policy, facts, subject, action)]
    offered = facts.deployments.get(deployment)
    ages = [policies[name][force[name]].policy.permits.ledger_age for name in governing]
    standing = (
        known(facts, subject)
        and sane(facts, subject)
        and (deployment is None or (offered is not None and offered.subject == subject))
        and at >= facts.checkpoint.time
        and all(at < age.after(facts.checkpoint.time) for age in ages)
    )

    def case(name, index, horizon):
        return Case(policies[name], index, horizon, facts, subject, deployment, action, at)

    for name, index in force.items():  # 39, 41: those that do not govern
        told, policy = case(name, index, policies[name][0].entered) if known(facts, subject) else None, None
        if name in governing or told is None:
            continue
        policy = policies[name][index].policy
        if action not in policy.not_governed:
            more.append(left_out(policy, facts, subject))
        if any(told.left()):
            span = told.permits()
            more += [span] if span else []
            governing += [] if span else [name]

    for name, index in force.items():
        of, horizon, room = policies[name], policies[name][0].entered, None
        for v in range(index, -1, -1) if standing and name in governing else ():
            start = of[v].since if v else of[0].entered
            here = [i for i in range(v, index + 1) if governs(of[i].policy, facts, subject, action)]
            if v not in here or index not in here:
                continue
            spans = [case(name, i, start).permits() for i in here]
            passed_over = [of[i].policy for i in range(v, index + 1) if i not in here]
            edges = [left_out(policy, facts, subject) for policy in passed_over if action not in policy.not_governed]
            if None not in spans:
                horizon, room = start, least(*spans, *edges)
                break
        cells = {}
        if known(facts, subject) and name in governing:
            then = case(name, index, horizon)
            for threshold, found, opens, met in then.cells():
                overdue = threshold in then.gating() and not (found.below or found.evaluated)
                states = {r: span is not None for r, span in met.items()}
                cells[threshold] = (found.state, overdue, opens is not None, states)
        rulings[name] = Ruling(name in governing, "hold" if room is None else "permit", cells)
        rooms += [room] if room else []
    if not governing or len(rooms) < len(governing):
        return Answer("hold", rulings)
    most = least(*rooms, *more, *(Span(version.since) for version in versions if version.since > at))  # 43
    return Answer("permit", rulings, math.floor(most.reach), most.end)
