"""Verify a decision of Interlock with this file alone.

    python verify.py BUNDLE --vkey VKEY [--policy DIGEST] [--witnesses FILE] [--json]
    python verify.py --cases conformance/decide/cases.jsonl.xz

A bundle is one decision with everything that stood in the ledger before it (docs/bundles.md). This file shares no code
with the program that made it: it was written from docs/semantics.md (the rule), docs/formats.md and docs/ledger.md (the
bytes), and needs Python 3.11 and `cryptography`. It writes nothing and asks nobody. In this order it checks that

1. the bundle is canonical JSON (RFC 8785), so that no byte of it can be another one;
2. the log signed and cosigned every checkpoint, the entries make the tree of each (RFC 6962), the latest continues them
   (RFC 9162), and the witnesses that are asked for cosigned that one;
3. every entry is an in-toto statement in a DSSE envelope that the quorum of a role signed, and may say what it says;
4. the decision's verdict, bounds, findings and requirements follow by the rule from the entries that it had read.

The log's key, and the policy's digest and the witnesses if given, come from elsewhere. The rule is here for the core of
the policy language ("The core" in docs/semantics.md); of what is outside, the answer is `not verified here`, always.
Exit codes: 0 verified; 1 refused, or a case differs; 2 wrong use; 4 not verified here.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import hashlib
import json
import lzma
import math
import re
import sys
from collections import Counter, namedtuple
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]
EPOCH, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Refused(Exception):  # noqa: N818  # it refuses
    """The bundle does not show what it claims: where, what was got, what was expected."""


class Outside(Exception):  # noqa: N818  # it is no error of the bundle
    """The decision rests on something for which there is no rule here."""


def demand(fine: object, where: str, got: object, expected: object) -> None:
    if not fine:
        raise Refused(f"{where}: got {got!s:.200}, expected {expected!s:.200}")


# -- bytes: JSON, base64, times ----------------------------------------------------------------------------------------


def canonical(value: object) -> str:
    """RFC 8785, of text, whole numbers below 2^53, true, false, null, lists and objects."""
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(inner)}" for name, inner in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        raise ValueError("a number that is not whole and below 2^53")
    return json.dumps(value, ensure_ascii=False)


def strict(data: bytes, where: str) -> Json:
    """Exactly one JSON object in its canonical spelling: so no member stands twice, and nothing around it."""
    try:
        value = json.loads(data.decode())
        fine = isinstance(value, dict) and canonical(value).encode() == data
    except (ValueError, RecursionError) as error:
        raise Refused(f"{where}: got no strict JSON ({error!s:.80}), expected one object") from error
    demand(fine, where, "another spelling", "one object as RFC 8785 writes it")
    return value


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def unbase64(text: str, where: str) -> bytes:
    """Standard base64 in its only spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused(f"{where}: got {text:.40}, expected base64") from error
    demand(base64.b64encode(data).decode() == text, where, text, "canonical base64")
    return data


def written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def moment(text: str) -> datetime:
    made = datetime.fromisoformat(text)
    demand(written(made) == text, "a time", text, "one such as 2026-12-01T00:00:00Z")
    return made


def flop(text: str) -> Fraction:
    demand(text.isascii() and text.isdecimal() and str(int(text)) == text, "compute", text, "a whole number of FLOP")
    return Fraction(text)


def after(start: datetime, length: Json) -> datetime:
    """So many months later, or the last day of a month that lacks the day; then the seconds (rule 45)."""
    month = start.month - 1 + int(length["months"])
    year, month = start.year + month // 12, month % 12 + 1
    try:
        day = min(start.day, calendar.monthrange(year, month)[1])
        return min(start.replace(year=year, month=month, day=day) + timedelta(seconds=int(length["seconds"])), LAST)
    except (ValueError, OverflowError):  # past the year 9999
        return LAST


# -- keys: one private key is one public key, one id, one vote (docs/formats.md) ---------------------------------------

FIELD, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
NoteKey = namedtuple("NoteKey", "name kind raw id")  # kind: 1 for signatures, 4 for timestamped cosignatures
Checkpoint = namedtuple("Checkpoint", "size root time witnesses")


def prime_order(raw: bytes) -> bool:
    """Whether these are the one encoding of a point of edwards25519 of prime order (RFC 8032, section 5.1.3)."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    square = (y * y - 1) * pow(1 - 121665 * pow(121666, -1, FIELD) * y * y, -1, FIELD)
    if len(raw) != 32 or not 1 < y < FIELD or pow(square, (FIELD - 1) // 2, FIELD) != 1:
        return False
    u = (1 + y) * pow(1 - y, -1, FIELD) % FIELD  # the ladder of RFC 7748, section 5: a is k times the point, b k + 1
    a, b = (1, 0), (u, 1)
    for bit in bin(ORDER)[2:]:
        cross, other = (a[0] - a[1]) * (b[0] + b[1]), (a[0] + a[1]) * (b[0] - b[1])
        both = (cross + other) ** 2 % FIELD, u * (cross - other) ** 2 % FIELD
        more, less = (sum(b if bit == "1" else a)) ** 2, (b[0] - b[1] if bit == "1" else a[0] - a[1]) ** 2
        twice = more * less % FIELD, (more - less) * (more + 121665 * (more - less)) % FIELD
        a, b = (both, twice) if bit == "1" else (twice, both)
    return a[1] == 0


def signed(raw: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# -- signed notes, witnesses, the tree (docs/ledger.md) ----------------------------------------------------------------


def note_key(vkey: str, kind: int) -> NoteKey:
    name, digest, encoded = [*vkey.split("+", 2), "", ""][:3]
    data = unbase64(encoded, f"verifier key `{name}`")
    fine = name and data[:1] == bytes([kind]) and prime_order(data[1:])
    made = NoteKey(name, kind, data[1:], hashlib.sha256(name.encode() + b"\n" + data).digest()[:4])
    demand(fine and made.id.hex() == digest, "verifier key", vkey, f"NAME+ID+BASE64 of an Ed25519 key of type {kind}")
    return made


class Witnesses:
    """A file of witnesses, and of the quorum of them that is asked for (c2sp.org/tlog-policy)."""

    def __init__(self, text: str, log: NoteKey) -> None:
        self.keys, self.quorum, logs = dict[str, NoteKey](), "", {log}
        self.groups = dict[str, tuple[int, list[str]]]()
        for words in filter(None, (line.partition("#")[0].split() for line in text.split("\n"))):
            (kind, name, *rest), known = [*words, ""][: max(2, len(words))], {*self.keys, *self.groups}
            new = name and name not in known and not self.quorum
            if kind == "log" and new:
                logs.add(note_key(name, 1))
            elif kind == "witness" and new and rest:
                self.keys[name] = note_key(rest[0], 4)
            elif kind == "group" and new and rest and set(rest[1:]) <= known and len(set(rest)) == len(rest):
                count = {"any": "1", "all": str(len(rest) - 1)}.get(rest[0], rest[0])
                demand(count.isdecimal() and 0 < int(count) < len(rest), f"group {name}", count, "1 to its members")
                self.groups[name] = int(count), rest[1:]
            else:
                demand(kind == "quorum" and name in known and not rest, "witnesses", " ".join(words), "a known line")
                demand(not self.quorum, "witnesses", "a second quorum", "one")
                self.quorum = name
        fine = self.quorum and len({log.raw, *(one.raw for one in self.keys.values())}) == len(self.keys) + 1
        demand(fine and len(logs) == 1, "witnesses", "none such", "a quorum, keys that all differ, this log or none")

    def stand(self, name: str, cosigned: list[str]) -> bool:
        count, members = self.groups.get(name, (1, []))
        return name in cosigned or (bool(members) and sum(self.stand(one, cosigned) for one in members) >= count)


def checkpoint(text: str, log: NoteKey, witnesses: dict[str, NoteKey], where: str) -> Checkpoint:
    """Verify a note: the log's signature, the log's cosignature, then those of witnesses, and nobody else's."""
    note = re.fullmatch(r"(([^\n]+)\n(0|[1-9][0-9]{0,17})\n([^\n]+)\n)\n((?:— [^\n +]+ [^\n ]+\n){2,64})", text)
    demand(note and min(text.replace("\n", " ")) >= " ", where, text, "a note of three lines, signed twice")
    body, origin, size, root, lines = note.groups()  # type: ignore[union-attr]  # as just seen
    times, found = list[datetime](), list[str]()
    own = log._replace(id=hashlib.sha256(log.name.encode() + b"\n\x04" + log.raw).digest()[:4])
    for number, line in enumerate(lines[:-1].split("\n")):
        _, name, encoded = line.split(" ")
        blob, message = unbase64(encoded, where), body
        others = {"the log": (log, own)[number]} if number < 2 else witnesses
        by = [it for it, one in others.items() if (one.name, one.id) == (name, blob[:4]) and it not in found]
        demand(by, where, f"a line of `{name}`", "two of the log, then of witnesses that are given, each once")
        if number:  # c2sp.org/tlog-cosignature, v1
            seconds, blob = int.from_bytes(blob[4:12], "big"), blob[8:]
            message = f"cosignature/v1\ntime {seconds}\n{body}"
            demand(seconds <= LAST.timestamp(), where, seconds, "a time before the year 10000")
            times.append(EPOCH + timedelta(seconds=seconds))
        demand(signed(others[by[0]].raw, blob[4:], message.encode()), where, "a false signature", f"one by {by[0]}")
        found += by if number > 1 else []
    made = Checkpoint(int(size), unbase64(root, where), times[0], found)
    demand(origin == log.name and len(made.root) == 32, where, f"{origin}, {root}", f"a root of `{log.name}`")
    return made


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_roots(leaves: list[bytes]) -> list[bytes]:
    """The root over the first n leaves, for every n from 0 on (RFC 6962, section 2.1)."""
    roots, full = [hashlib.sha256(b"").digest()], list[bytes]()
    for count, leaf in enumerate(leaves):
        full.append(leaf)
        for _ in range((~count & (count + 1)).bit_length() - 1):  # the one bits at the end of count carry
            full[-2:] = [node(*full[-2:])]
        top = full[-1]
        for left in reversed(full[:-1]):
            top = node(left, top)
        roots.append(top)
    return roots


