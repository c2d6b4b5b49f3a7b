"""Every question that a program asks of a policy, once: what it counts, and what it cannot see.

Words count in part at the most; what is met is met by parts of the language that mean one thing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from interlock.policy._score import governing, protecting, stopping, trying
from interlock.policy._score.answer import Answer, Question, both

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.policy._score.asked import Asked


def every(*asks: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Several questions at once."""
    return lambda asked: both(*(ask(asked) for ask in asks))


def gate(*actions: str) -> Callable[[Asked], Answer]:
    """Whether all of these actions are gated."""
    return every(*(partial(stopping.gated, action=action) for action in actions))


# -- stopping

SCALE = Question(
    counts="binding cells at `scale`; in part where each bites only in a named case, or only a report is asked for",
    unseen="whether anybody trains outside the gate",
    write="gates: {scale: {autonomy: [security]}}",
    asks=gate("scale"),
)
DEPLOYMENT = Question(
    counts="binding cells at `deploy-internal` and at `deploy-api`",
    unseen="whether what is deployed already is taken back in time",
    write="gates: {deploy-internal: {bio: [misuse]}, deploy-api: {bio: [misuse]}}",
    asks=gate("deploy-internal", "deploy-api"),
)
ALL_ACTIONS = Question(
    counts="binding cells at all four standard actions",
    unseen="whether the rules are followed: the ledger tells",
    write="gates: {deploy-internal: {autonomy: [security]}}",
    asks=gate("scale", "deploy-internal", "deploy-api", "release-weights"),
)
STOP = Question(
    counts="thresholds at `scale` that measures of kind capability show to be reached; in part where somebody judges",
    unseen="whether the level is where the danger begins",
    write="thresholds: {autonomy: {reached_when: replication >= 0.5}}",
    asks=stopping.stop_condition,
)
RESUME = Question(
    counts="cells at `scale` without a hole or `never` that ask for more than an approval, and can be met; in part "
    "where an approval alone would do, the policy must define a next level first, or nothing ends a stop",
    unseen="whether what ends the pause makes the model safe",
    write="requirements: {security: {attested: an audit, by: auditor, about: developer, fresh_for: 1 year}}",
    asks=stopping.resume_condition,
)
RESPONSE = Question(
    counts="binding `on_hold` entries that stop or lock something, for each threshold at `scale`",
    unseen="whether anybody is prepared to do it",
    write="on_hold: {autonomy: [{do: pause-training}]}",
    asks=stopping.response,
)
PROCESSES = Question(
    counts="binding cells at `scale` and `deploy-api`, and `on_hold` entries that stop or lock something for each "
    "threshold at `scale`",
    unseen="whether the processes are followed: the ledger tells",
    write="on_hold: {autonomy: [{do: pause-training}]}",
    asks=every(gate("scale", "deploy-api"), stopping.response),
)
HOLE = Question(
    counts="cells with `takeover_potential` that list a hole, `never` or understanding; in part where not every gate "
    "has one, or holes and undefined levels stand elsewhere only",
    unseen="whether the hole is where the danger is",
    write="requirements: {understanding: {hole: what would show it, owner: board, review: 2027-06-01}}",
    asks=stopping.explicit_hole,
)
LAST_GATE = Question(
    counts="cells at `scale` with `takeover_potential` that wait for a hole or understanding, and that no exception "
    "goes round",
    unseen="whether understanding, once measured, is understanding",
    write="gates: {scale: {takeover: [understanding]}}",
    asks=stopping.last_gate,
)
UNDERSTANDING = Question(
    counts="cells with `takeover_potential` that wait for a measure of understanding; for a hole in part",
    unseen="whether understanding, once measured, is understanding",
    write="requirements: {understood: {measured: insight >= 0.9, elicitation: [understanding-based]}}",
    asks=stopping.understood,
)
OPEN_WEIGHTS = Question(
    counts="each line of `deploy-api` against those of `release-weights`; in part where one is the same, or cannot be "
    "compared",
    unseen="how much lower the line should be",
    write="gates: {release-weights: {autonomy-open: [never]}}",
    asks=stopping.open_weights,
)

# -- trying

