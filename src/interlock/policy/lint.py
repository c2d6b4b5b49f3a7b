"""Checks of a policy that loads: what it forgot, what can never happen, what undoes its purpose.

A check asks one question, says why and where that comes from, and finds places, each with what to do there. An error
says that the policy does not do what a responsible scaling policy is for; a warning, that it very likely does not do
what its author means; a note counts or shows what a reader should know. A check that cannot be sure finds nothing.
docs/policy-checks.md lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from interlock.policy._lint import evidence, rules, stops
from interlock.policy._lint.lines import looser, unclear
from interlock.policy._lint.view import Hit, View
from interlock.policy._lint.ways import Ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from interlock.policy.model import Policy

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")

_PAUSES = "Hubinger 2023, RSPs are pauses done right"
_TRUST = "Hubinger 2023, When can we trust model evaluations?"
_UNDERSTANDING = "Hubinger 2023, Towards understanding-based safety evaluations"
_RSP_1 = "Anthropic RSP 1.0 (2023)"
_RSP_2 = "Anthropic RSP 2.2 (2025)"
_RSP_3 = "Anthropic RSP 3.4 (2026)"
_PF = "OpenAI Preparedness Framework 2 (2025)"
_FSF = "Google DeepMind Frontier Safety Framework 1.0 (2024)"
_COP = "EU GPAI Code of Practice, Safety and Security (2025)"
_METR = "METR 2023, Responsible Scaling Policies (RSPs)"
_KEY = "METR 2023, Key components of an RSP"
_SAFER = "SaferAI ratings of frontier AI risk management"
_LOCKED = "Greenblatt et al. 2024, password-locked models (arXiv:2405.19550)"
_RULE = "docs/semantics.md"


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `reason`: why it matters; `source`: where that is said; `level`: how grave what it finds is.

    `baseline`: the level for a policy that an authority imposes, which stands beside others and need not be whole.
    """

    id: str
    level: Level
    reason: str
    source: str
    find: Callable[[View, Ways], Iterable[Hit]]
    baseline: Level | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found at `path`, such as `gates.scale.autonomy-3`: one sentence that says what to do."""

    check: str
    level: Level
    path: str
    message: str


def lint(policy: Policy, *, at: datetime | None = None) -> tuple[Finding, ...]:
    """All findings, the gravest first, then in the order of `CHECKS`.

    `at` is the time for what depends on it (reviews, ends); without it that is left out. The policy must have loaded.
    """
    view = View(policy, at)
    ways = Ways(view)
    found = [
        Finding(check.id, (policy.imposed_by and check.baseline) or check.level, hit.path, hit.message)
        for check in CHECKS
        for hit in dict.fromkeys(check.find(view, ways))
    ]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


#: Every check, in the order of a policy's story: stops, holes, lines, evidence, room, roles, changes, dates, the rest.
CHECKS: tuple[Check, ...] = (
    Check(
        "no-gate-on-scale",
        "error",
        "a policy that gates deployment only lets a dangerous model be made, stolen, or act during training",
        f"{_PAUSES}; {_METR}, response",
        stops.no_gate_on_scale,
        baseline="note",
    ),
    Check(
        "no-gate-on-internal-use",
        "warning",
        "a model can do its harm inside the developer, and most policies forget it",
        f"{_RSP_1}, deployment includes internal use; {_COP}, measure 4.2",
        stops.no_gate_on_internal_use,
        baseline="note",
    ),
    Check(
        "stop-without-resume",
        "error",
        "a pause states what would end it; one that nothing can end is a stop, and must say so with a hole or `never`",
        f"{_PAUSES}, conditions for resuming",
        stops.stop_without_resume,
    ),
    Check(
        "stop-until-amended",
        "note",
        "a cell with a hole or `never` is a stop, not a pause, and readers should see it as one",
        f"{_PAUSES}; {_PF}, Critical: halt until safeguards are specified",
        stops.stop_until_amended,
    ),
    Check(
        "role-without-keys",
        "error",
        "what a role without keys must sign never comes, so what waits for it is a stop",
        f"{_PAUSES}, conditions for resuming; {_RULE}, rules 10 and 29",
        stops.role_without_keys,
    ),
    Check(
        "never-ruled-out",
        "warning",
        "a threshold that no evidence can rule out holds every model, the weakest too",
        f"{_RULE}, rules 16 and 21",
        stops.never_ruled_out,
    ),
    Check(
        "no-explicit-hole",
        "error",
        "nobody knows yet what shows a takeover-capable model to be safe; a policy says so with a hole that blocks",
        f"{_PAUSES}, an explicit hole; {_UNDERSTANDING}",
        stops.no_explicit_hole,
        baseline="note",
    ),
    Check(
        "takeover-unlisted",
        "warning",
        "the last gate counts only where it stands: at every action",
        f"{_PAUSES}, the hard final gate",
        stops.takeover_unlisted,
        baseline="note",
    ),
    Check(
        "ladder-without-next",
        "warning",
        "the level above the highest one is defined, or visibly not, before a model of the highest level is trained",
        f"{_RSP_1}, iterative commitment; {_COP}, measure 4.1: a tier not yet reached",
        stops.ladder_without_next,
        baseline="note",
    ),
    Check(
        "hole-without-owner",
        "error",
        "a hole whose owner has no keys is nobody's to fill",
        f"{_PAUSES}, an explicit hole; {_SAFER}, risk owners",
        stops.hole_without_owner,
    ),
    Check(
        "hole-past-review",
        "warning",
        "a hole is to be looked at again by a date, or it becomes a place to forget things",
        f"{_PAUSES}, an explicit hole that is filled later",
        stops.hole_past_review,
    ),
    Check(
        "open-weights-left-open",
        "error",
        "weights cannot be called back, so the open release needs a gate before the closed one does",
        f"{_PAUSES}, open source below a lower threshold",
        stops.open_weights_left_open,
        baseline="note",
    ),
    Check(
        "open-weights-looser",
        "error",
        "whatever is held behind an API must not be let out as weights, which cannot be called back",
        f"{_PAUSES}, open source below a lower threshold; {_RSP_1}, each modality passes separately",
        partial(looser, strict="release-weights", free="deploy-api"),
        baseline="warning",
    ),
    Check(
        "open-weights-not-stricter",
        "warning",
        "open weights can be fine-tuned by anybody and for ever, so their line lies under that of the API",
        f"{_PAUSES}, open source below a lower threshold; {_PF}, fine-tuning if weights are released",
        partial(unclear, strict="release-weights", free="deploy-api"),
        baseline="note",
    ),
    Check(
        "api-looser-than-internal",
        "note",
        "a model that is too dangerous for its makers to use is too dangerous to offer",
        f"{_RSP_1}, deployment, internal and external",
        partial(looser, strict="deploy-api", free="deploy-internal"),
    ),
    Check(
        "always-open",
        "warning",
        "a cell that the policy's own text meets never holds, and reads as if it did",
        f"{_RULE}, rules 32 and 36; {_SAFER}, wording that nobody can check",
        stops.always_open,
    ),
    Check(
        "dead-cell",
        "warning",
        "a cell that opens whenever another does decides nothing; its author meant it to ask for more",
        f"{_RULE}, rules 21 and 36",
        stops.dead_cell,
    ),
    Check(
        "unreachable-level",
        "warning",
        "a level that no result can show never fires what waits for it to be reached",
        f"Clopper and Pearson 1934; {_RULE}, rules 1 and 2",
        stops.unreachable,
    ),
    Check(
        "no-fine-tuning",
        "error",
        "without fine-tuning, a capability evaluation cannot tell a model that cannot from one that will not",
        f"{_PAUSES}, fine-tuning-based evaluations; {_TRUST}, capability, no fine-tuning",
        evidence.no_fine_tuning,
        baseline="warning",
    ),
    Check(
        "screen-without-fine-tuning",
        "warning",
        "a cheap screen that rules out carries the whole load, and prompting alone is easy to game",
        f"{_TRUST}, capability, no fine-tuning; {_RSP_1}, staged evaluations",
        evidence.screen_without_fine_tuning,
    ),
    Check(
        "no-sandbagging-evidence",
        "warning",
        "that a model did not sandbag is shown by a check, or said by somebody with nothing to gain",
        f"{_PAUSES}, evidence against sandbagging, such as auditors; {_TRUST}",
        evidence.no_sandbagging_evidence,
    ),
    Check(
        "blunt-check",
        "warning",
        "bounds that are always 1 cover every model organism, and rule nothing out",
        f"{_RULE}, rule 16; {_LOCKED}, which has no organism without the skill",
        evidence.blunt_check,
    ),
    Check(
        "no-external-auditor",
        "warning",
        "evaluations that only their developer vouches for are a self-report",
        f"{_PAUSES}, external auditors; {_COP}, appendix 3.5; {_METR}, accountability",
        evidence.no_external_auditor,
    ),
    Check(
        "no-independent-role",
        "note",
        "results are never dropped, so somebody independent must be able to set a mistaken one aside",
        f"{_RULE}, set-asides and rule 21",
        evidence.no_independent_role,
    ),
    Check(
        "judged-without-measures",
        "warning",
        "a judgement on reports alone cannot be checked by anybody else",
        f"{_SAFER}, quantitative and grounded indicators; {_COP}, measure 3.2",
        evidence.judged_without_measures,
    ),
    Check(
        "buffer-not-above-refresh",
        "error",
        "the buffer covers more growth than happens between two evaluations, or a level is passed unseen",
        f"{_RSP_1}, evaluation protocol: a buffer of 6x, evaluations every 4x",
        evidence.buffer_not_above_refresh,
    ),
    Check(
        "no-buffer",
        "warning",
        "evaluations under-elicit and models grow between two; a level without room is passed before it is seen",
        f"{_RSP_1}, evaluation protocol, 6x; {_FSF}, 6x and 3 months; {_COP}, measure 4.1, safety margin",
        evidence.no_buffer,
    ),
    Check(
        "slow-refresh",
        "warning",
        "post-training and tools improve a model that is no longer trained",
        f"{_RSP_1}, 4x and 3 months; {_RSP_2}, 4x and 6 months; {_FSF}, 6x and 3 months; {_COP}, measure 7.6",
        evidence.slow_refresh,
    ),
    Check(
        "low-confidence",
        "warning",
        "at a confidence under 0.9, more than one evaluation in ten of a model at the line lets it pass",
        "Clopper and Pearson 1934; Campos 2023, Responsible Scaling Policies Are Risk Management Done Wrong",
        evidence.low_confidence,
    ),
    Check(
        "low-coverage",
        "warning",
        "samples that are left out are chosen by somebody, or by the model",
        f"{_COP}, appendix 3, validity of evaluations; {_RULE}, rule 12",
        evidence.low_coverage,
    ),
    Check(
        "too-few-samples",
        "warning",
        "an evaluation of the least size that is allowed rules nothing out, whatever it shows",
        "Clopper and Pearson 1934; Hoeffding 1963, theorem 1",
        evidence.too_few_samples,
    ),
    Check(
        "attacker-budget",
        "note",
        "a model counts as able to do what somebody gets out of it for a hundredth of its training cost",
        f"{_RSP_1}, ASL-3: post-training for less than 1 % of the training cost",
        evidence.attacker_budget,
    ),
    Check(
        "roles-not-separate",
        "warning",
        "whoever runs the evaluations does not also decide by them",
        f"{_SAFER}, oversight and audit; {_COP}, commitment 8",
        rules.roles_not_separate,
    ),
    Check(
        "amendments-not-frozen",
        "warning",
        "a policy that can be loosened when it binds does not bind",
        f"{_KEY}, accountability; Campos 2023, Responsible Scaling Policies Are Risk Management Done Wrong",
        rules.amendments_not_frozen,
        baseline="note",
    ),
    Check(
        "amendments-without-notice",
        "warning",
        "changes are published before they take effect, so that somebody can object",
        f"{_RSP_1}, changes are published before they take effect; {_KEY}, unhurried open changes",
        rules.amendments_without_notice,
        baseline="note",
    ),
    Check(
        "exceptions-present",
        "note",
        "every way round a requirement stands where a reader finds it, with its end",
        f"{_RSP_2}, interim measures; {_PF}, marginal risk",
        rules.exceptions_present,
    ),
    Check(
        "unused-exception",
        "warning",
        "an exception that no cell admits promises a way that is not there",
        f"{_RULE}, rule 33",
        rules.unused_exception,
    ),
    Check(
        "emergency-without-end",
        "warning",
        "an emergency that can be renewed without end is a second policy",
        f"{_RSP_1}, extreme emergency",
        rules.emergency_without_end,
    ),
    Check(
        "marginal-risk-approval",
        "warning",
        "reasoning from what others already risk needs more approval than anything else, not less",
        f"{_RSP_3}, marginal risk: board and trust; {_PF}, marginal risk",
        rules.marginal_risk_approval,
    ),
    Check(
        "expiring-soon",
        "warning",
        "an amendment takes time, and a policy that expires holds everything",
        f"{_RULE}, rule 37",
        rules.expiring_soon,
    ),
    Check(
        "long-lease",
        "warning",
        "a permit that is meant to outlive its evaluations reads as longer than it is",
        f"{_RULE}, rule 43; {_RSP_1}, every 3 months",
        rules.long_lease,
    ),
    Check(
        "old-ledger",
        "note",
        "what came into the ledger since its checkpoint cannot hold a gate",
        f"{_RULE}, rule 38",
        rules.old_ledger,
    ),
    Check(
        "no-response",
        "note",
        "a hold that nobody is told about is found out by accident",
        f"{_METR}, response; {_RSP_1}, what is done when a threshold is crossed",
        rules.no_response,
    ),
    Check(
        "not-binding",
        "note",
        "a reader should see at once how much of a policy binds",
        f"{_RSP_3}, own commitments and recommendations; {_SAFER}, vague wording",
        rules.not_binding,
    ),
    Check(
        "discretion-counted",
        "note",
        "what somebody decides without a rule cannot be predicted, nor checked afterwards",
        f"{_SAFER}, wording that nobody can check; {_COP}, measure 4.1",
        rules.discretion_counted,
    ),
    Check(
        "no-sources",
        "note",
        "a threshold that cites its text can be compared with it",
        f"{_KEY}, accountability: verifiable by others",
        rules.no_sources,
    ),
    Check(
        "incident-kinds-undeclared",
        "note",
        "a misspelt kind of incident starts no duty and ends no result, and nothing shows it",
        f"{_RULE}, rules 14 and 44",
        rules.incident_kinds_undeclared,
    ),
    Check(
        "unused-requirement",
        "warning",
        "a requirement that no gate asks for is a promise that nothing keeps",
        f"{_SAFER}, key indicators paired with controls",
        rules.unused_requirement,
    ),
    Check(
        "unused-assumption",
        "note",
        "an assumption that nothing rests on guards nothing",
        f"{_RULE}, rule 15",
        rules.unused_assumption,
    ),
    Check(
        "unused-measure",
        "note",
        "a measure without a line on it changes no decision",
        f"{_METR}, limits",
        rules.unused_measure,
    ),
    Check(
        "unused-role",
        "note",
        "a role with no part in anything is usually a line that was forgotten",
        f"{_SAFER}, responsibilities",
        rules.unused_role,
    ),
)