def continues(size: int, root: bytes, later: Checkpoint, proof: list[bytes], where: str) -> None:
    """That the later tree begins with the earlier one (RFC 9162, section 2.1.4.2)."""
    path = list(proof) if size & (size - 1) and proof else [root, *proof]
    old, new = size - 1, later.size - 1
    while old & 1:
        old, new = old >> 1, new >> 1
    fine = all(len(one) == 32 for one in proof) and (bool(proof) or size == later.size)
    small = large = path[0]
    for sibling in path[1:]:
        fine = fine and new > 0
        if old & 1 or old == new:
            small, large = node(sibling, small), node(sibling, large)
            while old and not old & 1:
                old, new = old >> 1, new >> 1
        else:
            large = node(large, sibling)
        old, new = old >> 1, new >> 1
    fine = fine and (new == 0 or not proof) and small == root and large == later.root
    demand(fine, where, f"{len(proof)} hashes", f"a proof from {size} to {later.size} entries, to {later.root.hex()}")


# -- statements (docs/formats.md) --------------------------------------------------------------------------------------

PROTOCOL = """protocol.task=str protocol.task_version=int protocol.metric=str protocol.samples=int
protocol.samples_sha256=str ?protocol.deployment=str protocol.elicitation.kind=str protocol.elicitation.shots=int
protocol.elicitation.seed=int protocol.elicitation.demonstrations=int"""
FORMS = {  # every member with its type; `?` may be missing, `*` is any of a list, after a `.` at the end is any name
    "bundle": """bundle=str checkpoint=str checkpoint_proof=list ?checkpoint_proof*=str entries=list ?entries*=str
history=list ?history*=str history_proof=list ?history_proof*=str""",
    "envelope": "payload=str payloadType=str signatures=list ?signatures*.keyid=str ?signatures*.sig=str",
    "statement": "_type=str predicateType=str subject=list ?subject*.name=str ?subject*.digest.sha256=str ?predicate.=",
    "subject:v2": """name=str training_compute=str effective_compute.low=str effective_compute.high=str
?run.config_sha256=str ?run.data_sha256=str ?manifest.serialization.method=str ?manifest.serialization.hash_type=str
?manifest.resources*.name=str ?manifest.serialization.allow_symlinks=bool ?manifest.serialization.ignore_paths=list
?manifest.resources*.algorithm=str ?manifest.resources=list ?manifest.resources*.digest=str
?model_signing_sha256=str steps=list ?steps*.parent=str ?steps*.kind=str ?steps*.compute=str""",
    "deployment:v1": """name=str subject=str ?system_prompt_sha256=NoneType ?system_prompt_sha256=str filters=list
tools=list ?filters*.name=str ?filters*.sha256=str ?tools*.name=str ?tools*.sha256=str surface=str access_tier=str
?sampling.=str ?sampling=dict""",
    "plan:v1": f"report_by=str {PROTOCOL}",
    "result:v2": f"""plan=str {PROTOCOL} log.name=str log.sha256=str log.outcomes_sha256=str counts.planned=int
counts.scored=int counts.completed=int counts.correct=int ?counts.refused=int ?counts.refused=str counts.errored=int
counts.limited=int budget.tokens=int budget.flop=str ?environment.=str ?environment=dict""",
    "attestation:v1": "kind=str name=str about=str statement=str at=str",
}
UNREAD = {"permit:v1", "snapshot:v1", "decision:v1"}  # by which the rule decides nothing


def members(value: Any, at: str = "") -> Iterator[str]:
    """Every member of a JSON value, as its place and its type."""
    inner = value.items() if isinstance(value, dict) else []
    for name, one in inner:
        yield from members(one, f"{at}.{name}" if at else name)
    for one in value if isinstance(value, list) else []:
        yield from members(one, f"{at}*")
    if not inner:
        yield f"{at}={type(value).__name__}"


DECISION = {"verdict", "action", "subject", "deployment", "at", "checkpoint", "reasons", "rulings", "resume", "bounds"}


def fits(value: Json, form: str, where: str) -> None:
    """Check that nothing is missing, and nothing is there beside what FORMS has."""
    known, found = FORMS[form].split(), set(members(value))
    missing = {it for it in known if it[0] != "?"} - found
    free = [tuple(it[1:].split("=")) for it in known if ".=" in it]
    extra = found - {it.lstrip("?") for it in known}
    extra = {it for it in extra if not any(it.startswith(a) and it.endswith(b) for a, b in free)}
    demand(not missing | extra, where, f"{sorted(extra)} beside, without {sorted(missing)}", f"a whole {form}")