FINE_TUNED_AT_SCALE = Question(
    counts="measured thresholds at `scale` that demand `fine-tuned` or `rl-fine-tuned`; an attested requirement named "
    "`elicitation` that speaks of it in part",
    unseen="whether the fine-tuning was done well",
    write="thresholds: {autonomy: {rule_out: {elicitation: [few-shot, fine-tuned]}}}",
    asks=trying.fine_tuned("scale"),
)
FINE_TUNED = Question(
    counts="measured thresholds at gates that demand `fine-tuned` or `rl-fine-tuned`; an attested requirement named "
    "`elicitation` that speaks of it in part",
    unseen="whether nothing more could have been brought out",
    write="thresholds: {autonomy: {rule_out: {elicitation: [few-shot, fine-tuned]}}}",
    asks=trying.fine_tuned(),
)
SANDBAGGING = Question(
    counts="assumptions of capability evaluations that are `checked`, or stated by a role independent of those who run "
    "them; an attested requirement that speaks of sandbagging in part",
    unseen="whether the statement or the check is right",
    write="assumptions: {no-gradient-hacking: {stated_by: external-auditor, fresh_for: 6 months}}",
    asks=trying.sandbagging,
)
AUDITORS = Question(
    counts="roles independent of those who run evaluations that run, state, judge or attest something; in part where "
    "nothing is measured",
    unseen="whether they are independent, and able, and heard",
    write="roles: {external-auditor: {keys: [auditor.pub], quorum: 1, independent_of: [evaluation-team]}}",
    asks=trying.auditors,
)
SEPARATE = Question(
    counts="roles that run evaluations and neither approve nor sign what follows from them",
    unseen="whether the roles have what they need, and dare to say no",
    write="permits: {issued_by: gatekeeper}",
    asks=trying.separate,
)
LEVELS = Question(
    counts="thresholds at gates that a measured capability shows to be reached, or that somebody judges",
    unseen="whether they are the right ones",
    write="thresholds: {bio: {judged_by: board, on: [capability-report]}}",
    asks=trying.levels,
)
LEVELS_CONSULTED = Question(
    counts="thresholds on capabilities at gates, and somebody who is `consulted` on amendments",
    unseen="whether the risk under a threshold is tolerable",
    write="amendments: {approved_by: board, consulted: [trust]}",
    asks=every(trying.levels, governing.consulted),
)
MEASURED_LEVELS = Question(
    counts="thresholds on capabilities that are levels of a measure; in part where somebody judges others",
    unseen="whether the measure tells of the risk",
    write="thresholds: {autonomy: {reached_when: replication >= 0.5}}",
    asks=trying.indicators,
)
BUFFER = Question(
    counts="measured thresholds with a buffer that covers more than the refresh; an attested requirement named "
    "`buffer` or `headroom` in part",
    unseen="whether the margin is as large as what training adds",
    write="thresholds: {autonomy: {rule_out: {buffer: {effective_compute: 6x, margin: 0.1, source: a study}}}}",
    asks=trying.buffers,
)
FREQUENCY = Question(
    counts="for each threshold a `refresh` with both a multiple of compute and a period; in part with one of them",
    unseen="whether that is often enough, and what is measured is what is dangerous",
    write="refresh: {effective_compute: 4x, period: 3 months}",
    asks=trying.frequency,
)
LIFECYCLE = Question(
    counts="binding cells at `scale` and `deploy-api`, and a `refresh` with a multiple of compute and a period",
    unseen="whether the assessments are any good",
    write="refresh: {effective_compute: 4x, period: 3 months}",
    asks=every(gate("scale", "deploy-api"), trying.frequency),
)
TIMING = Question(
    counts="cells at deployments; a bounded `refresh` at `scale`; a bounded period at deployments",
    unseen="whether they are done in time: the ledger tells",
    write="refresh: {effective_compute: 4x, period: 3 months}",
    asks=trying.throughout,
)
ASSUMPTIONS = Question(
    counts="assumptions that evaluations rest on; in part without a level of capability that ends them",
    unseen="whether these are all",
    write="assumptions: {no-gradient-hacking: {stated_by: auditor, fresh_for: 6 months, void_at: [takeover]}}",
    asks=trying.assumed,
)

# -- protecting

SECURITY = Question(
    counts="requirements about the developer with a `standard` that says whom it stops, or what it maps to; in part "
    "without",
    unseen="whether the security holds",
    write="standards: {sl-3: {title: Security level 3, maps_to: [RAND SL3]}}",
    asks=protecting.weight_security,
)
MITIGATIONS = Question(
    counts="requirements at deployments only that are measured on a deployment, or name a `standard`; "
    "others that are attested of a model or a deployment in part",
    unseen="whether they stop misuse",
    write="requirements: {misuse: {measured: jailbreaks <= 0.01}}",
    asks=protecting.mitigations,
)
PROTECTIONS = Question(
    counts="requirements about the developer with a `standard` that says whom it stops, and requirements at "
    "deployments only that are measured on a deployment, or name a `standard`",
    unseen="whether the protections hold, and are enough",
    write="standards: {sl-3: {title: Security level 3, stops: [criminals]}}",
    asks=every(protecting.weight_security, protecting.mitigations),
)
CONTAINED = Question(
    counts="cells at `scale` without a hole or `never` that ask for something of the developer",
    unseen="whether the measures are precise",
    write="gates: {scale: {autonomy: [security]}}",
    asks=protecting.contained,
)
PROVEN_AT_SCALE = Question(
    counts="a safety case at `scale`; in part without a residual `doubt`",
    unseen="whether the argument holds",
    write="requirements: {case: {all_of: [security], claim: theft is rare, argument: depth, doubt: insiders}}",
    asks=protecting.proven("scale"),
)
VERIFIED = Question(
    counts="requirements about the developer at `scale` that a role with `independent_of` attests",
    unseen="whether the verification was thorough",
    write="roles: {external-auditor: {keys: [auditor.pub], quorum: 1, independent_of: [evaluation-team]}}",
    asks=protecting.verified,
)
SUFFICIENT = Question(
    counts="cells at `deploy-api` without a hole or `never`, with a measured safeguard or a safety case; in part where "
    "a protection is attested",
    unseen="whether the measure or the argument is right",
    write="requirements: {misuse: {measured: jailbreaks <= 0.01}}",
    asks=protecting.deployed,
)
PAIRS = Question(
    counts="cells without a hole or `never`: in part; with a safety case in each: met",
    unseen="whether the argument holds",
    write="requirements: {case: {all_of: [misuse], claim: misuse is rare, argument: defence in depth}}",
    asks=protecting.controlled,
)
WATCHED = Question(
    counts="requirements measured on deployments, again after a period; in part where they are attested again",
    unseen="whether the monitoring would see a failure",
    write="requirements: {misuse: {measured: jailbreaks <= 0.01, refresh: {effective_compute: 1x, period: 1 month}}}",
    asks=protecting.watched,
)

