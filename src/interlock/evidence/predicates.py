"""The predicates that Interlock signs, and their strict reading.

Each kind is an in-toto predicate of type `urn:interlock:<kind>:v<version>`. Quantities that may pass 2^53 (FLOP) travel
as decimal strings. An unknown field, a missing one, or one of the wrong type is an `EvidenceError`: what a reader does
not understand must not be dropped in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from interlock.decide import facts as told
from interlock.decide.decision import timestamp
from interlock.decide.facts import Protocol, Step
from interlock.errors import EvidenceError
from interlock.evidence import canonical
from interlock.evidence.statement import Statement
from interlock.policy import exact
from interlock.subject.deployment import Deployment
from interlock.subject.lineage import STEPS
from interlock.subject.manifest import SERIALIZATION, Manifest
from interlock.subject.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KINDS = (
    *("policy", "subject", "deployment", "plan", "result", "attestation", "decision", "permit", "snapshot"),
    *("withdrawal", "set-aside", "assumption-check", "judgement", "approval", "forecast", "incident", "amendment"),
    *("audit", "duty", "duty-overdue", "revocation", "permit-spent"),
)
_VERSIONS = {
    "subject": 2,
    "plan": 2,
    "result": 4,
    "assumption-check": 4,
    "decision": 5,
    "permit": 2,
    "snapshot": 4,
    "duty": 2,
}  # of all others it is 1

#: What a log that does not say so is said to have, be, or name.
UNKNOWN = told.UNKNOWN
#: Of so many samples the exact bounds of a result take a few tenths of a second. They take the longer the more there
#: are, and who is waiting for them would not be told of what is adverse in the meantime.
MOST_SAMPLES = 1_000_000
#: More model organisms than anybody has made.
MOST_ORGANISMS = 100_000

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,39}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_EXACT = re.compile(r"(0|[1-9][0-9]{0,39})(\.[0-9]{0,39}[1-9])?|[1-9][0-9]{0,39}/[1-9][0-9]{0,39}")


def predicate_type(kind: str) -> str:
    """The predicate type of one of `KINDS`."""
    return f"urn:interlock:{kind}:v{_VERSIONS.get(kind, 1)}"


def statement(kind: str, *, name: str, digest: str, predicate: Mapping[str, Any]) -> Statement:
    """A statement of one of `KINDS` about the thing `name` with SHA-256 `digest`."""
    return Statement(predicate_type(kind), ((name, digest),), predicate)


class Fields:
    """Reads the members of one JSON object, each exactly once; `done` refuses what is left over.

    Raises:
        EvidenceError: from every method, naming the entry, the member, what it got and what it expected.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise EvidenceError(f"{where}: expected an object, got {type(value).__name__}")
        self._left = dict(value)
        self._where = where

    def has(self, name: str) -> bool:
        """Whether the member `name` is there and not yet read."""
        return name in self._left

    def take(self, name: str) -> object:
        """The raw member `name`."""
        if name not in self._left:
            raise EvidenceError(f"{self._where}: `{name}` is missing")
        return self._left.pop(name)

    def text(self, name: str) -> str:
        """A non-empty string of at most 4096 characters."""
        value = self.take(name)
        if not isinstance(value, str) or not 0 < len(value) <= 4096:
            raise self._bad(name, value, "a non-empty string")
        return value

    def name(self, name: str) -> str:
        """What people call a thing: as `text`, and printable, since two names must not differ by what nobody sees."""
        value = self.text(name)
        if not value.isprintable():
            raise self._bad(name, value, "printable text")
        return value

    def prose(self, name: str) -> str:
        """A non-empty string, as long as a policy may have written it."""
        value = self.take(name)
        if not isinstance(value, str) or not value:
            raise self._bad(name, value, "a non-empty string")
        return value

    def digest(self, name: str) -> str:
        """A SHA-256 in lowercase hex."""
        value = self.take(name)
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise self._bad(name, value, "a SHA-256 in lowercase hex")
        return value

    def digest_or_unknown(self, name: str) -> str:
        """A SHA-256 in lowercase hex, or `unknown`."""
        return self.text(name) if self._left.get(name) == UNKNOWN else self.digest(name)

    def digest_or_none(self, name: str) -> str | None:
        """A SHA-256 in lowercase hex, or null."""
        if self._left.get(name, "") is None:
            return self.take(name)  # type: ignore[return-value]  # None, as just seen
        return self.digest(name)

    def count(self, name: str) -> int:
        """An integer of zero or more, below 2^53."""
        value = self.take(name)
        if type(value) is not int or not 0 <= value < 2**53:
            raise self._bad(name, value, "an integer of zero or more")
        return value

    def samples(self, name: str) -> int:
        """A number of samples, or of families of them, that was planned: zero or more, at most `MOST_SAMPLES`."""
        value = self.count(name)
        if value > MOST_SAMPLES:
            raise self._bad(name, value, f"at most {MOST_SAMPLES} samples, of which exact bounds can be had in time")
        return value

    def several(self, name: str) -> int:
        """An integer of two or more, below 2^53: one is told by leaving the member out."""
        value = self.count(name)
        if value < 2:
            raise self._bad(name, value, "an integer of two or more")
        return value

    def count_or_unknown(self, name: str) -> int | None:
        """An integer of zero or more, below 2^53; None where it is `unknown`."""
        if self._left.get(name) == UNKNOWN:
            self.take(name)
            return None
        return self.count(name)

    def flop(self, name: str) -> int:
        """A whole number of FLOP in decimal digits."""
        value = self.take(name)
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            raise self._bad(name, value, "a whole number in decimal digits, as a string")
        return int(value)

    def time(self, name: str) -> datetime:
        """A moment in UTC with whole seconds."""
        value = self.take(name)
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise self._bad(name, value, "a time such as 2026-12-01T00:00:00Z")
        try:
            return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise self._bad(name, value, "a time that exists") from error

    def time_or_none(self, name: str) -> datetime | None:
        """A moment in UTC with whole seconds, or null."""
        return self.take(name) if self._left.get(name, "") is None else self.time(name)  # type: ignore[return-value]

    def exact(self, name: str, *, least: int) -> Fraction:
        """An exact number in its one text: a decimal where there is a finite one, else a fraction in lowest terms."""
        value = self.take(name)
        found = _fraction(value) if isinstance(value, str) and _EXACT.fullmatch(value) else None
        if found is None or exact(found) != value or found < least:
            raise self._bad(name, value, f"a number of at least {least} such as 0.05 or 1/3, as a string")
        return found

    def truth(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise self._bad(name, value, "true or false")
        return value

    def digests(self, name: str) -> tuple[str, ...]:
        """A list of SHA-256 in lowercase hex, each once."""
        return self._each(name, lambda item: bool(_DIGEST.fullmatch(item)), "SHA-256 in lowercase hex")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of non-empty strings of at most 4096 characters, each once."""
        return self._each(name, lambda item: 0 < len(item) <= 4096, "non-empty strings")

    def _each(self, name: str, fits: Callable[[str], bool], what: str) -> tuple[str, ...]:
        value = self.take(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and fits(item) for item in value):
            raise self._bad(name, value, f"a list of {what}")
        if len(set(value)) < len(value):
            raise self._bad(name, value, f"a list of {what}, each once")
        return tuple(value)

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """One of a closed set of strings."""
        value = self.take(name)
        if not isinstance(value, str) or value not in choices:
            raise self._bad(name, value, f"one of {', '.join(choices)}")
        return value

    def items(self, name: str) -> list[Fields]:
        """A list of objects."""
        value = self.take(name)
        if not isinstance(value, list):
            raise self._bad(name, value, "a list")
        return [Fields(item, f"{self._where}, {name}[{index}]") for index, item in enumerate(value)]

    def nested(self, name: str) -> Fields:
        """A nested object."""
        return Fields(self.take(name), f"{self._where}, {name}")

    def free(self, name: str) -> dict[str, Any]:
        """An object with any members."""
        value = self.take(name)
        if not isinstance(value, dict):
            raise self._bad(name, value, "an object")
        return value

    def done(self) -> None:
        """Refuse members that nobody read."""
        if self._left:
            raise EvidenceError(f"{self._where}: unknown member `{min(self._left)}`")

    def _bad(self, name: str, value: object, expected: str) -> EvidenceError:
        return EvidenceError(f"{self._where}: `{name}` is `{str(value)[:80]}`, expected {expected}")


def or_unknown(number: int | None) -> int | str:
    """A number that `count_or_unknown` reads."""
    return UNKNOWN if number is None else number


def _fraction(text: str) -> Fraction:
    above, _, below = text.partition("/")
    return Fraction(int(above), int(below)) if below else Fraction(text)


@dataclass(frozen=True, slots=True)
class ComputeSource:
    """Where a subject's figures of compute come from, in words; with a file that they were read from, its SHA-256."""

    said: str
    file: str | None = None

    def to_json(self) -> dict[str, str]:
        """The members of the statement."""
        return {"said": self.said} | ({"file_sha256": self.file} if self.file else {})

    @classmethod
    def from_fields(cls, fields: Fields) -> ComputeSource:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected.
        """
        read = cls(fields.text("said"), fields.digest("file_sha256") if fields.has("file_sha256") else None)
        fields.done()
        return read


@dataclass(frozen=True, slots=True)
class SubjectPredicate:
    """A subject's name, what it is, compute in FLOP and lineage. A run without weights yet has neither of the two last.

    `identity` is what its digest is of. The digest that model-signing tools give the same files stands beside it.
    `source` is for those who check the compute: it decides nothing.
    """

    name: str
    identity: Manifest | Run
    training_compute: int
    ec_low: int
    ec_high: int
    steps: tuple[Step, ...]
    source: ComputeSource | None = None

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON."""
        source = {"compute_source": self.source.to_json()} if self.source else {}
        return {
            "name": self.name,
            **source,
            **_identity_to_json(self.identity),
            "training_compute": str(self.training_compute),
            "effective_compute": {"low": str(self.ec_low), "high": str(self.ec_high)},
            "steps": [{"parent": s.parent, "kind": s.kind, "compute": str(s.compute)} for s in self.steps],
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> SubjectPredicate:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected, a manifest that is not one, or an interval whose low end is above its
                high end.
        """
        fields = Fields(value, where)
        interval = fields.nested("effective_compute")
        read = cls(
            name=fields.name("name"),
            identity=_identity(fields, where),
            training_compute=fields.flop("training_compute"),
            ec_low=interval.flop("low"),
            ec_high=interval.flop("high"),
            steps=tuple(_step(item) for item in fields.items("steps")),
            source=ComputeSource.from_fields(fields.nested("compute_source")) if fields.has("compute_source") else None,
        )
        interval.done()
        fields.done()
        if not 0 < read.ec_low <= read.ec_high:
            raise EvidenceError(f"{where}: effective compute {read.ec_low} to {read.ec_high} is not an interval")
        if isinstance(read.identity, Run) and read.steps:
            raise EvidenceError(f"{where}: a run from scratch is made from {len(read.steps)} subjects, expected none")
        return read


def _identity_to_json(identity: Manifest | Run) -> dict[str, Any]:
    if isinstance(identity, Run):
        return {"run": identity.to_json()}
    return {"manifest": identity.to_json(), "model_signing_sha256": identity.model_signing_digest}


def _identity(fields: Fields, where: str) -> Manifest | Run:
    if fields.has("run"):
        parts = fields.nested("run")
        run = Run(parts.digest("config_sha256"), parts.digest("data_sha256"))
        parts.done()
        return run
    manifest, claimed = _manifest(fields.nested("manifest"), where), fields.digest("model_signing_sha256")
    if claimed != manifest.model_signing_digest:
        expected = manifest.model_signing_digest
        raise EvidenceError(f"{where}: `model_signing_sha256` is {claimed[:12]}, expected {expected[:12]} by its files")
    return manifest


def _manifest(fields: Fields, where: str) -> Manifest:
    serialization = fields.take("serialization")
    if canonical.dumps(serialization) != canonical.dumps(SERIALIZATION):
        raise EvidenceError(f"{where}: `serialization` is `{str(serialization)[:120]}`, expected `{SERIALIZATION}`")
    files = tuple(_resource(item) for item in fields.items("resources"))
    fields.done()
    try:
        return Manifest(files)
    except EvidenceError as error:
        raise EvidenceError(f"{where}: {error}") from error


def _resource(fields: Fields) -> tuple[str, str]:
    fields.one_of("algorithm", ("sha256",))
    item = fields.text("name"), fields.digest("digest")
    fields.done()
    return item


def _step(fields: Fields) -> Step:
    step = Step(fields.digest("parent"), fields.one_of("kind", STEPS), fields.flop("compute"))
    fields.done()
    return step


@dataclass(frozen=True, slots=True)
class DeploymentPredicate:
    """A deployment's name, and what it consists of."""

    name: str
    offered: Deployment

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON."""
        return {"name": self.name, **self.offered.to_json()}

    @classmethod
    def from_json(cls, value: object, where: str) -> DeploymentPredicate:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected.
        """
        fields = Fields(value, where)
        name, sampling = fields.name("name"), strings(fields.take("sampling"), "sampling", where)
        offered = Deployment(
            subject=fields.digest("subject"),
            system_prompt=fields.digest_or_none("system_prompt_sha256"),
            filters=tuple(_hashed(item) for item in fields.items("filters")),
            tools=tuple(_hashed(item) for item in fields.items("tools")),
            surface=fields.text("surface"),
            access_tier=fields.text("access_tier"),
            sampling=sampling,
        )
        fields.done()
        if problem := offered.problem():
            raise EvidenceError(f"{where}: {problem}")
        return cls(name, offered)


def _hashed(fields: Fields) -> tuple[str, str]:
    item = fields.text("name"), fields.digest("sha256")
    fields.done()
    return item


def protocol_to_json(protocol: Protocol) -> dict[str, Any]:
    """What is run, as JSON; the same object stands in a plan and in its result. No `deployment`: the bare model; no
    `stopping`: all samples; no `attempts`: one a sample.
    """
    return {
        **({"deployment": protocol.deployment} if protocol.deployment else {}),
        **(
            {"stopping": {"kind": protocol.stopping, "order_seed": protocol.order_seed}}
            if protocol.stopping != "fixed"
            else {}
        ),
        "task": protocol.task,
        "task_version": protocol.task_version,
        "metric": protocol.metric,
        "samples": protocol.samples,
        "samples_sha256": protocol.samples_digest,
        "elicitation": {
            "kind": protocol.elicitation,
            "shots": protocol.shots,
            "demonstrations": protocol.demonstrations,
            "seed": protocol.seed,
            "recipe": protocol.recipe,
            **({"attempts": protocol.attempts} if protocol.attempts != 1 else {}),
        },
    }


def protocol_from_json(fields: Fields, elicitations: tuple[str, ...]) -> Protocol:
    """Read strictly.

    Raises:
        EvidenceError: anything unexpected.
    """
    elicitation = fields.nested("elicitation")
    protocol = Protocol(
        task=fields.name("task"),
        task_version=fields.count("task_version"),
        metric=fields.text("metric"),
        samples=fields.samples("samples"),
        samples_digest=fields.digest("samples_sha256"),
        elicitation=elicitation.one_of("kind", elicitations),
        shots=elicitation.count("shots"),
        demonstrations=elicitation.count("demonstrations"),
        seed=elicitation.count("seed"),
        deployment=fields.digest("deployment") if fields.has("deployment") else None,
        recipe=elicitation.digest_or_unknown("recipe"),
        stopping="e-process" if fields.has("stopping") else "fixed",
        order_seed=_order(fields.nested("stopping")) if fields.has("stopping") else None,
        attempts=elicitation.several("attempts") if elicitation.has("attempts") else 1,
    )
    elicitation.done()
    fields.done()
    return protocol


def _order(fields: Fields) -> int:
    """The seed of the order of samples under an e-process, the one rule that may end a run before its last sample."""
    fields.one_of("kind", ("e-process",))
    seed = fields.count("order_seed")
    fields.done()
    return seed


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a run under an e-process ended: after so many samples of its order; and its looks, each as (samples so far,
    dangerous ones among them).
    """

    at: int
    looks: tuple[tuple[int, int], ...]

    def to_json(self) -> dict[str, Any]:
        """The member of a result as JSON."""
        return {"stopped_at": self.at, "looks": [{"n": n, "dangerous": k} for n, k in self.looks]}

    @classmethod
    def read(cls, fields: Fields, where: str) -> Stopped:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected, or looks that do not grow up to where it ended.
        """
        at, looks = fields.count("stopped_at"), []
        for item in fields.items("looks"):
            looks.append((item.count("n"), item.count("dangerous")))
            item.done()
        fields.done()
        steps = list(pairwise([(0, 0), *looks]))
        grow = all(0 <= k - before_k <= n - before_n and n > before_n for (before_n, before_k), (n, k) in steps)
        if not grow or (looks[-1][0] if looks else 0) != at:
            got = ", ".join(f"{k} of {n}" for n, k in looks[-3:]) or "none"
            raise EvidenceError(f"{where}: looks must grow up to {at} samples, got {got} as the last ones")
        return cls(at, tuple(looks))


@dataclass(frozen=True, slots=True)
class ResultPredicate:
    """What one run gave. `plan` and `log` are SHA-256; `tokens` and `flop` are what the elicitation spent. `stopped` is
    there exactly where the protocol's stopping rule is an e-process; the counts are then over the samples up to there.

    Of the scores, `refused_scores` are known to be of samples that the model refused; of all samples, it refused at
    most `refused_at_most`; `errored` failed, `limited` were cut by a limit. One may be several of these, and scored.
    """

    plan: str
    protocol: Protocol
    log: str
    log_name: str
    outcomes: str
    completed: int
    scored: int
    correct: int
    refused_scores: int
    refused_at_most: int
    errored: int
    limited: int
    tokens: int
    flop: int
    environment: Mapping[str, str]
    stopped: Stopped | None = None

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The files that the workspace must hold, as (name, SHA-256)."""
        return ((self.log_name, self.log),)

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON."""
        return {
            "plan": self.plan,
            "protocol": protocol_to_json(self.protocol),
            "log": {"name": self.log_name, "sha256": self.log, "outcomes_sha256": self.outcomes},
            "counts": {
                "planned": self.protocol.samples,
                "completed": self.completed,
                "scored": self.scored,
                "correct": self.correct,
                "refused_scores": self.refused_scores,
                "refused_at_most": self.refused_at_most,
                "errored": self.errored,
                "limited": self.limited,
            },
            "budget": {"tokens": self.tokens, "flop": str(self.flop)},
            "environment": dict(self.environment),
            **({"stopped": self.stopped.to_json()} if self.stopped else {}),
        }

    @classmethod
    def from_json(cls, value: object, where: str, elicitations: tuple[str, ...]) -> ResultPredicate:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected, or counts that cannot be: correct <= scored <= completed <= planned,
                and none above planned.
        """
        fields = Fields(value, where)
        log, counts, budget = fields.nested("log"), fields.nested("counts"), fields.nested("budget")
        planned = counts.samples("planned")
        read = cls(
            plan=fields.digest("plan"),
            protocol=protocol_from_json(fields.nested("protocol"), elicitations),
            log=log.digest("sha256"),
            log_name=log.text("name"),
            outcomes=log.digest("outcomes_sha256"),
            completed=counts.count("completed"),
            scored=counts.count("scored"),
            correct=counts.count("correct"),
            refused_scores=counts.count("refused_scores"),
            refused_at_most=counts.count("refused_at_most"),
            errored=counts.count("errored"),
            limited=counts.count("limited"),
            tokens=budget.count("tokens"),
            flop=budget.flop("flop"),
            environment=strings(fields.take("environment"), "environment", where),
            stopped=Stopped.read(fields.nested("stopped"), where) if fields.has("stopped") else None,
        )
        for part in (log, counts, budget, fields):
            part.done()
        if (read.stopped is not None) is not (read.protocol.stopping == "e-process"):
            got = f"{'with' if read.stopped else 'without'} `stopped`"
            raise EvidenceError(f"{where}: expected `stopped` exactly under an e-process, got {got}")
        asked = planned if read.stopped is None else read.stopped.at
        grows = read.correct <= read.scored <= read.completed <= asked <= planned
        if planned != read.protocol.samples or not grows:
            got = f"correct {read.correct}, scored {read.scored}, completed {read.completed}, asked {asked}"
            raise EvidenceError(f"{where}: counts must grow from correct to planned, got {got}, planned {planned}")
        if read.completed + read.errored > asked or read.limited > asked:
            got = f"completed {read.completed}, errored {read.errored}, limited {read.limited}"
            raise EvidenceError(f"{where}: {asked} samples were {'asked' if read.stopped else 'planned'}, got {got}")
        check_refused(read.refused_scores, read.scored, read.refused_at_most, asked, where)
        return read


def check_refused(scores: int, scored: int, most: int, planned: int, where: str) -> None:
    """Check that so many samples can have been refused.

    Raises:
        EvidenceError: they cannot.
    """
    if not (scores <= scored and scores <= most <= planned):
        got = f"refused_scores {scores}, refused_at_most {most}, scored {scored}, planned {planned}"
        raise EvidenceError(f"{where}: expected refused_scores <= scored, and <= refused_at_most <= planned, got {got}")


def strings(value: object, name: str, where: str) -> dict[str, str]:
    """The member `name`, a map from names to strings.

    Raises:
        EvidenceError: it is something else.
    """
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise EvidenceError(f"{where}: `{name}` must map names to strings")
    return dict(value)


@dataclass(frozen=True, slots=True)
class PermitPredicate:
    """A bounded lease: the action, the decision that it rests on, the most effective compute in FLOP, when it ends.

    `lineage` are all ancestors of the subject that the decision saw; `policies` the digests of the versions that were
    in force then; both sorted. `single_use`: one use spends it. `narrows` is the digest of the wider permit whose
    place it takes. `deployment` is the digest of the one that it was decided for, and it opens no other; None: the bare
    model.
    """

    action: str
    decision: str
    policies: tuple[str, ...]
    lineage: tuple[str, ...]
    start_compute: int
    most_compute: int
    not_before: datetime
    not_after: datetime
    single_use: bool
    narrows: str | None = None
    deployment: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON."""
        return {
            **({"deployment": self.deployment} if self.deployment else {}),
            "action": self.action,
            "decision": self.decision,
            "policies": list(self.policies),
            "lineage": list(self.lineage),
            "effective_compute": {"start": str(self.start_compute), "most": str(self.most_compute)},
            "not_before": timestamp(self.not_before),
            "not_after": timestamp(self.not_after),
            "single_use": self.single_use,
            "narrows": self.narrows,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> PermitPredicate:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected, or no policy.
        """
        fields = Fields(value, where)
        compute = fields.nested("effective_compute")
        read = cls(
            action=fields.text("action"),
            decision=fields.digest("decision"),
            policies=fields.digests("policies"),
            lineage=fields.digests("lineage"),
            start_compute=compute.flop("start"),
            most_compute=compute.flop("most"),
            not_before=fields.time("not_before"),
            not_after=fields.time("not_after"),
            single_use=fields.truth("single_use"),
            narrows=fields.digest_or_none("narrows"),
            deployment=fields.digest("deployment") if fields.has("deployment") else None,
        )
        compute.done()
        fields.done()
        for name, digests in (("policies", read.policies), ("lineage", read.lineage)):
            if list(digests) != sorted(digests):
                raise EvidenceError(f"{where}: `{name}` are not in order, expected them sorted")
        if not read.policies:
            raise EvidenceError(f"{where}: got no policies, expected the one under which it was decided")
        return read

    def widens(self, wider: PermitPredicate) -> str | None:
        """What in this permit is not as in a wider one, or goes beyond it; None: it only narrows it."""
        same = ("action", "deployment", "decision", "policies", "lineage", "start_compute")
        other = next((name for name in same if getattr(self, name) != getattr(wider, name)), None)
        if other is not None:
            return f"another `{other}`"
        if not self.start_compute <= self.most_compute <= wider.most_compute:
            return f"{self.most_compute} FLOP, expected {self.start_compute} to {wider.most_compute}"
        if self.not_before < wider.not_before:
            return f"a start at {timestamp(self.not_before)}, expected {timestamp(wider.not_before)} or later"
        if self.not_after > wider.not_after:
            return f"an end at {timestamp(self.not_after)}, expected {timestamp(wider.not_after)} or earlier"
        if wider.single_use and not self.single_use:
            return "more than a single use"
        return None


_CONTINUED = "continued"


@dataclass(frozen=True, slots=True)
class SnapshotPredicate:
    """A model's saved state under a permit, `continued` from its parent: its files, the FLOP of training since the
    parent, the effective compute that they come to by then, whether the run has ended, and the head of its transcript.
    """

    files: Manifest
    permit: str
    parent: str
    step: int
    flop: int
    compute: int
    ended: str | None
    transcript: str

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON."""
        return {
            "manifest": self.files.to_json(),
            "permit": self.permit,
            "parent": self.parent,
            "step": _CONTINUED,
            "optimizer_step": self.step,
            "flop": str(self.flop),
            "effective_compute": str(self.compute),
            "ended": self.ended or "no",
            "transcript": self.transcript,
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> SnapshotPredicate:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected.
        """
        fields = Fields(value, where)
        made = fields.text("step")
        if made != _CONTINUED:
            raise EvidenceError(f"{where}: a snapshot's step is `{made}`, expected `{_CONTINUED}`")
        ended = fields.text("ended")
        read = cls(
            files=_manifest(fields.nested("manifest"), where),
            permit=fields.digest("permit"),
            parent=fields.digest("parent"),
            step=fields.count("optimizer_step"),
            flop=fields.flop("flop"),
            compute=fields.flop("effective_compute"),
            ended=None if ended == "no" else ended,
            transcript=fields.digest("transcript"),
        )
        fields.done()
        return read