class Reader:
    """Reads entry after entry, and refuses what the entries before it do not support."""

    def __init__(self, pinned: str | None) -> None:
        self.pinned, self.policy, self.digest, self.kinds = pinned, Json(), "", list[str]()
        self.keys, self.roles = dict[str, bytes](), dict[str, tuple[set[str], int]]()
        self.seen, self.weights = set[str](), set[str]()
        lists: Any = {name: [] for name in ("plans", "results", "attestations", "withdrawals", "set_asides")}
        self.facts = SimpleNamespace(subjects={}, deployments={}, **lists)

    def take(self, data: bytes, at: datetime, where: str) -> Json:
        """Read one entry; return its statement."""
        demand(len(data) <= 1 << 20, where, f"{len(data)} bytes", "an envelope of at most 1 MiB")
        envelope = strict(data, where)
        fits(envelope, "envelope", where)
        payload, form = unbase64(envelope["payload"], where), envelope["payloadType"]
        said, digest = strict(payload, where), sha256(payload)
        fits(said, "statement", where)
        kind, predicate = said["predicateType"].removeprefix("urn:interlock:"), said["predicate"]
        if kind not in {"policy:v1", *FORMS, *UNREAD} or "imported" in predicate:
            raise Outside(f"{where}, a statement of type `{said['predicateType']:.80}`, or a log that was imported")
        fine = (form, said["_type"]) == ("application/vnd.in-toto+json", "https://in-toto.io/Statement/v1")
        fine = fine and said["predicateType"] == f"urn:interlock:{kind}" and len(said["subject"]) == 1
        demand(fine, where, f"{form}, {said['_type']}, {said['subject']}", "an in-toto statement v1 on one subject")
        fine = digest not in self.seen and (kind == "policy:v1") == (not self.kinds)
        demand(fine, where, f"a {kind} {digest}", "nothing twice, and one policy as entry 0")
        self.kinds.append(kind.partition(":")[0])
        self.seen.add(digest)
        fact = SimpleNamespace(digest=digest, subject=said["subject"][0]["digest"]["sha256"], at=at)
        if kind == "policy:v1":
            self.adopt(predicate, fact.subject, where)
        message = f"DSSEv1 {len(form)} {form} {len(payload)} ".encode() + payload
        fact.signers = self.signers(envelope["signatures"], message, where)
        approved = set(self.policy["amendments"]["approved_by"]) if kind == "policy:v1" else fact.signers
        demand(approved and approved <= fact.signers, where, sorted(fact.signers), f"signed by {sorted(approved)}")
        if kind in FORMS:
            fits(predicate, kind, where)
            getattr(self, self.kinds[-1])(predicate, fact, where)
        return said

    def signers(self, signatures: list[Json], message: bytes, where: str) -> set[str]:
        """The roles whose quorum signed: each key counts once, and what claims to be a role's key must be so."""
        made = [(one["keyid"], unbase64(one["sig"], where)) for one in signatures]
        for name, signature in made:
            fine = name not in self.keys or signed(self.keys[name], signature, message)
            demand(fine, where, f"a false signature by key {name:.12}", "one over this payload")
        ids = {name for name, _ in made}
        found = {name for name, (keys, quorum) in self.roles.items() if 0 < quorum <= len(keys & ids)}
        demand(found, where, f"signatures by {len(ids & self.keys.keys())} known keys", "those of the quorum of a role")
        return found

    def adopt(self, policy: Json, about: str, where: str) -> None:
        """The policy and its keys: none twice in a role, none in common with a role that it is independent of."""
        self.policy, self.digest = policy, sha256(canonical(policy).encode())
        demand(about == self.digest == (self.pinned or about), where, f"policy {self.digest}", self.pinned or about)
        for name, role in policy["roles"].items():
            raws = [unbase64(text[8:], where) for text in role["keys"] if text[:8] == "ed25519:"]
            apart = {text for other in role["independent_of"] for text in policy["roles"][other]["keys"]}
            fine = all(map(prime_order, raws)) and len(set(raws)) == len(role["keys"]) and not apart & set(role["keys"])
            demand(fine, f"{where}, role `{name}`", role["keys"], "sound keys, each once, none of an independent role")
            self.keys |= {sha256(raw): raw for raw in raws}
            self.roles[name] = {sha256(raw) for raw in raws}, role["quorum"]

    def new(self, made: object, said: Json, others: Json, fact: Any, where: str) -> Any:  # a subject or deployment
        digest, again = sha256(canonical(made).encode()), any(said["name"] == it.name for it in others.values())
        demand(
            digest == fact.subject and digest not in others and not again, where, said["name"], f"{digest}, both new"
        )
        others[digest] = SimpleNamespace(digest=digest, name=said["name"])
        return others[digest]

    def subject(self, said: Json, fact: Any, where: str) -> None:
        demand(("run" in said) != ("manifest" in said), where, sorted(said), "a manifest, or a run without weights yet")
        made, ends, others = said.get("run") or said["manifest"], said["effective_compute"], self.facts.subjects
        one, one_steps = self.new(made, said, others, fact, where), said["steps"]
        one.ec_low, one.ec_high, one.training_compute = map(flop, (ends["low"], ends["high"], said["training_compute"]))
        one.steps = [SimpleNamespace(**{**it, "compute": flop(it["compute"])}) for it in one_steps]
        demand(0 < one.ec_low <= one.ec_high and not ("run" in said and one.steps), where, ends, "an interval above 0")
        if "manifest" in said:
            joined = sha256(bytes.fromhex("".join(it["digest"] for it in made["resources"])))
            demand(
                made["resources"] and joined == said["model_signing_sha256"], where, joined, "the digest of its files"
            )
            self.weights.add(one.digest)
        for step in one.steps:
            demand(step.parent in others and step.parent != one.digest, where, step.parent, "a subject before it")
            parent = others[step.parent]
            spent = step.compute + (parent.training_compute if step.parent in self.weights else 0)
            fine = one.ec_low >= parent.ec_low and one.ec_high >= parent.ec_high and one.training_compute >= spent
            demand(fine, where, "less compute", f"no less than that of its parent `{parent.name}`, and the step")

    def deployment(self, said: Json, fact: Any, where: str) -> None:
        demand(said["subject"] in self.weights, where, said["subject"], "a subject with weights before it")
        parts = {name: part for name, part in said.items() if name != "name"}
        self.new(parts, said, self.facts.deployments, fact, where).subject = said["subject"]

    def ran(self, fact: Any, said: Json, where: str) -> Any:
        """What was run. What statements do not say yet is what shows the least."""
        offered, tried = said.get("deployment"), said["elicitation"]
        known = self.facts.deployments.get(offered, SimpleNamespace(subject=None if offered else fact.subject))
        fine = fact.subject in self.weights and known.subject == fact.subject and tried["kind"] in ASSUMED
        demand(
            fine, where, f"{fact.subject}, {offered}, {tried}", "a subject with weights, its deployment, a known try"
        )
        rest = {"unit": "sample", "attempts": 1, "tools": False, "safety_ablated": False, "deployment": offered}
        renamed = {"elicitation": tried["kind"], "samples_digest": said["samples_sha256"]}
        return SimpleNamespace(**{**tried, **said, **rest, **renamed})

    def plan(self, said: Json, fact: Any, where: str) -> None:
        fact.protocol, fact.report_by = self.ran(fact, said["protocol"], where), moment(said["report_by"])
        latest = after(fact.at, self.policy["report_within"])
        demand(fact.report_by <= latest, where, said["report_by"], f"{written(latest)} or before")
        self.facts.plans.append(fact)

    def result(self, said: Json, fact: Any, where: str) -> None:
        counts, fact.protocol = said["counts"], self.ran(fact, said["protocol"], where)
        fact.completed, fact.scored, fact.correct = counts["completed"], counts["scored"], counts["correct"]
        fine = 0 <= fact.correct <= fact.scored <= fact.completed <= counts["planned"] == fact.protocol.samples
        refused = None if counts["refused"] == "unknown" else counts["refused"]
        rest = (counts["completed"] + counts["errored"], counts["errored"], counts["limited"], refused or 0)
        fine = fine and 0 <= min(rest) <= max(rest) <= counts["planned"]
        demand(fine, where, counts, "correct <= scored <= completed <= planned, and none of the others over that")
        fact.flop, fact.total, fact.refused, fact.plan = flop(said["budget"]["flop"]), None, refused, None
        for plan in self.facts.plans:  # one that announced something else, or that others signed, is not its plan
            same = (plan.digest, plan.subject, plan.protocol) == (said["plan"], fact.subject, fact.protocol)
            fact.plan = plan if same and plan.signers & fact.signers else fact.plan
        self.facts.results.append(fact)

    def attestation(self, said: Json, fact: Any, where: str) -> None:
        known = {"developer": {self.digest}, "subject": self.facts.subjects, "deployment": self.facts.deployments}
        fine = said["kind"] in {"assumption", "requirement"} and fact.subject in known.get(said["about"], ())
        demand(fine and moment(said["at"]) <= fact.at, where, said, "of something that is known, and no later date")
        fact.is_assumption, fact.name, fact.check = said["kind"] == "assumption", said["name"], None
        fact.at, fact.about = moment(said["at"]), None if said["about"] == "developer" else fact.subject
        self.facts.attestations.append(fact)