# -- governing

MODELS = Question(
    counts="thresholds on capabilities that name a threat model, or whose domain has one",
    unseen="whether the models are sound, and the domains all that there are",
    write="threat_models: {theft: {domain: cyber, what: automated intrusion}}",
    asks=governing.modelled,
)
TOLERANCE_IN_WORDS = Question(
    counts="threat models with a `harm`",
    unseen="whether society would tolerate it",
    write="threat_models: {theft: {domain: cyber, what: intrusion, harm: over 1bn USD}}",
    asks=governing.in_words,
)
TOLERANCE_IN_SCENARIOS = Question(
    counts="threat models with a `probability`",
    unseen="where the probability comes from",
    write="threat_models: {theft: {domain: cyber, what: intrusion, probability: 0.001}}",
    asks=governing.in_scenarios,
)
TOLERANCE_IN_NUMBERS = Question(
    counts="threat models with a `probability`, a `horizon`, and a number in their `harm`",
    unseen="where the numbers come from",
    write="threat_models: {theft: {domain: cyber, what: intrusion, harm: 1bn USD, probability: 1/10, horizon: 1 year}}",
    asks=governing.in_numbers,
)
ESCALATION = Question(
    counts="binding `on_hold` entries that tell somebody, within a time",
    unseen="whether anybody acts on it",
    write="on_hold: {autonomy: [{notify: board, within: 24 hours}]}",
    asks=governing.escalation,
)
OVERSIGHT = Question(
    counts="binding `on_hold` entries and duties that tell those who approve amendments; a report to them in part",
    unseen="whether they are a board, and ask",
    write="on_hold: {autonomy: [{notify: board, within: 24 hours}]}",
    asks=governing.oversight,
)
PUBLIC = Question(
    counts="a report whose audience is the `public`; other reports in part",
    unseen="whether the report says what matters, and how governments take part",
    write="reports: {risk-report: {title: Risk report, by: board, audience: [public]}}",
    asks=governing.public,
)
SPEAK_UP = Question(
    counts="a channel that is anonymous and leads to more than one role; another in part",
    unseen="whether anybody who speaks is protected",
    write="channels: {speak-up: {to: [board, auditor], anonymous: true}}",
    asks=governing.speak_up,
)
INCIDENTS = Question(
    counts="binding duties that an incident starts, that end by a time, and that tell or report",
    unseen="whether incidents are seen as such",
    write="duties: {told: {do: report, by: auditor, starts: {incident: [theft]}, within: 15 days, notify: [board]}}",
    asks=governing.incidents_shared,
)
ACCOUNTABLE = Question(
    counts="independent roles in the evidence, and amendments with `notice` and `changelog`",
    unseen="whether anybody is heard",
    write="amendments: {approved_by: board, notice: 30 days, changelog: required}",
    asks=every(trying.auditors, governing.notice, governing.changelog),
)
ANSWERABLE = Question(
    counts="independent roles in the evidence, `on_hold` entries that tell somebody within a time, and a channel that "
    "is anonymous and leads to more than one role",
    unseen="whether anybody acts on what they are told",
    write="channels: {speak-up: {to: [board, auditor], anonymous: true}}",
    asks=every(trying.auditors, governing.escalation, governing.speak_up),
)
UPDATES = Question(
    counts="amendments with `notice` and `changelog`",
    unseen="whether updates keep up with what is learnt",
    write="amendments: {approved_by: board, notice: 30 days, changelog: required}",
    asks=every(governing.notice, governing.changelog),
)
