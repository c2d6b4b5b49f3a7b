"""The JSON schema of each kind of statement, draft 2020-12, for tools that are not this one.

What a schema refuses, the reader refuses too; the tests hold the two to each other, member by member. What lies between
members (counts that grow, intervals, what an earlier entry must say) is found by the reader only.
"""

from __future__ import annotations

from typing import Any

from interlock.evidence import imported, predicates, testimony
from interlock.evidence.statement import STATEMENT_TYPE
from interlock.policy.model import ELICITATIONS
from interlock.subject import deployment
from interlock.subject.lineage import STEPS
from interlock.subject.manifest import SERIALIZATION

__all__ = ["schema"]

Schema = dict[str, Any]


def schema(kind: str) -> Schema:
    """The schema of a whole statement of one of `predicates.KINDS`.

    Raises:
        KeyError: there is no such kind.
    """
    predicate, definitions = _of(kind)
    subject = _object(name={"type": "string", "minLength": 1}, digest=_object(sha256=_DIGEST))
    made = _object(
        _type={"const": STATEMENT_TYPE},
        predicateType={"const": predicates.predicate_type(kind)},
        subject={"type": "array", "items": subject, "minItems": 1, "maxItems": 1},
        predicate=predicate,
    )
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{predicates.predicate_type(kind)}:schema",
        "title": f"Interlock statement: {kind}",
    }
    return {**head, **made, **({"$defs": definitions} if definitions else {})}


def _of(kind: str) -> tuple[Schema, Schema]:
    """The schema of a predicate, and the definitions that it refers to."""
    if kind == "policy":
        from interlock.policy import compiled_schema

        return compiled_schema.schema()
    if kind == "amendment":
        from interlock.policy import compiled_schema

        policy, definitions = compiled_schema.schema()
        return {"anyOf": [_object(policy=policy, supersedes=_DIGEST, changes=_TEXT, at=_TIME), _OPENING]}, definitions
    return _PREDICATES[kind], (_DECISION_PARTS if kind == "decision" else {})