# -- what is outside of the core ---------------------------------------------------------------------------------------

SECTIONS = """interlock id version title effective expires supersedes imposed_by scope roles measures assumptions
thresholds requirements exceptions gates not_governed actions refresh attacker_budget attacker_budget_source permits
report_within independent on_hold duties amendments context sources""".split()
MEMBERS = """about above access alert_for approved_by argument assumes attempts audience below_if binds buffer by
checked claim changelog_required confidence consulted count coverage danger declares demonstrations developers
discretion domain doubt elicitation events exempt flop fresh_for frozen_while_reached high independent_of issued_by
items judged keys kind lease level least_samples ledger_age low margin measure metric modality months multiple
notice of on owner parts period proposed_by quantity quorum reached_when refines refresh refusals requires
reversible review revocable_by role rule_out run_by rung safety_ablated samples_digest seconds shots size source
sources standard subject subjects surface takeover_potential task task_version threat_models threshold tools unit
valid_below void_at weaker weights what at amount ref at-least under-quantity measure compute-ratio unbounded mean
attested approved defined ruled-out combined hole never is""".split()


def check(part: Any, names: Iterable[str]) -> None:  # that a policy has no member, and no construct, beside MEMBERS
    for name, inner in part.items() if isinstance(part, dict) else ():
        if name not in names or (name == "is" and inner not in MEMBERS):
            raise Outside(f"`{name}: {inner!s:.60}` in the policy")
        for one in inner if isinstance(inner, list) else [inner] if name not in {"items", "weights"} else []:
            check(one, MEMBERS)


def outside(policy: Json, facts: Any) -> None:
    """Refuse an answer where a policy has a part, or the ledger a kind of fact, for which there is no rule here."""
    check(dict.fromkeys(policy), SECTIONS)
    for name in ("scope", "refresh", "permits", "report_within", "amendments"):
        check(policy[name], MEMBERS)
    named = [policy[it] for it in ("roles", "measures", "assumptions", "thresholds", "requirements", "actions")]
    for part in (*named, *policy["gates"].values()):
        check(part, part)
    thresholds, needs = policy["thresholds"].values(), policy["requirements"].values()
    leaves = [part for one in thresholds for part in walk(one["reached_when"]) if part["is"] == "at"]
    acts = {
        "judgements": any("judged" in it for it in thresholds),
        "amendments": policy["exceptions"],
        "incidents": True,
    }
    acts["approvals"] = any(it["is"] == "approved" for it in needs)
    told = [kind for kind, there in acts.items() if there and getattr(facts, kind, ())]
    told += ["a mean"] * any(policy["measures"][it["measure"]]["is"] != "measure" for it in leaves)
    if told or policy["interlock"] != "policy/v1":
        raise Outside(", ".join([*told, policy["interlock"]]))


# -- the rule for the core (docs/semantics.md; its numbers stand in brackets) ------------------------------------------

TRAINED = {"fine-tuned", "rl-fine-tuned"}
ASSUMED = {  # what a negative result under each elicitation takes for granted (15)
    "prompted": {"no-evaluation-gaming"},
    "few-shot": {"no-evaluation-gaming"},
    "scaffolded": {"no-evaluation-gaming"},
    "fine-tuned": {"no-gradient-hacking", "good-demonstrations"},
    "rl-fine-tuned": {"no-gradient-hacking", "no-exploration-hacking"},
    "understanding-based": {"valid-understanding"},
}


def at_most(k: int, n: int, p: Fraction) -> Fraction:
    """P(X <= k) for X binomial (n, p), 0 < p <= 1, exactly (1)."""
    hit, miss = p.numerator, p.denominator - p.numerator
    if k < 0 or k >= n or miss == 0:
        return Fraction(k >= n)
    total = term = miss**n
    for i in range(k):
        term = term * (n - i) * hit // ((i + 1) * miss)
        total += term
    return Fraction(total, p.denominator**n)


def shows(k: int, n: int, p: Fraction, alpha: Fraction) -> bool:
    """Whether k of n shows a share of at least p (Clopper and Pearson 1934, one-sided) (1)."""
    return p <= 0 or (0 < k <= n and p <= 1 and 1 - at_most(k - 1, n, p) <= alpha)


class Tally:
    """A result as a measure counts it, turned so that more is more dangerous (1 to 3)."""

    def __init__(self, result: Any, measure: Json) -> None:
        if result.total is not None:
            raise Outside("a result with scores other than right and wrong")
        self.n, scored, unit = result.protocol.samples, result.scored, (measure["low"], measure["high"]) == ("0", "1")
        self.readable = unit and 0 <= result.correct <= scored <= self.n
        self.harmless = result.correct if measure["danger"] == "higher" else scored - result.correct
        asked = measure["kind"] == "capability" and result.refused is not None
        refused = min(max(scored + result.refused - result.completed, 0), scored) if asked else 0
        self.answers, self.dangerous = scored - refused, min(self.harmless + self.n - scored + refused, self.n)

    def rules_out(self, p: Fraction, alpha: Fraction) -> bool:
        return self.readable and self.n > 0 and p > 0 and at_most(self.dangerous, self.n, min(p, Fraction(1))) < alpha

    def shows(self, p: Fraction, alpha: Fraction) -> bool:
        return self.readable and shows(self.harmless, self.n, p, alpha)


# until when something holds, and up to which effective compute; what is found of an expression or a threshold
Span, Part = namedtuple("Span", "end reach"), namedtuple("Part", "reached below evaluated")


def least(spans: Iterable[Span | None]) -> Span | None:  # as far as all of them go; None if one is None
    found = [Span(LAST, math.inf), *spans]
    return None if None in found else Span(min(it.end for it in found), min(it.reach for it in found))


def latest(spans: Iterable[Span | None], count: int) -> Span | None:
    """As far as those `count` go that end last (in order of writing where alike); None if there are not so many."""
    found = sorted((it for it in spans if it), key=lambda it: it.end, reverse=True)
    return least(found[:count]) if 0 < count <= len(found) else None


def walk(part: Json | None) -> list[Json]:
    """An expression and everything in it."""
    return [part, *(it for inner in part.get("parts", ()) for it in walk(inner))] if part else []


def closure(names: Iterable[str], more: Callable[[str], Iterable[str]]) -> set[str]:
    """The names, those that each of them leads to, and so on."""
    found, queue = set[str](), [*names]
    while queue:
        one = queue.pop()
        queue += [] if one in found else more(one)
        found.add(one)
    return found


