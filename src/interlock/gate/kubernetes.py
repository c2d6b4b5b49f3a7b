"""The door of a Kubernetes cluster: may this Pod be made, under the permit that it names?

A Pod names its permit, a file that lies at the gate, in the annotation `interlock/permit`; what it will load, if it
says so, in `interlock/subject`; and the deployment that it offers, if that is not the bare model, in
`interlock/deployment`. `spec.activeDeadlineSeconds` must be no more than the permit leaves. Which action it is for, the
gate says and not the Pod.

Guarantees: `answer` allows nothing that it did not verify; a Pod that runs cannot be put under another permit, nor be
given more time; one that is deleted always may be, and one that is being deleted may lose what it waits for (its
finalizers), also where it is from before the gate. What cannot be read is refused.
What it leaves to others: a Pod that waits for its node, whose deadline counts from its start; that the cluster asks
(`failurePolicy: Fail`); which weights a container loads, and what it offers them as; and what was revoked while a Pod
runs. docs/launching.md has more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, InterlockError, UsageError
from interlock.evidence import dsse
from interlock.gate import permit_file
from interlock.gate.lease import Lease
from interlock.gate.outage import UnreachableError, file_now
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from interlock.gate.trust import Trust

__all__ = ["LIMIT", "Door", "answer"]

LIMIT = 3 << 20
"""Most bytes of a review: what an API server's own limit comes to."""
PERMIT, SUBJECT, DEPLOYMENT = "interlock/permit", "interlock/subject", "interlock/deployment"
_OURS = "interlock/"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Door:
    """Where permits lie, what to believe, and the clock; `seen` keeps the latest time, so that a restart has it."""

    permits: Path
    trust: Callable[[], Trust]
    clock: Callable[[], datetime]
    seen: Path | None = None


def answer(door: Door, data: bytes, *, action: str) -> dict[str, Any]:
    """The AdmissionReview (admission.k8s.io/v1) that answers one, as it came in.

    Raises:
        EvidenceError: it is no review that can be answered: not JSON, too large, of another kind, without a uid.
    """
    review = dsse.strict_json(data, limit=LIMIT)
    request = _object(_object(review, "review").get("request"), "request")
    if (review.get("apiVersion"), review.get("kind")) != ("admission.k8s.io/v1", "AdmissionReview"):
        got = f"`{review.get('kind')}` of `{review.get('apiVersion')}`"
        raise EvidenceError(f"got {got}, expected `AdmissionReview` of `admission.k8s.io/v1`")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise EvidenceError("the request has no uid")
    try:
        _review(door, request, action)
    except InterlockError as why:
        said: dict[str, Any] = {"allowed": False, "status": {"code": 403, "message": f"interlock: hold: {why}"}}
    else:
        said = {"allowed": True}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, **said}}


def _review(door: Door, request: dict[str, Any], action: str) -> None:
    kind, operation = request.get("kind"), request.get("operation")
    if operation == "DELETE":
        return
    if kind != {"group": "", "version": "v1", "kind": "Pod"}:
        raise EvidenceError(f"got a `{kind}`, expected a Pod of v1")
    if request.get("subResource"):
        raise EvidenceError(f"`{request['subResource']}` of a Pod is not looked at, and so not allowed")
    pod = _object(request.get("object"), "object")
    if operation == "CREATE":
        _created(door, pod, action)
    elif operation == "UPDATE":
        _updated(pod, _object(request.get("oldObject"), "oldObject"))
    else:
        raise EvidenceError(f"got the operation `{operation}`, expected CREATE, UPDATE or DELETE")


def _created(door: Door, pod: dict[str, Any], action: str) -> None:
    told = _annotations(pod)
    name, subject, offered = told.get(PERMIT), told.get(SUBJECT), told.get(DEPLOYMENT)
    if name is None:
        raise Held(f"the Pod names no permit; annotate it with `{PERMIT}: NAME`")
    if not _NAME.fullmatch(name):
        raise EvidenceError(f"`{PERMIT}` is `{name[:80]}`, expected letters, digits, `.`, `_` and `-`")
    for what, digest in ((SUBJECT, subject), (DEPLOYMENT, offered)):
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise EvidenceError(f"`{what}` is `{digest[:80]}`, expected 64 hexadecimal digits")
    try:
        data = file_now(door.permits / name, permit_file.LIMIT)
    except (UsageError, UnreachableError) as error:
        raise Held(f"no permit `{name}` at the gate: {error}") from error
    read = permit_file.read(data, door.trust(), at=door.clock())
    grant = read.verify(action=action, subject=subject or read.subject, deployment=offered, at=door.clock())
    left = Lease(grant, clock=door.clock, seen=door.seen).check().total_seconds()
    deadline = _deadline(pod)
    if deadline is None or deadline > left:
        raise Held(
            f"spec.activeDeadlineSeconds is {deadline}, expected at most {int(left)}: "
            f"the permit ends at {timestamp(grant.ends)}"
        )


def _updated(pod: dict[str, Any], before: dict[str, Any]) -> None:
    ours, were = (
        {name: value for name, value in _annotations(it).items() if name.startswith(_OURS)} for it in (pod, before)
    )
    if ours != were:
        raise Held("the permit of a Pod cannot be changed; make another Pod")
    deadline, was = _deadline(pod), _deadline(before)
    if was is None and _lets_go(pod, before):
        return
    if deadline is None or was is None or deadline > was:
        raise Held(f"spec.activeDeadlineSeconds is {deadline}, expected at most {was}, as before")


def _lets_go(pod: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether a Pod that is being deleted stays what it was, and waits for no more than it did."""
    metadata, had = _object(pod.get("metadata"), "metadata"), _object(before.get("metadata"), "metadata")
    since = had.get("deletionTimestamp")
    if not isinstance(since, str) or metadata.get("deletionTimestamp") != since or pod.get("spec") != before["spec"]:
        return False
    return set(_finalizers(metadata)) <= set(_finalizers(had))


def _finalizers(metadata: dict[str, Any]) -> list[str]:
    found = metadata.get("finalizers") or []
    if not isinstance(found, list) or not all(isinstance(it, str) for it in found):
        raise EvidenceError("finalizers are no list of text")
    return found


def _annotations(pod: dict[str, Any]) -> dict[str, str]:
    metadata = _object(pod.get("metadata"), "metadata")
    found = _object(metadata.get("annotations", {}), "annotations")
    if not all(isinstance(value, str) for value in found.values()):
        raise EvidenceError("an annotation is no text")
    return found


def _deadline(pod: dict[str, Any]) -> int | None:
    value = _object(pod.get("spec"), "spec").get("activeDeadlineSeconds")
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise EvidenceError(f"spec.activeDeadlineSeconds is `{value}`, expected a whole number of 1 or more")
    return value


def _object(value: Any, what: str) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    if not isinstance(value, dict):
        raise EvidenceError(f"{what} is a {type(value).__name__}, expected an object")
    return value