def _object(**members: Schema) -> Schema:
    """An object with exactly these members."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def _and_maybe(made: Schema, **members: Schema) -> Schema:
    """An object that may have these members too."""
    return {**made, "properties": {**made["properties"], **members}}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _once(item: Schema) -> Schema:
    """A list of items, each once."""
    return {**_list(item), "uniqueItems": True}


def _or_null(value: Schema) -> Schema:
    return {"anyOf": [value, {"type": "null"}]}


def _matching(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^({pattern})$"}


_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 4096}
_PROSE: Schema = {"type": "string", "minLength": 1}
_ANY_TEXT: Schema = {"type": "string"}
_TRUTH: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_DIGEST = _matching(predicates._DIGEST.pattern)
_SAMPLES: Schema = {**_COUNT, "maximum": predicates.MOST_SAMPLES}
_ORGANISMS: Schema = {**_COUNT, "maximum": predicates.MOST_ORGANISMS}
_FLOP = _matching(predicates._NUMBER.pattern)
_TIME = _matching(predicates._TIME.pattern)
_EXACT = _matching(predicates._EXACT.pattern)

_PROTOCOL = _and_maybe(
    _object(
        task=_TEXT,
        task_version=_COUNT,
        metric=_TEXT,
        samples=_SAMPLES,
        samples_sha256=_DIGEST,
        elicitation=_and_maybe(
            _object(
                kind={"enum": list(ELICITATIONS)},
                shots=_COUNT,
                demonstrations=_COUNT,
                seed=_COUNT,
                recipe={"anyOf": [_DIGEST, {"const": predicates.UNKNOWN}]},
            ),
            attempts={**_COUNT, "minimum": 2},
        ),
    ),
    deployment=_DIGEST,
    stopping=_object(kind={"const": "e-process"}, order_seed=_COUNT),
)

_MANIFEST = _object(
    serialization={"const": SERIALIZATION},
    resources={**_list(_object(name=_TEXT, algorithm={"const": "sha256"}, digest=_DIGEST)), "minItems": 1},
)
_COMPUTE = {"training_compute": _FLOP, "effective_compute": _object(low=_FLOP, high=_FLOP)}
_SOURCE = _and_maybe(_object(said=_TEXT), file_sha256=_DIGEST)
_STEP = _object(parent=_DIGEST, kind={"enum": list(STEPS)}, compute=_FLOP)
_HASHED = _list(_object(name=_TEXT, sha256=_DIGEST))
_SAMPLING: Schema = {
    "type": "object",
    "propertyNames": _matching(deployment._LIMIT.pattern),
    "additionalProperties": _matching(deployment._VALUE.pattern),
}

_UNSURE: Schema = {"anyOf": [_COUNT, {"const": predicates.UNKNOWN}]}
_NAMED: Schema = {"type": "object", "additionalProperties": _ANY_TEXT}

_STOPPED = _object(stopped_at=_SAMPLES, looks=_list(_object(n=_SAMPLES, dangerous=_SAMPLES)))
_RESULT = _and_maybe(
    _object(
        plan=_DIGEST,
        protocol=_PROTOCOL,
        log=_object(name=_TEXT, sha256=_DIGEST, outcomes_sha256=_DIGEST),
        counts=_object(
            planned=_SAMPLES,
            completed=_SAMPLES,
            scored=_SAMPLES,
            correct=_SAMPLES,
            refused_scores=_SAMPLES,
            refused_at_most=_SAMPLES,
            errored=_SAMPLES,
            limited=_SAMPLES,
        ),
        budget=_object(tokens=_COUNT, flop=_FLOP),
        environment=_NAMED,
    ),
    stopped=_STOPPED,
)
_IMPORTED = _object(
    imported=_object(
        kind={"enum": list(imported.KINDS)},
        run=_TEXT,
        status=_TEXT,
        edit_of={"anyOf": [_DIGEST, {"const": "none"}]},
        updates=_UNSURE,
        edited_scores=_UNSURE,
    ),
    task=_object(name=_TEXT, version=_TEXT, metric=_TEXT, scorer=_TEXT),
    log=_object(files={**_HASHED, "minItems": 1}, samples_sha256=_DIGEST, outcomes_sha256=_DIGEST),
    counts=_object(
        planned={**_SAMPLES, "minimum": 1},
        completed=_SAMPLES,
        scored=_SAMPLES,
        correct=_SAMPLES,
        refused_scores=_SAMPLES,
        refused_at_most=_SAMPLES,
        errored=_UNSURE,
        limited=_UNSURE,
    ),
    total={"anyOf": [{"const": "none"}, _matching(imported._FRACTION.pattern)]},
    model=_object(name=_TEXT, args=_NAMED, adapter=_TEXT, template=_TEXT),
    environment=_NAMED,
)

_OPENING = _object(
    exception=_TEXT,
    about={"enum": ["subject", "all"]},
    published=_matching(testimony.URL.pattern),
    statement=_TEXT,
    at=_TIME,
)

_REASON = _object(code=_TEXT, text=_TEXT, resume=_or_null(_ANY_TEXT))
_WAYS = _list(_list(_TEXT))
_VERDICT: Schema = {"enum": ["permit", "hold"]}
_NODE: Schema = {"$ref": "#/$defs/node"}

_COUNTED = _object(
    entry=_COUNT,
    elicitation=_TEXT,
    demonstrations=_COUNT,
    planned=_COUNT,
    stopped_at=_or_null(_COUNT),
    scored=_COUNT,
    correct=_COUNT,
    total=_or_null(_TEXT),
    upper=_TEXT,
    lower=_TEXT,
    recipe=_TEXT,
    admissible=_TRUTH,
    withdrawn=_TRUTH,
)

_READING = _object(
    measure=_TEXT,
    level=_TEXT,
    margin=_TEXT,
    confidence=_TEXT,
    upper=_TEXT,
    lower=_TEXT,
    method=_TEXT,
    counted=_list(_COUNTED),
    certified=_list(_object(assumption=_TEXT, recipe=_DIGEST, demonstrations=_COUNT, entry=_COUNT)),
    set_aside=_list(_object(entry=_COUNT, reason=_TEXT)),
)

_DECISION_PARTS: Schema = {
    "node": _object(
        kind=_TEXT,
        text=_TEXT,
        holds=_TRUTH,
        state=_or_null(_TEXT),
        reasons=_list(_REASON),
        need=_COUNT,
        parts=_list(_NODE),
        reading=_or_null(_READING),
        expires=_or_null(_TIME),
        reach=_or_null(_ANY_TEXT),
    )
}

_CELL = _object(
    threshold=_TEXT,
    opens=_TRUTH,
    finding=_object(state=_TEXT, overdue=_TRUTH, evaluated_until=_or_null(_TIME), reasons=_list(_REASON), tree=_NODE),
    requirements=_list(_object(name=_TEXT, kind=_TEXT, met=_TRUTH, tree=_NODE)),
    lifts=_WAYS,
)

_STARTED = _object(
    duty=_TEXT,
    what=_PROSE,
    about=_TEXT,
    when=_list(_TEXT),
    since=_TIME,
    **dict.fromkeys(("first_due", "previous_due", "opens", "next_due", "final_due"), _or_null(_TIME)),
)

_RULING = _object(
    policy=_TEXT,
    version=_TEXT,
    digest=_DIGEST,
    governs=_TRUTH,
    verdict=_VERDICT,
    reasons=_list(_REASON),
    cells=_list(_CELL),
    duties=_list(_STARTED),
)

_PREDICATES: dict[str, Schema] = {
    "subject": {
        "anyOf": [
            _and_maybe(
                _object(name=_TEXT, manifest=_MANIFEST, model_signing_sha256=_DIGEST, **_COMPUTE, steps=_list(_STEP)),
                compute_source=_SOURCE,
            ),
            _and_maybe(
                _object(
                    name=_TEXT,
                    run=_object(config_sha256=_DIGEST, data_sha256=_DIGEST),
                    **_COMPUTE,
                    steps={"type": "array", "maxItems": 0},
                ),
                compute_source=_SOURCE,
            ),
        ]
    },
    "deployment": _object(
        name=_TEXT,
        subject=_DIGEST,
        system_prompt_sha256=_or_null(_DIGEST),
        filters=_HASHED,
        tools=_HASHED,
        surface=_TEXT,
        access_tier=_TEXT,
        sampling=_SAMPLING,
    ),
    "plan": _object(protocol=_PROTOCOL, report_by=_TIME),
    "result": {"anyOf": [_RESULT, _IMPORTED]},
    "attestation": _object(
        kind={"enum": ["assumption", "requirement"]},
        name=_TEXT,
        about={"enum": list(testimony.ABOUT)},
        statement=_TEXT,
        at=_TIME,
    ),
    "withdrawal": _object(reason=_TEXT, at=_TIME),
    "set-aside": _object(reason=_TEXT, at=_TIME),
    "assumption-check": _and_maybe(
        _object(
            assumption=_TEXT,
            check=_TEXT,
            passed=_TRUTH,
            caught=_COUNT,
            organisms=_ORGANISMS,
            statement=_TEXT,
            at=_TIME,
        ),
        validity=_object(
            recipe=_DIGEST,
            demonstrations=_COUNT,
            ruled_out=_COUNT,
            honest=_ORGANISMS,
            at=_EXACT,
            least_parameters=_COUNT,
            confidence=_EXACT,
            record=_object(name=_TEXT, sha256=_DIGEST),
        ),
    ),
    "judgement": _object(
        threshold=_TEXT, verdict={"enum": list(testimony.VERDICTS)}, on=_once(_DIGEST), statement=_TEXT, at=_TIME
    ),
    "approval": _object(
        requirement=_TEXT,
        about={"enum": list(testimony.ABOUT)},
        findings={**_once(_DIGEST), "minItems": 1},
        statement=_TEXT,
        at=_TIME,
    ),
    "forecast": _object(measure=_TEXT, multiple=_EXACT, margin=_EXACT, statement=_TEXT, at=_TIME),
    "incident": {
        "anyOf": [
            _object(
                kind=_TEXT,
                about={"enum": ["subject", "all"]},
                thresholds=_once(_TEXT),
                requirements=_once(_TEXT),
                moments=_and_maybe(_object(), **dict.fromkeys(testimony.MOMENTS, _TIME)),
                resolved=_or_null(_TIME),
                statement=_TEXT,
                at=_TIME,
            ),
            _object(resolved=_TIME, statement=_TEXT, at=_TIME),
        ]
    },
    "audit": _object(
        seed=_object(size=_COUNT, root=_DIGEST),
        drawn={**_COUNT, "minimum": 1},
        agreed=_COUNT,
        disagreed=_COUNT,
        statement=_TEXT,
        at=_TIME,
    ),
    "duty": _and_maybe(
        _object(
            of=_DIGEST, duty=_TEXT, about={"enum": ["subject", "developer"]}, done=_TIME, statement=_TEXT, at=_TIME
        ),
        document=_DIGEST,
        told=_list(_object(role=_TEXT, through=_TEXT, at=_TIME)),
    ),
    "duty-overdue": _object(
        of=_DIGEST,
        duty=_TEXT,
        what=_PROSE,
        about={"enum": ["subject", "developer"]},
        due=_TIME,
        statement=_TEXT,
        at=_TIME,
    ),
    "revocation": _object(reason=_TEXT, at=_TIME),
    "permit-spent": _object(destination=_TEXT, at=_TIME),
    "decision": _object(
        verdict=_VERDICT,
        action=_TEXT,
        subject=_DIGEST,
        deployment=_or_null(_DIGEST),
        at=_TIME,
        checkpoint=_object(size=_COUNT, root=_DIGEST, time=_TIME),
        reasons=_list(_REASON),
        rulings=_list(_RULING),
        non_compliance=_list(
            _object(entry=_COUNT, of=_DIGEST, duty=_TEXT, what=_PROSE, due=_TIME, done=_or_null(_COUNT))
        ),
        resume=_WAYS,
        bounds=_or_null(_object(most_effective_compute=_FLOP, not_after=_TIME)),
    ),
    "permit": _and_maybe(
        _object(
            action=_TEXT,
            decision=_DIGEST,
            policies={**_once(_DIGEST), "minItems": 1},
            lineage=_once(_DIGEST),
            effective_compute=_object(start=_FLOP, most=_FLOP),
            not_before=_TIME,
            not_after=_TIME,
            single_use=_TRUTH,
            narrows=_or_null(_DIGEST),
        ),
        deployment=_DIGEST,
    ),
    "snapshot": _object(
        manifest=_MANIFEST,
        permit=_DIGEST,
        parent=_DIGEST,
        step={"const": "continued"},
        optimizer_step=_COUNT,
        flop=_FLOP,
        effective_compute=_FLOP,
        ended=_TEXT,
        transcript=_DIGEST,
    ),
}