class Rule:
    """One question to one version of one policy."""

    def __init__(self, asked: Any, policy: Json, since: datetime, entered: datetime, facts: Any) -> None:
        self.asked, self.policy, self.facts, self.at, self.known = asked, policy, facts, asked.at, facts.subjects
        self.since, self.entered, self.read = max(since, entered), entered, facts.checkpoint.time
        easy = asked.action in {"scale", "deploy-internal", "deploy-api"}
        easy = policy["actions"].get(asked.action, {"reversible": easy})["reversible"]
        self.irreversible = asked.action == "release-weights" or not easy
        steps = {name: [step.parent for step in one.steps] for name, one in self.known.items()}
        self.line = closure([asked.subject], lambda it: steps.get(it, []))
        line = [self.known[it] for it in self.line if it in self.known]
        self.stands = len(line) == len(self.line)
        self.stands = self.stands and all(map(plausible, line))
        if self.stands:
            self.subject, self.way = self.known[asked.subject], [self.known[asked.subject]]
            self.cheap = {one: self.derivatives(one, cheap=True) for one in self.line}
            self.relatives = self.line.union(*self.cheap.values())
            self.kin = self.relatives | self.derivatives(asked.subject, cheap=False)
            while asked.action == "scale" and [step.kind for step in self.way[-1].steps] == ["continued"]:
                self.way.append(self.known[self.way[-1].steps[0].parent])  # the way of single continued steps (17)

    def derivatives(self, digest: str, *, cheap: bool) -> set[str]:
        """The subjects that lead back to it; `cheap`: those within the attacker's budget, by the cheapest ways."""
        cost = {digest: Fraction(0)}
        for name, subject in [*self.known.items()] * len(self.known):
            ways = [cost[step.parent] + step.compute for step in subject.steps if step.parent in cost]
            if name != digest and ways:
                cost[name] = min([*ways, cost.get(name, ways[0])])
        budget = Fraction(self.policy["attacker_budget"]) * self.known[digest].training_compute
        return {name for name, spent in cost.items() if name != digest and (spent <= budget or not cheap)}

    def room(self, span: Span | None) -> bool:
        return span is not None and (span.reach == math.inf or self.subject.ec_high <= math.floor(span.reach))

    def withdrawn(self, fact: Any) -> bool:
        return any(one.of == fact.digest and one.signers & fact.signers for one in self.facts.withdrawals)

    def counts(self, fact: Any, start: datetime) -> bool:
        """Whether it counts in favour: begun under this policy, not dated after the checkpoint, not withdrawn (35)."""
        return self.entered <= start and max(start, fact.at) <= self.read and not self.withdrawn(fact)

    def concerns(self, protocol: Any, measure: Json) -> bool:
        """Whether it is of the measure's task, and of the deployment asked for where the measure is of one (6, 19)."""
        here = measure["on"] == "model" or (self.asked.deployment and protocol.deployment == self.asked.deployment)
        return bool(protocol.task == measure["task"] and here)

    def results(self, digest: str, measure: Json) -> list[Any]:
        """All that count on a subject: planned or not, withdrawn or not; but not those set aside (6)."""
        by, aside = self.policy["independent"], self.facts.set_asides
        gone = {one.of for one in aside if by in one.signers and self.counts(one, one.at)}
        mine = [one for one in self.facts.results if one.subject == digest and self.concerns(one.protocol, measure)]
        return [one for one in mine if one.digest not in gone]

    def sound(self, result: Any, rule: Json, demand: Json, measure: Json, run_by: str) -> datetime | None:
        """Until when a result is sound for a demand; None if it is not (10 to 14)."""
        plan, ran, tally, kind = result.plan, result.protocol, Tally(result, measure), result.protocol.elicitation
        if plan is None or run_by not in plan.signers & result.signers or not self.counts(plan, plan.at):
            return None
        if not self.counts(result, plan.at) or any(one.of == result.digest for one in self.facts.set_asides):
            return None
        names, where = ("task", "task_version", "metric", "unit", "samples_digest"), measure["on"] == "deployment"
        if any(getattr(ran, it) != measure.get(it, "sample" if it == "unit" else getattr(ran, it)) for it in names):
            return None
        if not tally.readable or not (self.concerns(ran, measure) if where else ran.deployment is None):
            return None
        least_samples, tools = max(1, measure.get("least_samples", 1)), ("tools", "safety_ablated")
        if ran.samples < least_samples or tally.answers < Fraction(rule["coverage"]) * ran.samples:
            return None
        if (measure["kind"] == "propensity" and kind in TRAINED) or kind != demand["elicitation"]:
            return None
        tried = ran.shots if kind == "few-shot" else ran.demonstrations
        tried_least = max(int(demand.get("demonstrations", 0)), kind in {"few-shot", "fine-tuned"})
        if (
            tried < tried_least
            or result.flop < int(demand.get("flop", 0))
            or ran.attempts < int(demand.get("attempts", 1))
        ):
            return None
        refused = ran.samples if result.refused is None else result.refused
        refusals, lacks = (
            Fraction(demand.get("refusals", 1)),
            any(demand.get(it) and not getattr(ran, it) for it in tools),
        )
        end = min(after(plan.at, it["period"]) for it in (rule["refresh"], rule["buffer"]) if "period" in it)
        return end if (refusals == 1 or refused <= refusals * ran.samples) and not lacks and self.at < end else None

    def discharged(self, name: str, digest: str, run_by: str) -> Span | None:
        """How far an assumption is discharged about a subject (16)."""
        asked, here = self.policy["assumptions"].get(name), {digest, self.asked.subject}
        if asked is None:
            return None
        said = [it for it in self.facts.attestations if it.is_assumption and it.name == name and it.about in here]
        caught = {
            it.digest: self.caught(it.check, asked) for it in said if it.check and it.check.name == asked.get("checked")
        }
        failed = [it.at for it in said if caught.get(it.digest) is False]
        said = [it for it in said if it.about == digest and asked["by"] in it.signers and run_by not in it.signers]
        if "checked" in asked:
            said = [it for it in said if caught.get(it.digest) and all(it.at > at for at in failed)]
        end = max((after(it.at, asked["fresh_for"]) for it in said if self.counts(it, it.at)), default=self.at)
        voids = [self.threshold(one).below for one in asked.get("void_at", [])]
        return least([Span(end, math.inf), *voids]) if self.at < end else None

    def caught(self, check: Any, asked: Json) -> bool:
        alpha = 1 - Fraction(asked.get("confidence", "0.95"))
        return check.passed and shows(check.caught, check.organisms, Fraction(asked["coverage"]), alpha)

    def shown(self, rule: Json, measure: Json, demands: list[Json], *, assume: bool) -> Span | None:
        """How far sound results for one of the demands go, on S or an ancestor that stands in (15, 17, 18, 28)."""
        far, by, found = Fraction(rule["refresh"]["multiple"]), rule["run_by"], list[Span | None]()
        names = set(rule.get("assumes", [])) if assume else set()
        for kind in (demand["elicitation"] for demand in demands if assume):
            tested = measure["kind"] == "propensity" and kind != "understanding-based"
            names |= {"no-test-awareness"} if tested else ASSUMED[kind]
        for one in self.way:
            if one is self.subject or self.subject.ec_high <= far * one.ec_low:
                tried = [(it, demand) for it in self.results(one.digest, measure) for demand in demands]
                ends = [end for it, demand in tried if (end := self.sound(it, rule, demand, measure, by))]
                span = Span(max(ends, default=LAST), one.ec_low * min(far, Fraction(rule["buffer"]["multiple"])))
                found.append(least([span, *(self.discharged(it, one.digest, by) for it in names)]) if ends else None)
        return max((it for it in found if it and self.room(it)), default=None)

    def open_plans(self, rule: Json, measure: Json) -> list[datetime]:
        """When the open plans that matter to a measure are due (19)."""
        dues = []
        for plan in self.facts.plans:
            asked = {rule["run_by"]} if rule["run_by"] in plan.signers else plan.signers
            enough = Fraction(rule["coverage"]) * plan.protocol.samples
            reports = [one for one in self.facts.results if one.plan and one.plan.digest == plan.digest]
            closed = any(one.scored >= enough and asked & one.signers and not self.withdrawn(one) for one in reports)
            if plan.subject in self.kin and self.concerns(plan.protocol, measure) and not closed:
                dues.append(min(plan.report_by, after(plan.at, self.policy["report_within"])))
        return dues

    def blocked(self, dues: list[datetime]) -> bool:
        return any(self.irreversible or self.at >= due for due in dues)

    def higher(self, name: str) -> list[str]:
        return [one for one, other in self.policy["thresholds"].items() if name in other.get("above", [])]

    def at_stake(self, name: str) -> list[tuple[Json, Json, Json]]:
        """The leaves of a threshold, of those that it refers to, of those above, and so on; rule, measure (20)."""
        every = self.policy["thresholds"]
        refs = {
            one: [part["threshold"] for part in walk(it["reached_when"]) if part["is"] == "ref"]
            for one, it in every.items()
        }
        names = closure([name], lambda one: [*refs[one], *self.higher(one)])
        leaves = [
            (it, every[one]["rule_out"]) for one in names for it in walk(every[one]["reached_when"]) if it["is"] == "at"
        ]
        return [(it, rule, self.policy["measures"][it["measure"]]) for it, rule in leaves]

    def standing(self, leaf: Json, rule: Json, measure: Json) -> datetime | None:
        """None if a leaf is reached; else until when repetitions keep it from that (21)."""
        level, alpha, ends = turned(measure, leaf), 1 - Fraction(rule["confidence"]), [LAST]
        for digest in self.relatives:
            own = digest == self.asked.subject or digest in self.cheap[self.asked.subject]
            hits = [it for it in self.results(digest, measure) if Tally(it, measure).shows(level, alpha)]
            ends += [None if own else self.repeated(it, rule, measure) for it in hits]
        return None if None in ends else min(ends)

    def repeated(self, result: Any, rule: Json, measure: Json) -> datetime | None:
        """Until when the independent role's repetition on S answers a result on an ancestor's side (21)."""
        demand = {it: getattr(result.protocol, it) for it in ("demonstrations", "attempts", "tools", "safety_ablated")}
        demand |= {"refusals": min(Fraction(it.get("refusals", 1)) for it in rule["elicitation"])}
        demand |= {"elicitation": "fine-tuned", "flop": result.flop}
        mine = [it for it in self.results(self.asked.subject, measure) if it.plan and it.plan.at > result.at]
        mine = [it for it in mine if it.protocol.samples >= result.protocol.samples]
        found = [self.sound(it, rule, demand, measure, self.policy["independent"]) for it in mine]
        return max((end for end in found if end), default=None)

    def leaf(self, leaf: Json, rule: Json, alpha: Fraction, share: Fraction) -> Part:
        """A measure at a level (21)."""
        measure, demands = self.policy["measures"][leaf["measure"]], rule["elicitation"]
        evaluated = self.shown(rule, measure, demands, assume=False)
        if self.standing(leaf, rule, measure) is None:
            return Part(True, None, evaluated)
        satisfied = [self.shown(rule, measure, [demand], assume=True) for demand in demands]
        dues, line = self.open_plans(rule, measure), min(alpha, 1 - Fraction(rule["confidence"])) * share
        level = turned(measure, leaf) - Fraction(rule["buffer"]["margin"])
        tallies = [Tally(it, measure) for one in self.way for it in self.results(one.digest, measure)]
        under = satisfied and tallies and all(one.rules_out(level, line) for one in tallies) and not self.blocked(dues)
        return Part(False, least([*satisfied, *(Span(due, math.inf) for due in dues)]) if under else None, evaluated)

    def amount(self, quantity: str, level: Fraction) -> Part:
        """A signed quantity at a level (22); `below` reaches as far as the cap that keeps it so (41)."""
        own, always = [self.known[one] for one in self.line], Span(LAST, math.inf)
        low, high, cap = max(it.ec_low for it in own), max(it.ec_high for it in own), math.ceil(level) - 1
        if quantity == "training_compute":
            low = high = max(it.training_compute for it in own)
            cap = math.ceil(self.subject.ec_low * level / low) - 1 if low else self.subject.ec_low
        elif quantity != "effective_compute":
            name = self.policy["measures"][quantity]["subject"]  # a digest, or else a name that only one has (Terms)
            named = [self.known[name]] if name in self.known else [it for it in self.known.values() if it.name == name]
            if len(named) != 1 or not plausible(named[0]):
                return Part(False, None, always)
            cap = math.ceil(level * named[0].ec_low) - 1
            low = low / named[0].ec_high if named[0].ec_high else Fraction(0)
            high = high / named[0].ec_low if named[0].ec_low else level  # no upper end: never below
        below = Span(LAST, cap) if high < level else None
        return Part(low >= level, below if self.room(below) else None, always)

    def part(self, part: Json, name: str, alpha: Fraction, share: Fraction) -> Part:
        """One part of the expression of a threshold (21 to 24, 28)."""
        if part["is"] == "at":
            return self.leaf(part, self.policy["thresholds"][name]["rule_out"], alpha, share)
        if part["is"] == "amount":
            return self.amount(part["quantity"], Fraction(part["level"]))
        if part["is"] == "ref":
            found = self.threshold(part["threshold"], alpha, share)
            return found._replace(evaluated=found.below or found.evaluated)
        parts, count = [self.part(one, name, alpha, share / part["count"]) for one in part["parts"]], part["count"]
        reached = sum(one.reached for one in parts) >= count
        below = None if reached else latest((one.below for one in parts), len(parts) - count + 1)
        until = [below, Span(self.may_be_reached(name), math.inf)] if below else [one.evaluated for one in parts]
        return Part(reached, below, least(until))

    def may_be_reached(self, name: str) -> datetime:
        """When a threshold may be reached though nothing new is said: when a repetition ends (43)."""
        return min([LAST, *(end for it in self.at_stake(name) if (end := self.standing(*it)))])

    def threshold(self, name: str, alpha: Fraction = Fraction(1), share: Fraction = Fraction(1)) -> Part:
        """A threshold, with the outer alpha and share (25, 26, 28)."""
        asked = self.policy["thresholds"][name]
        rule, expression, judged = asked["rule_out"], asked["reached_when"], "judged" in asked
        alpha = min(alpha, 1 - Fraction(rule["confidence"])) if rule else alpha
        found = self.part(expression, name, alpha, share) if expression else Part(False, None, None)
        found = found._replace(evaluated=None) if judged else found  # nobody judged: else it is not the core
        if found.reached or any(self.threshold(one).reached for one in self.higher(name)):
            return Part(True, None, found.evaluated)
        ways = [self.amount(way["quantity"], Fraction(way["level"])).below for way in asked.get("below_if", [])]
        below = next((way for way in (*ways, None if judged else found.below) if way), None)
        dues = [due for _, rule, measure in self.at_stake(name) for due in self.open_plans(rule, measure)]
        if below is None or hole(asked) or self.blocked(dues):
            return Part(False, None, found.evaluated)
        return Part(False, below._replace(end=min([below.end, self.may_be_reached(name), *dues])), found.evaluated)

    def met(self, name: str) -> Span | None:
        """How far a requirement is met; never where it is `never`, a hole, or what nobody approved (29, 32)."""
        asked, offered = self.policy["requirements"][name], self.asked.deployment
        kind, threshold = asked["is"], self.policy["thresholds"].get(asked.get("threshold", ""))
        if kind == "combined":
            return latest((self.met(one) for one in asked["of"]), asked["count"])
        if kind in {"ruled-out", "defined"} and threshold:
            defined = None if hole(threshold) else Span(LAST, math.inf)
            return self.threshold(asked["threshold"]).below if kind == "ruled-out" else defined
        if kind != "attested" or (asked["about"] == "deployment" and offered is None):
            return None
        about = {"subject": self.asked.subject, "deployment": offered, "developer": None}[asked["about"]]
        said = [it for it in self.facts.attestations if not it.is_assumption and (it.name, it.about) == (name, about)]
        said = [it for it in said if asked["by"] in it.signers and self.counts(it, it.at)]
        end = max((after(it.at, asked["fresh_for"]) for it in said), default=self.at)
        return Span(end, math.inf) if self.at < end else None

    def answer(self) -> Json:
        """The verdict, its bounds, and every cell that gates (36 to 43)."""
        asked, policy, terms, one = self.asked, self.policy, self.policy["permits"], Fraction(1)
        scope = policy["scope"].get("subjects") if self.stands else None
        governs = asked.action not in policy["not_governed"] and not (scope and self.part(scope, "", one, one).below)
        gate = policy["gates"].get(asked.action, {}) if governs and self.stands else {}
        gate = {name: cell["requires"] for name, cell in gate.items() if cell["requires"]}
        cells, spans = Json(), list[Span | None]()
        for name, requires in gate.items():
            found, met = self.threshold(name), {need: self.met(need) for need in requires}
            state = "reached" if found.reached else "below" if found.below else "not ruled out"
            spans.append(found.below or least([found.evaluated, *met.values()]))
            said = {need: span is not None for need, span in met.items()}
            overdue = found.below is None and found.evaluated is None
            cells[name] = {"state": state, "overdue": overdue, "opens": spans[-1] is not None, "met": said}
        known = self.facts.deployments.get(asked.deployment)
        fine = asked.deployment is None or (known and known.subject == asked.subject)
        fine = fine and cells and self.since <= self.at and self.read <= self.at < after(self.read, terms["ledger_age"])
        if fine:
            rules = [rule for name in gate if (rule := policy["thresholds"][name]["rule_out"])]
            parts = [it[part] for it in [policy, *rules] for part in ("refresh", "buffer") if part in it]
            far = [Fraction(it["multiple"]) for it in parts]
            spans.append(Span(after(self.at, terms["lease"]), self.subject.ec_low * min(far)))
            spans.append(Span(moment(policy["expires"]) if policy["expires"] else LAST, math.inf))
        span = least(spans)
        permit = fine and span is not None and self.room(span) and self.at < span.end
        verdict = "permit" if permit else "hold"
        told = {policy["id"]: {"governs": governs, "verdict": verdict, "cells": cells}} if self.since <= self.at else {}
        bounds = (str(math.floor(span.reach)), written(span.end)) if permit else (None, None)
        return {"verdict": verdict, "most_effective_compute": bounds[0], "not_after": bounds[1], "policies": told}


