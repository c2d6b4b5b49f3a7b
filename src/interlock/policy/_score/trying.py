"""Questions about evidence: how hard evaluations try, who vouches for them, how much room is kept, how often."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from interlock.policy._lint.evidence import outgrown, roomless
from interlock.policy._lint.view import listing
from interlock.policy._lint.ways import assumptions
from interlock.policy._score.answer import Answer, in_part, met, missing
from interlock.policy.model import TRAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from interlock.policy._lint.view import Rule
    from interlock.policy._score.asked import Asked
    from interlock.policy.model import Refresh, Threshold


def fine_tuned(*actions: str) -> Callable[[Asked], Answer]:
    """The question whether capabilities at these gates are ruled out only with fine-tuning; of all gates without."""
    return partial(_fine_tuned, actions)


def _fine_tuned(actions: tuple[str, ...], asked: Asked) -> Answer:
    every, here = asked.thresholds(), asked.thresholds(*actions)
    tried = [f"thresholds.{it.name}.rule_out" for it in here if _trains(asked, it)]
    other = [f"thresholds.{it.name}.rule_out" for it in every if _trains(asked, it) and it not in here]
    said = asked.vouched("fine-tun", "elicitation")
    prompted = asked.found("no-fine-tuning", "screen-without-fine-tuning")
    judged = [name for name in asked.judged(here) if f"thresholds.{name}.rule_out" not in tried]
    lacks = [f"{listing(prompted)} asks for none"] if prompted else []
    if judged:
        lacks.append(f"somebody judges {listing(judged)}; no program can check how hard was tried")
    if not tried:
        lacks.append("no measured capability there is ruled out with fine-tuning")
    clauses = [*tried, *other, *said]
    if not clauses:
        return missing("no capability is ruled out with fine-tuning")
    return in_part(clauses, "; ".join(lacks)) if lacks else met(tried)


def _trains(asked: Asked, threshold: Threshold) -> bool:
    """Whether a measured capability is ruled out with training for it."""
    rule = threshold.rule_out
    demanded = rule is not None and any(it.elicitation in TRAINED for it in rule.elicitation)
    return demanded and any(part.kind == "capability" for name in threshold.measures for part in asked.view.plain(name))


def _capability_rules(asked: Asked) -> list[Rule]:
    """The rules by which a capability is ruled out."""
    return [
        rule
        for rule in asked.view.rules
        if any(part.kind == "capability" for at in rule.leaves for part in asked.view.plain(at.measure))
    ]


def _taken(asked: Asked, rules: Iterable[Rule]) -> list[str]:
    """The assumptions that results under the rules take for granted."""
    leaves = [(rule.rule, at) for rule in rules for at in rule.leaves]
    parts = [(rule, part) for rule, at in leaves for part in asked.view.plain(at.measure)]
    return sorted({name for rule, part in parts for name in assumptions(part, rule)})


def sandbagging(asked: Asked) -> Answer:
    """Whether something, or somebody independent, shows that evaluations were not failed on purpose."""
    used = _taken(asked, _capability_rules(asked))
    own_word = asked.found("no-sandbagging-evidence")
    shown = [path for path in (f"assumptions.{name}" for name in used) if path not in own_word]
    clauses = [*shown, *asked.vouched("sandbag")]
    judged = asked.judged(asked.thresholds())
    lacks = [f"only those who run the evaluations vouch for {listing(own_word)}"] if own_word else []
    if judged:
        lacks.append(f"somebody judges {listing(judged)}; no program can check what was done there")
    if not shown:
        lacks.append("no evaluation rests on an assumption that is checked, or stated by somebody independent")
    if not clauses:
        return missing("; ".join(lacks))
    return in_part(clauses, "; ".join(lacks)) if lacks else met(clauses)


def auditors(asked: Asked) -> Answer:
    """Whether somebody independent has a part in the evidence."""
    view = asked.view
    signers = {
        *view.runners,
        *(assumption.by for assumption in asked.policy.assumptions.values()),
        *(it.by for it in view.attested),
        *(it.judged.by for it in view.governing if it.judged),
    }
    outside = [f"roles.{name}" for name in asked.policy.roles if name in signers and asked.outside(name)]
    if not outside:
        return missing("no role that is `independent_of` another runs, states, judges or attests anything")
    if asked.found("no-external-auditor"):
        return in_part(outside, f"none of them is independent of {listing(view.runners)}, which runs the evaluations")
    return met(outside) if view.runners else in_part(outside, "no measured evaluation is there to vouch for")


def separate(asked: Asked) -> Answer:
    """Whether those who run evaluations do not decide by them."""
    runners, mixed = asked.view.runners, asked.found("roles-not-separate")
    apart = [path for path in (f"roles.{name}" for name in runners) if path not in mixed]
    if mixed and not apart:
        return missing(f"{listing(mixed)} runs evaluations and decides by them")
    if mixed:
        return in_part(apart, f"{listing(mixed)} runs evaluations and decides by them")
    if apart:
        return met(apart)
    judges = [f"roles.{it.judged.by}" for it in asked.view.governing if it.judged]
    return (
        in_part(judges, "somebody judges, and nobody runs a measured evaluation")
        if judges
        else missing("nobody runs or judges an evaluation")
    )


# -- measured levels


def levels(asked: Asked) -> Answer:
    """Whether capabilities have levels, measured or judged."""
    thresholds = asked.thresholds()
    judged = asked.judged(thresholds)
    found = [it.name for it in thresholds if it.name in judged or asked.numbered(it.reached_when)]
    return met(f"thresholds.{name}" for name in found) if found else missing("no threshold on a capability gates")


def indicators(asked: Asked) -> Answer:
    """Whether the levels of capabilities are numbers on a measure."""
    thresholds = asked.thresholds()
    shown = [f"thresholds.{it.name}" for it in thresholds if asked.numbered(it.reached_when)]
    judged = asked.judged(thresholds)
    if not shown:
        return missing(f"somebody judges {listing(judged)}" if judged else "no threshold on a capability gates")
    return in_part(shown, f"somebody judges {listing(judged)}") if judged else met(shown)


# -- room and time


def buffers(asked: Asked) -> Answer:
    """Whether room is kept under every level for what comes between two evaluations."""
    rules = _capability_rules(asked)
    bare = [rule.name for rule in rules if roomless(asked.view, rule) or outgrown(rule.rule)]
    kept = [f"{rule.path}.rule_out.buffer" for rule in rules if rule.name not in bare]
    judged = asked.judged(asked.thresholds())
    lacks = [f"{listing(bare)} keeps none, or less than grows until the next evaluation"] if bare else []
    if judged:
        lacks.append(f"somebody judges {listing(judged)}; no program can check how much room that keeps")
    clauses = [*kept, *asked.vouched("", "buffer", "headroom")]
    if not clauses:
        return missing("; ".join(lacks) or "no level of a measured capability gates")
    return in_part(clauses, "; ".join(lacks)) if lacks else met(clauses)


def frequency(asked: Asked) -> Answer:
    """Whether evaluations are due again both after so much compute and after so much time."""
    found = {_where(asked, it): _refresh(asked, it) for it in asked.thresholds() if not it.hole}
    no_compute = [path for path, it in found.items() if not it.names_multiple]
    no_time = [path for path, it in found.items() if not it.names_period]
    lacks = [f"{listing(no_compute)} names no multiple of compute"] if no_compute else []
    lacks += [f"{listing(no_time)} names no period"] if no_time else []
    clauses = [path for path in found if path not in no_compute or path not in no_time]
    if not clauses:
        return missing("; ".join(lacks) or "nothing is evaluated")
    return in_part(clauses, "; ".join(lacks)) if lacks else met(clauses)


def throughout(asked: Asked) -> Answer:
    """Whether evaluations are due before deployment, during training, and after."""
    deployed = ("deploy-internal", "deploy-api")
    before = [f"gates.{action}.{name}" for action, name in asked.cells(*deployed)]
    during = _due(asked, ("scale",), lambda it: it.names_multiple or it.names_period)
    after = _due(asked, deployed, lambda it: it.names_period)
    told = {"before deployment": before, "during training": during, "after deployment": after}
    lacks = "none is due " + ", nor ".join(when for when, clauses in told.items() if not clauses)
    clauses = [clause for own in told.values() for clause in own]
    if not clauses:
        return missing(lacks)
    return met(clauses) if all(told.values()) else in_part(clauses, lacks)


def _due(asked: Asked, actions: tuple[str, ...], bounded: Callable[[Refresh], bool]) -> list[str]:
    return [_where(asked, it) for it in asked.thresholds(*actions) if not it.hole and bounded(_refresh(asked, it))]


def _refresh(asked: Asked, threshold: Threshold) -> Refresh:
    return threshold.rule_out.refresh if threshold.rule_out else asked.policy.refresh


def _where(asked: Asked, threshold: Threshold) -> str:
    own = _refresh(asked, threshold) != asked.policy.refresh
    return f"thresholds.{threshold.name}.rule_out.refresh" if own else "refresh"


def assumed(asked: Asked) -> Answer:
    """Whether the assumptions of evaluations are written, and end at a level of capability."""
    used = _taken(asked, asked.view.rules)
    paths = {f"assumptions.{name}": asked.policy.assumptions[name].void_at for name in used}
    endless = [path for path, void_at in paths.items() if not void_at]
    if not paths:
        return missing("no evaluation rests on an assumption that is written")
    return in_part(paths, f"no level ends {listing(endless)}: no `void_at`") if endless else met(paths)