def answer(asked: Any, policy: Json, since: datetime, entered: datetime, facts: Any) -> Json:
    """Answer a question to one version of one policy, or raise `Outside`."""
    try:
        outside(policy, facts)
        return Rule(asked, policy, since, entered, facts).answer()
    except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Outside(f"a policy that cannot be read, {error!r:.80}") from error


def plausible(subject: Any) -> bool:
    return bool(0 <= subject.ec_low <= subject.ec_high and subject.training_compute >= 0)


def hole(threshold: Json) -> bool:
    return threshold["reached_when"] is None and not threshold.get("judged", {}).get("on")


def turned(measure: Json, leaf: Json) -> Fraction:
    return Fraction(leaf["level"]) if measure["danger"] == "higher" else 1 - Fraction(leaf["level"])


# -- a bundle ----------------------------------------------------------------------------------------------------------


def covered(bundle: Json, log: NoteKey, entries: list[bytes], witnesses: Witnesses | None) -> tuple[Any, ...]:
    """Verify the log's side of a bundle: the time of each entry, the root at each size, the latest checkpoint."""
    stubs = [f"interlock payload v1\nsha256 {sha256(it)}\n{len(it)}\n".encode() for it in entries]
    logged = [it if len(it) <= 65535 else stub for it, stub in zip(entries, stubs, strict=True)]
    roots, times = tree_roots([hashlib.sha256(b"\x00" + it).digest() for it in logged]), list[datetime]()
    count, last, before = len(entries), Checkpoint(-1, b"", EPOCH, []), list[datetime]()
    for number, note in enumerate(bundle["history"]):
        made, where = checkpoint(note, log, {}, f"history {number}"), f"history {number}"
        fine = (made.size == 0) == (number == 0) and last.size < min(made.size, count) and last.time <= made.time
        demand(fine, where, f"{made.size} at {written(made.time)}", "0, then more and later, up to the last entry")
        fine = made.size > count or made.root == roots[made.size]
        demand(fine, f"entries {max(last.size, 0)} to {made.size - 1}", "another tree", f"root {made.root.hex()}")
        more = min(made.size, count) - len(times)
        times, before, last = times + [made.time] * more, before + [last.time] * more, made
    demand(0 < count <= last.size, "history", f"{count} entries, covered up to {last.size}", "some, and all covered")
    latest = checkpoint(bundle["checkpoint"], log, witnesses.keys if witnesses else {}, "checkpoint")
    fine = latest.time >= last.time and (latest.size > last.size or latest[:2] == last[:2])
    demand(fine, "checkpoint", f"{latest.size} at {written(latest.time)}", "no less than the history, and its tree")
    for later, name in ((last, "history_proof"), (latest, "checkpoint_proof")):
        continues(count, roots[count], later, [unbase64(it, name) for it in bundle[name]], name)
    fine = witnesses is None or witnesses.stand(witnesses.quorum, latest.witnesses)
    demand(fine, "checkpoint", f"cosignatures of {latest.witnesses}", "those of the quorum of witnesses")
    return times, before, roots, latest


def verify(data: bytes, log: NoteKey, pinned: str | None, witnesses: Witnesses | None) -> Json:
    """Verify a bundle; return what it shows, or raise `Refused` or `Outside`."""
    demand(len(data) <= 1 << 26, "bundle", f"{len(data)} bytes", "at most 64 MiB")
    bundle = strict(data, "bundle")
    fits(bundle, "bundle", "bundle")
    demand(bundle["bundle"] == "urn:interlock:bundle:v1", "bundle", bundle["bundle"], "urn:interlock:bundle:v1")
    entries = [text.encode() for text in bundle["entries"]]
    times, before, roots, latest = covered(bundle, log, entries, witnesses)
    reader, said, index = Reader(pinned), Json(), len(entries) - 1
    for number, (entry, at) in enumerate(zip(entries, times, strict=True)):
        said = reader.take(entry, at, f"entry {number}")
    where, claimed = f"the decision of entry {index}", said["predicate"]
    demand(reader.kinds[-1] == "decision", where, f"a {reader.kinds[-1]}", "a decision as the last entry")
    asked, seen = SimpleNamespace(**{**claimed, "at": moment(claimed["at"])}), claimed["checkpoint"]
    size, read = seen["size"], moment(seen["time"])
    demand(set(claimed) == DECISION, where, sorted(set(claimed) ^ DECISION), "the members of a decision and no other")
    fine = size == index > 0 and roots[size].hex() == seen["root"]
    fine = fine and times[size - 1] <= read <= asked.at <= times[size]
    demand(fine, where, f"{seen} at {claimed['at']}", "the size and root of all entries before it, at times that fit")
    past, policy = Reader(reader.digest), reader.policy
    for number in range(size):
        past.take(entries[number], times[number], f"entry {number}")
    known = said["subject"][0]["digest"]["sha256"] == asked.subject in past.facts.subjects
    demand(known, where, asked.subject, "the subject that it is about, of which it had read")
    past.facts.checkpoint = SimpleNamespace(time=read)
    derived = answer(asked, policy, moment(policy["effective"]), times[0], past.facts)
    differ(where, claim(claimed, (policy["id"], policy["version"], reader.digest)), derived)
    if derived["verdict"] == "permit":  # a note that was left out would make a plan look younger, never older
        first = dict(sorted(zip(times, before, strict=True), reverse=True))
        for plan in past.facts.plans:
            plan.at = earliest(plan, first[plan.at], policy["report_within"])
        worst = answer(asked, policy, moment(policy["effective"]), before[0], past.facts)
        demand(worst["verdict"] == "permit", where, "a permit by plans that may be older", "one that stands then")
    unread = Counter(kind for kind in reader.kinds[:-1] if kind in {"decision", "permit", "snapshot"})
    doubts = {
        "that the policy is the one you expect: no --policy": pinned,
        "that others see the same: no --witnesses": witnesses,
    }
    return {
        "verified": f"{asked.action} of {past.facts.subjects[asked.subject].name}: {derived['verdict']}",
        "subject": asked.subject,
        "deployment": asked.deployment,
        "at": claimed["at"],
        "policy": f"{policy['id']} {policy['version']} {reader.digest}",
        "log": f"{log.name}, {size} entries read, decided in entry {index}, {latest.size} by the latest checkpoint",
        "witnesses": latest.witnesses,
        **derived,
        "not checked": [
            f"the logs of {reader.kinds.count('result')} results: they are not in a bundle",
            "the texts, reasons, bounds of results, ways to lift a hold and duties that the decision tells besides",
            *(f"{count} x {kind}, beyond the signatures" for kind, count in sorted(unread.items())),
            *(doubt for doubt, given in doubts.items() if given is None),
        ],
    }


def earliest(plan: Any, first: datetime, within: Json) -> datetime:
    """The first second, from `first` on, at which a plan did not promise its report later than the policy allows."""
    last = plan.at
    while last - first > timedelta(seconds=1):
        middle = first + (last - first) // 2
        first, last = (first, middle) if after(middle, within) >= plan.report_by else (middle, last)
    return first


def claim(said: Json, policy: tuple[str, ...]) -> Json:
    """What a decision says, in the form of an answer."""
    policies = {}
    for ruling in said["rulings"]:
        it = (ruling["policy"], ruling["version"], ruling["digest"])
        demand(it == policy, "the decision's ruling", it, policy)
        cells = {one["threshold"]: {**one["finding"], **one} for one in ruling["cells"]}
        met = {name: {need["name"]: need["met"] for need in one["requirements"]} for name, one in cells.items()}
        told = {name: {it: one[it] for it in ("state", "overdue", "opens")} for name, one in cells.items()}
        told = {name: {**one, "met": met[name]} for name, one in told.items()}
        policies[ruling["policy"]] = {"governs": ruling["governs"], "verdict": ruling["verdict"], "cells": told}
    bounds = said["bounds"] or {"most_effective_compute": None, "not_after": None}
    return {"verdict": said["verdict"], **bounds, "policies": policies}


def differ(where: str, got: Any, expected: Any) -> None:
    """Refuse the first thing in which a claim differs from what the rule says."""
    same = isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys()
    for name in got if same else ():
        differ(f"{where}, {name}", got[name], expected[name])
    demand(same or got == expected, where, got, f"{expected} by the rule")


# -- the command -------------------------------------------------------------------------------------------------------


def facts_from(value: Any, name: str = "") -> Any:
    """Facts as the cases have them, with exact numbers, moments and sets."""
    if isinstance(value, dict):
        made = {inner: facts_from(one, inner) for inner, one in value.items()}
        return made if name in {"subjects", "deployments"} else SimpleNamespace(**made)
    if isinstance(value, list):
        return set(value) if name == "signers" else [facts_from(one) for one in value]
    if name in {"training_compute", "ec_low", "ec_high", "compute"}:
        return Fraction(value)
    return moment(value) if name in {"at", "time", "report_by", "since", "entered"} else value


def answer_cases(path: Path) -> int:
    """Answer the cases of conformance/decide that are in the core; say how many are not, and which differ."""
    told: Counter[str] = Counter()
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for case in map(json.loads, file):
            asked, (version, *others) = facts_from({**case["question"], "versions": []}), case["question"]["versions"]
            try:
                if others:
                    raise Outside("several versions")
                since, entered = moment(version["since"]), moment(version["entered"])
                got = answer(asked, version["policy"], since, entered, asked.facts)
                told["in the core"] += 1
                differ(f"case {case['id']}", got, case["answer"])
            except Outside:
                told["outside"] += 1
            except Refused as error:
                told["different"] += 1
                print(error)
    print(*(f"{told[it]} {it}" for it in ("in the core", "outside", "different")), sep=", ")
    return 1 if told["different"] else 0


def table(told: Json) -> str:
    """What was found, for people."""
    rows = [(name, value) for name, value in told.items() if value and name != "policies"]
    for name, cell in (it for policy in told.get("policies", {}).values() for it in policy["cells"].items()):
        met = [f"{one} {'met' if so else 'not met'}" for one, so in cell["met"].items()]
        said = ["opens" if cell["opens"] else "holds", cell["state"], *["overdue"] * cell["overdue"], *met]
        rows.append((f"cell {name}", ", ".join(said)))
    lines = [(name, one) for name, value in rows for one in (value if isinstance(value, list) else [value])]
    return "\n".join(f"{name + ':':<24} {one}" for name, one in lines)


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, help="the file to verify")
    parser.add_argument("--vkey", help="the log's verifier key, NAME+ID+BASE64, from somebody whom you trust")
    parser.add_argument("--policy", help="the SHA-256 of the compiled policy that you expect")
    parser.add_argument("--witnesses", type=Path, help="a file of witnesses and their quorum (c2sp.org/tlog-policy)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cases", type=Path, help="answer the cases of conformance/decide instead")
    given = parser.parse_args(arguments)
    try:
        if given.cases:
            return answer_cases(given.cases)
        demand(given.bundle and given.vkey, "arguments", "too few", "a bundle and --vkey, or --cases")
        demand(re.fullmatch("[0-9a-f]{64}", given.policy or "0" * 64), "--policy", given.policy, "a SHA-256")
        data, log = given.bundle.read_bytes(), note_key(given.vkey, 1)
        witnesses = Witnesses(given.witnesses.read_text("utf-8"), log) if given.witnesses else None
    except (OSError, ValueError, lzma.LZMAError, Refused) as error:
        parser.error(str(error))
    try:
        code, told = 0, verify(data, log, given.policy, witnesses)
    except Outside as error:
        code, told = 4, {"not verified here": str(error)}
    except (Refused, LookupError, TypeError, ValueError, AttributeError) as error:
        code, told = 1, {"refused": str(error) if isinstance(error, Refused) else f"got {error!r:.90}"}
    print(json.dumps(told, indent=2) if given.json else table(told))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
