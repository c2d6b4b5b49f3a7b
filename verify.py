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
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

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


def once(pairs: list[tuple[str, Any]]) -> Json:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def strict(data: bytes, where: str, *, spelled: bool = True) -> Json:
    """Exactly one JSON object and nothing around it, no member twice; `spelled`: in its canonical spelling."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=once)
        fine = data[:1] == b"{" and data[-1:] == b"}" and (canonical(value).encode() == data or not spelled)
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


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


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
CURVE, ROOT_OF_MINUS_ONE = -121665 * pow(121666, -1, FIELD) % FIELD, pow(2, (FIELD - 1) // 4, FIELD)
Point = tuple[int, int, int]


def plus(a: Point, b: Point) -> Point:
    """The sum of two points of edwards25519, each as x, y, z with its coordinates x/z and y/z; equal ones too."""
    xx, yy, z = a[0] * b[0] % FIELD, a[1] * b[1] % FIELD, a[2] * b[2] % FIELD
    bend, cross = CURVE * xx * yy % FIELD, (a[0] + a[1]) * (b[0] + b[1]) - xx - yy
    less, more = z * z - bend, z * z + bend
    return z * less * cross % FIELD, z * more * (yy + xx) % FIELD, less * more % FIELD


def prime_order(raw: bytes) -> bool:
    """Whether these are the one encoding, in 32 bytes, of a point of prime order (RFC 8032, section 5.1.3)."""
    y, sign = int.from_bytes(raw, "little") & (2**255 - 1), raw[-1:] >= b"\x80"
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    x = x if x * x % FIELD == square else x * ROOT_OF_MINUS_ONE % FIELD
    total, point, left = (0, 1, 1), (x if x & 1 == sign else FIELD - x, y, 1), ORDER
    while left:
        total = plus(total, point) if left & 1 else total
        point, left = plus(point, point), left >> 1
    fine = len(raw) == 32 and y < FIELD and x * x % FIELD == square and x != 0
    return fine and total[0] == 0 and total[1] == total[2]


def signed(raw: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# -- signed notes, witnesses, the tree (docs/ledger.md) ----------------------------------------------------------------


class NoteKey(NamedTuple):
    """A key as notes know it; the type is 1 for signatures and 4 for timestamped cosignatures."""

    name: str
    kind: int
    raw: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]


def note_key(vkey: str, kind: int) -> NoteKey:
    name, digest, encoded = [*vkey.split("+", 2), "", ""][:3]
    data = unbase64(encoded, f"verifier key `{name}`")
    made = NoteKey(name, kind, data[1:])
    fine = name and data[:1] == bytes([kind]) and digest == made.id.hex() and prime_order(made.raw)
    demand(fine, "verifier key", vkey, f"NAME+ID+BASE64 of an Ed25519 key of type {kind}")
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


class Checkpoint(NamedTuple):
    """A verified checkpoint, and the witnesses that cosigned it."""

    size: int
    root: bytes
    time: datetime
    witnesses: list[str]


def checkpoint(text: str, log: NoteKey, witnesses: dict[str, NoteKey], where: str) -> Checkpoint:
    """Verify a note: the log's signature, the log's cosignature, then those of witnesses, and nobody else's."""
    note = re.fullmatch(r"(([^\n]+)\n(0|[1-9][0-9]{0,17})\n([^\n]+)\n)\n((?:— [^\n +]+ [^\n ]+\n){2,64})", text)
    demand(note and min(text.replace("\n", " ")) >= " ", where, text, "a note of three lines, signed twice")
    body, origin, size, root, lines = note.groups()  # type: ignore[union-attr]  # as just seen
    times, found = list[datetime](), list[str]()
    for number, line in enumerate(lines[:-1].split("\n")):
        _, name, encoded = line.split(" ")
        blob, message = unbase64(encoded, where), body
        others = {"the log": log._replace(kind=4 if number else 1)} if number < 2 else witnesses
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


# -- statements and policies (docs/formats.md, docs/policy-language.md) ------------------------------------------------

FORMS = {
    "digest": "[0-9a-f]{64}",
    "flop": "0|[1-9][0-9]{0,39}",
    "time": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
    "text": "(?s).{1,4096}",
    "any": "(?s).*",
    "decimal": r"(0|[1-9][0-9]{0,17})(\.[0-9]{0,17}[1-9])?",
}
SHAPES = """
bundle: bundle=urn:interlock:bundle:v1 checkpoint=any checkpoint_proof=any* entries=any* history=any* history_proof=any*
envelope: payload=any payloadType=application/vnd.in-toto+json signatures=signature*
signature: keyid=text sig=any
statement: _type=https://in-toto.io/Statement/v1 predicateType=text subject=about* predicate=object
about: name=text digest=hash
hash: sha256=digest
subject:v2: name=text training_compute=flop effective_compute=ends steps=step* run?=run manifest?=manifest
  model_signing_sha256?=digest
run: config_sha256=digest data_sha256=digest
manifest: serialization=layout resources=file*
layout: method=files hash_type=sha256 allow_symlinks=false ignore_paths=empty
file: name=text algorithm=sha256 digest=digest
ends: low=flop high=flop
step: parent=digest kind=continued|fine-tuned|adapter|merged|distilled|quantised|edited compute=flop
deployment:v1: name=text subject=digest system_prompt_sha256=digest|null filters=hashed* tools=hashed* surface=text
  access_tier=text sampling=decimal:
hashed: name=text sha256=digest
plan:v1: protocol=protocol report_by=time
protocol: deployment?=digest task=text task_version=count metric=text samples=count samples_sha256=digest elicitation=tried
tried: kind=prompted|few-shot|scaffolded|fine-tuned|rl-fine-tuned|understanding-based shots=count demonstrations=count
  seed=count
result:v1: plan=digest protocol=protocol log=log counts=counts budget=budget environment=any:
log: name=text sha256=digest outcomes_sha256=digest
counts: planned=count completed=count scored=count correct=count
budget: tokens=count flop=flop
attestation:v1: kind=assumption|requirement name=text about=subject|deployment|developer statement=text at=time
permit:v1: deployment?=digest action=text decision=digest policy=digest effective_compute=lease not_before=time
  not_after=time
lease: start=flop most=flop
snapshot:v1: permit=digest parent=digest step=count effective_compute=flop ended=text
decision:v1: verdict=permit|hold action=text subject=digest deployment=digest|null at=time checkpoint=read
  bounds=bounds|null rulings=ruling* reasons=json resume=json
read: size=count root=digest time=time
bounds: most_effective_compute=flop not_after=time
ruling: policy=text version=text digest=digest governs=bool verdict=permit|hold cells=decided* reasons=json duties=json
decided: threshold=text opens=bool finding=finding requirements=need* lifts=json
finding: state=text overdue=bool evaluated_until=json reasons=json tree=json
need: name=text kind=text met=bool tree=json
"""
TABLE = {  # `name?` may be left out; `kind*` is a list, `kind:` an object by names, `a|b` one of several
    head: dict(member.split("=", 1) for member in members.split())
    for head, members in (line.split(": ", 1) for line in re.split(r"\n(?=\S)", SHAPES.strip()))
}


def is_one(value: Any, kind: str) -> bool:
    """Whether a value is of a kind that SHAPES has for single values; any other word there stands for itself."""
    if kind in FORMS:
        return isinstance(value, str) and re.fullmatch(FORMS[kind], value) is not None
    types = {"count": int, "bool": bool, "object": dict, "empty": list}
    if kind in types:
        return type(value) is types[kind] and not (kind == "empty" and value) and not (kind == "count" and value < 0)
    return kind == "json" or value is {"null": None, "false": False}.get(kind, ...) or value == kind


def fits(value: Any, kind: str, where: str) -> None:
    """Check a value, and everything in it, against SHAPES: what has no name there is refused."""
    if kind[-1] in "*:":
        demand(
            isinstance(value, list if kind[-1] == "*" else dict), where, value, "a list" if kind[-1] == "*" else "names"
        )
        for name, inner in enumerate(value) if kind[-1] == "*" else value.items():
            fits(inner, kind[:-1], f"{where}, {name}")
    elif kind.removesuffix("|null") in TABLE and value is not None:
        shape = TABLE[kind.removesuffix("|null")]
        demand(isinstance(value, dict), where, value, "an object")
        names, least = {name.rstrip("?"): part for name, part in shape.items()}, {it for it in shape if it[-1] != "?"}
        demand(least <= value.keys() <= names.keys(), where, sorted(value), ", ".join(shape))
        for name, inner in value.items():
            fits(inner, names[name], f"{where}, {name}")
    else:
        demand(any(is_one(value, one) for one in kind.split("|")), where, value, kind)
    if kind == "time":
        try:
            moment(value)
        except ValueError as error:
            raise Refused(f"{where}: got {value}, expected a time that exists") from error


class Reader:
    """Reads entry after entry, and refuses what the entries before it do not support."""

    def __init__(self, pinned: str | None) -> None:
        self.pinned, self.policy, self.digest, self.kinds = pinned, Json(), "", list[str]()
        self.keys, self.roles = dict[str, bytes](), dict[str, tuple[set[str], int]]()
        self.seen, self.weights = set[str](), set[str]()
        self.facts = SimpleNamespace(subjects={}, deployments={}, plans=[], results=[], attestations=[])
        self.facts.withdrawals, self.facts.set_asides, self.facts.checkpoint = [], [], None

    def take(self, data: bytes, at: datetime, where: str) -> Json:
        """Read one entry; return its statement."""
        demand(len(data) <= 1 << 20, where, f"{len(data)} bytes", "an envelope of at most 1 MiB")
        envelope = strict(data, where, spelled=False)
        fits(envelope, "envelope", where)
        payload, form = unbase64(envelope["payload"], where), envelope["payloadType"]
        said, digest = strict(payload, where), sha256(payload)
        fits(said, "statement", where)
        prefix, _, kind = said["predicateType"].partition("urn:interlock:")
        if (
            prefix
            or kind not in {"policy:v1", *(name for name in TABLE if ":" in name)}
            or "imported" in said["predicate"]
        ):
            raise Outside(f"{where}: a statement of type `{said['predicateType']:.80}`, or a log that was imported")
        fine = len(said["subject"]) == 1 and digest not in self.seen and (kind == "policy:v1") == (not self.kinds)
        demand(fine, where, f"a {kind} on {said['subject']}", "one subject, nothing said twice, one policy as entry 0")
        self.kinds.append(kind.partition(":")[0])
        self.seen.add(digest)
        fits(said["predicate"], kind if kind in TABLE else "object", where)
        fact = SimpleNamespace(digest=digest, subject=said["subject"][0]["digest"]["sha256"], at=at)
        if kind == "policy:v1":
            self.adopt(said["predicate"], fact.subject, where)
        message = f"DSSEv1 {len(form)} {form} {len(payload)} ".encode() + payload
        fact.signers = self.signers(envelope["signatures"], message, where)
        approved = set(self.policy["amendments"]["approved_by"]) if kind == "policy:v1" else fact.signers
        demand(approved and approved <= fact.signers, where, sorted(fact.signers), f"signed by {sorted(approved)}")
        if self.kinds[-1] in {"subject", "deployment", "plan", "result", "attestation"}:
            getattr(self, self.kinds[-1])(said["predicate"], fact, where)
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
        expected = self.pinned or self.digest
        demand(about == self.digest == expected, where, f"policy {self.digest} as {about}", expected)
        for name, role in policy["roles"].items():
            raws = [unbase64(text.removeprefix("ed25519:"), where) for text in role["keys"]]
            apart = {text for other in role["independent_of"] for text in policy["roles"][other]["keys"]}
            fine = all(text[:8] == "ed25519:" for text in role["keys"]) and all(map(prime_order, raws))
            fine = fine and len(set(raws)) == len(raws) and not apart & set(role["keys"])
            demand(
                fine, f"{where}, role `{name}`", role["keys"], "sound keys, each once, none of who it is independent of"
            )
            self.keys |= {sha256(raw): raw for raw in raws}
            self.roles[name] = {sha256(raw) for raw in raws}, role["quorum"]

    def subject(self, said: Json, fact: Any, where: str) -> None:
        files, others = said.get("manifest", {}).get("resources", []), self.facts.subjects
        names, joined = [it["name"].split("/") for it in files], bytes.fromhex("".join(it["digest"] for it in files))
        fine = (
            names == sorted(names) and len(set(map(tuple, names))) == len(names) and bool(names) == ("manifest" in said)
        )
        fine = fine and not any({"", ".", ".."} & {*name} for name in names) and ("run" in said) != ("manifest" in said)
        fine = fine and said.get("model_signing_sha256") == (sha256(joined) if names else None)
        demand(fine and not ("run" in said and said["steps"]), where, sorted(said), "a manifest in order, or a new run")
        made = sha256(canonical(said.get("run") or said["manifest"]).encode())
        fine = made == fact.subject and made not in others and all(said["name"] != it.name for it in others.values())
        demand(fine, where, f"{said['name']}: {fact.subject}", f"{made}, a subject and a name that are new")
        self.weights |= {made} if names else set()
        ends = {f"ec_{end}": Fraction(flop) for end, flop in said["effective_compute"].items()}
        steps = [SimpleNamespace(**{**it, "compute": Fraction(it["compute"])}) for it in said["steps"]]
        one = SimpleNamespace(
            digest=made, name=said["name"], training_compute=Fraction(said["training_compute"]), **ends
        )
        demand(0 < one.ec_low <= one.ec_high, where, ends, "an interval above 0")
        for step in steps:
            demand(step.parent in others, where, f"parent {step.parent}", "a subject in the ledger before it")
            parent = others[step.parent]
            least = step.compute + (parent.training_compute if step.parent in self.weights else 0)
            fine = one.ec_low >= parent.ec_low and one.ec_high >= parent.ec_high and one.training_compute >= least
            demand(fine, where, "less compute", f"no less than that of its parent `{parent.name}`, and the step")
        one.steps, others[made] = steps, one

    def deployment(self, said: Json, fact: Any, where: str) -> None:
        made = sha256(canonical({name: part for name, part in said.items() if name != "name"}).encode())
        others, lists = self.facts.deployments, [[it["name"] for it in said[kind]] for kind in ("filters", "tools")]
        fine = made == fact.subject and made not in others and all(said["name"] != it.name for it in others.values())
        fine = fine and said["subject"] in self.weights and all(len(set(names)) == len(names) for names in lists)
        demand(
            fine, where, fact.subject, f"{made}, a new deployment and name, of a subject with weights, nothing twice"
        )
        others[made] = SimpleNamespace(digest=made, name=said["name"], subject=said["subject"])

    def ran(self, fact: Any, said: Json, where: str) -> Any:
        """What was run. What statements do not say yet is what shows the least."""
        offered, tried = said.get("deployment"), said["elicitation"]
        known = self.facts.deployments.get(offered, SimpleNamespace(subject=None if offered else fact.subject))
        fine = fact.subject in self.weights and known.subject == fact.subject
        demand(fine, where, f"{fact.subject}, {offered}", "a subject with weights, and a deployment of it, before it")
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
        fine = fact.correct <= fact.scored <= fact.completed <= counts["planned"] == fact.protocol.samples
        demand(fine, where, counts, "correct <= scored <= completed <= planned")
        fact.flop, fact.total, fact.refused, fact.plan = int(said["budget"]["flop"]), None, None, None
        for plan in self.facts.plans:  # one that announced something else, or that others signed, is not its plan
            same = (plan.digest, plan.subject, plan.protocol) == (said["plan"], fact.subject, fact.protocol)
            fact.plan = plan if same and plan.signers & fact.signers else fact.plan
        self.facts.results.append(fact)

    def attestation(self, said: Json, fact: Any, where: str) -> None:
        known = {"developer": {self.digest}, "subject": self.facts.subjects, "deployment": self.facts.deployments}
        fine = fact.subject in known[said["about"]] and moment(said["at"]) <= fact.at
        demand(fine, where, f"{fact.subject}, dated {said['at']}", f"a {said['about']} that is known, no later date")
        fact.is_assumption, fact.name, fact.check = said["kind"] == "assumption", said["name"], None
        fact.at, fact.about = moment(said["at"]), None if said["about"] == "developer" else fact.subject
        self.facts.attestations.append(fact)


# -- what is outside of the core ---------------------------------------------------------------------------------------

ELICITATIONS = TABLE["tried"]["kind"].split("|")
SECTIONS = """interlock id version title effective expires supersedes imposed_by scope roles measures assumptions thresholds
requirements exceptions gates not_governed actions refresh attacker_budget attacker_budget_source permits report_within
independent on_hold duties amendments context sources""".split()
MEMBERS = """above access alert_for approved_by argument assumes attempts audience below_if binds buffer by checked claim
confidence consulted count coverage declares demonstrations developers discretion domain doubt events exempt flop fresh_for
frozen_while_reached changelog_required high independent_of issued_by items judged keys lease least_samples ledger_age level
low margin measure metric modality months multiple notice of owner parts period proposed_by quantity quorum reached_when
refines refresh refusals requires reversible review revocable_by role rule_out run_by rung safety_ablated samples_digest
seconds shots size source sources standard subject subjects surface takeover_potential task task_version threat_models
threshold tools unit valid_below void_at weaker weights what""".split()
WORDS = {
    "is": """at amount ref at-least under-quantity measure compute-ratio unbounded mean attested approved defined ruled-out
        combined hole never""".split(),
    "about": ["subject", "deployment", "developer"],
    "kind": ["capability", "propensity", "safeguard", "understanding"],
    "on": ["model", "deployment"],
    "danger": ["higher", "lower"],
    "elicitation": ELICITATIONS,
}


def outside(policy: Json, facts: Any) -> None:
    """Look at all of a policy that decides, and at the kinds of fact, for what has no rule here.

    Raises:
        Outside: there is something.
    """

    def check(part: Any, where: str, named: int = 0) -> None:
        for name, inner in part.items() if isinstance(part, dict) else ():
            known = named or (
                inner in WORDS[name] if name in WORDS and isinstance(inner, str) else name in {*MEMBERS, *WORDS}
            )
            if not known:
                raise Outside(f"`{name}: {inner!s:.60}` in {where}")
            for one in inner if isinstance(inner, list) else [inner] if name not in {"items", "weights"} else []:
                check(one, f"{where}, {name}" if named else where, max(named - 1, 0))

    for name, section in policy.items():
        if name not in SECTIONS or (name == "interlock" and section != "policy/v1"):
            raise Outside(f"`{name}: {section!s:.60}` in the policy")
        names = {"scope": 0, "refresh": 0, "permits": 0, "report_within": 0, "amendments": 0, "gates": 2}.get(name, 1)
        if name not in {
            "exceptions",
            "not_governed",
            "on_hold",
            "duties",
            "context",
        }:  # by which nothing is decided here
            check(section, name, names)
    leaves = [part for one in policy["thresholds"].values() for part in walk(one["reached_when"]) if part["is"] == "at"]
    told = {
        "a level of a mean": any(policy["measures"][part["measure"]]["is"] != "measure" for part in leaves),
        "incidents": bool(getattr(facts, "incidents", ())),
        "judgements": getattr(facts, "judgements", ()) and any("judged" in it for it in policy["thresholds"].values()),
        "approvals": getattr(facts, "approvals", ())
        and any(it["is"] == "approved" for it in policy["requirements"].values()),
        "exceptions": getattr(facts, "amendments", ()) and policy["exceptions"],
    }
    for what in (name for name, there in told.items() if there):
        raise Outside(what)


# -- what a result shows (docs/semantics.md, rules 1 to 3; exact: nothing is ever rounded) -----------------------------


def at_most(k: int, n: int, p: Fraction) -> Fraction:
    """P(X <= k) for X binomial (n, p), 0 < p <= 1."""
    hit, miss = p.numerator, p.denominator - p.numerator
    if k < 0 or k >= n or miss == 0:
        return Fraction(k >= n)
    total = term = miss**n
    for i in range(k):
        term = term * (n - i) * hit // ((i + 1) * miss)
        total += term
    return Fraction(total, p.denominator**n)


def shows_share(k: int, n: int, p: Fraction, alpha: Fraction) -> bool:
    """Whether k of n shows a share of at least p (Clopper and Pearson 1934, one-sided)."""
    return p <= 0 or (0 < k <= n and p <= 1 and 1 - at_most(k - 1, n, p) <= alpha)


def exp_above(x: Fraction, y: Fraction) -> bool:
    """Whether e^x > y, for x > 0: the series is summed until what is left of it cannot change the answer."""
    if y <= 1 or x > math.ceil(y).bit_length():  # e^x > 2^x
        return True
    total = term = Fraction(1)
    for n in range(1, sys.maxsize):
        term = term * x / n
        total += term
        if total > y or (n > x and total + term * x / (n + 1 - x) < y):  # the rest is under a geometric series
            break
    return total > y


class Tally:
    """A result as a measure counts it, turned so that more is more dangerous."""

    def __init__(self, result: Any, measure: Json) -> None:
        self.low, self.high, self.n = Fraction(measure["low"]), Fraction(measure["high"]), result.protocol.samples
        scored, total = result.scored, result.correct if result.total is None else result.total
        self.counted, self.missing = result.total is None, self.n - scored
        unit = (self.low, self.high) == (0, 1) or not self.counted
        self.readable = unit and 0 <= scored <= self.n and scored * self.low <= total <= scored * self.high
        self.sum = total if measure["danger"] == "higher" else scored * (self.low + self.high) - total
        asked = measure["kind"] == "capability" and result.refused is not None
        self.refused = min(max(scored + result.refused - result.completed, 0), scored) if asked else 0
        self.answers = scored - self.refused

    def rules_out(self, level: Fraction, alpha: Fraction) -> bool:
        """Whether the subject is shown to be under a level, where all that is not scored counts as the worst (1, 2)."""
        if not self.readable or self.n <= 0 or alpha <= 0 or level <= self.low:
            return False
        span = self.high - self.low
        worst = min(self.sum + self.missing * self.high + self.refused * span, self.n * self.high)
        if self.counted:
            return at_most(int(worst), self.n, min(level, Fraction(1))) < alpha
        gap = level - worst / self.n
        return gap > 0 and exp_above(2 * self.n * (gap / span) ** 2, 1 / alpha)

    def shows(self, level: Fraction, alpha: Fraction) -> bool:
        """Whether the subject is shown to be at a level, where all that is not scored counts as harmless (1, 2)."""
        if not self.readable or self.counted:
            return self.readable and shows_share(int(self.sum), self.n, level, alpha)
        gap = (self.sum + self.missing * self.low) / self.n - level if self.n else 0
        fine = gap > 0 and level <= self.high and alpha > 0
        return level <= self.low or (fine and exp_above(2 * self.n * (gap / (self.high - self.low)) ** 2, 1 / alpha))


# -- the rule for the core (docs/semantics.md; its numbers stand in brackets) ------------------------------------------


REVERSIBLE, TRAINED = {"scale", "deploy-internal", "deploy-api"}, {"fine-tuned", "rl-fine-tuned"}
ASSUMED = {  # what a negative result under each elicitation takes for granted (15)
    **dict.fromkeys(("prompted", "few-shot", "scaffolded"), {"no-evaluation-gaming"}),
    "fine-tuned": {"no-gradient-hacking", "good-demonstrations"},
    "rl-fine-tuned": {"no-gradient-hacking", "no-exploration-hacking"},
    "understanding-based": {"valid-understanding"},
}


class Span(NamedTuple):
    """Until when something holds, and up to which effective compute."""

    end: datetime
    reach: Fraction | float


class Part(NamedTuple):
    """What is found of an expression or a threshold; `below` and `evaluated` are None where it is not."""

    reached: bool
    below: Span | None
    evaluated: Span | None


ALWAYS = Span(LAST, math.inf)


def least(spans: Iterable[Span | None]) -> Span | None:
    """As far as all of them go; None if one is None."""
    found = [ALWAYS, *spans]
    return None if None in found else Span(min(it.end for it in found), min(it.reach for it in found))  # type: ignore[union-attr]


def latest(spans: Iterable[Span | None], count: int = 1) -> Span | None:
    """As far as those `count` go that end last (in order of writing where alike); None if there are not so many."""
    found = sorted((it for it in spans if it), key=lambda it: it.end, reverse=True)
    return least(found[:count]) if 0 < count <= len(found) else None


def walk(part: Json | None) -> list[Json]:
    """An expression and everything in it."""
    return [part, *(it for inner in part.get("parts", ()) for it in walk(inner))] if part else []


def turned(measure: Json, level: str) -> Fraction:
    ends = Fraction(measure["low"]) + Fraction(measure["high"])
    return Fraction(level) if measure["danger"] == "higher" else ends - Fraction(level)


def alpha_of(rule: Json | None) -> Fraction:
    return 1 - Fraction(rule["confidence"]) if rule else Fraction(1)


def plausible(subject: Any) -> bool:
    return bool(0 <= subject.ec_low <= subject.ec_high and subject.training_compute >= 0)


class Rule:
    """One question to one version of one policy."""

    def __init__(self, asked: Any, policy: Json, since: datetime, entered: datetime, facts: Any) -> None:
        self.asked, self.policy, self.facts, self.at = asked, policy, facts, asked.at
        self.since, self.entered, self.read = max(since, entered), entered, facts.checkpoint.time
        self.thresholds, self.measures, self.known = policy["thresholds"], policy["measures"], facts.subjects
        undone = policy["actions"].get(asked.action, {"reversible": asked.action in REVERSIBLE})["reversible"]
        self.irreversible = asked.action == "release-weights" or not undone
        line = {asked.subject} | self.ancestors(asked.subject)
        self.sound_line = all(one in self.known and plausible(self.known[one]) for one in line)
        if self.sound_line:
            self.subject = self.known[asked.subject]
            self.cheap = {one: self.derivatives(one, cheap=True) for one in line}
            self.relatives = line.union(*self.cheap.values())
            self.kin = self.relatives | self.derivatives(asked.subject, cheap=False)
            ways = [self.subject]  # the way of single continued steps (17)
            while asked.action == "scale" and len(ways[-1].steps) == 1 and ways[-1].steps[0].kind == "continued":
                ways.append(self.known[ways[-1].steps[0].parent])
            self.way = ways

    def ancestors(self, digest: str) -> set[str]:
        """The subjects that its steps lead back to, known or not."""
        found, queue = set[str](), [digest]
        while queue:
            subject = self.known.get(queue.pop())
            parents = {step.parent for step in subject.steps} - found if subject else set()
            found |= parents
            queue += parents
        return found

    def derivatives(self, digest: str, *, cheap: bool) -> set[str]:
        """The subjects that lead back to it; `cheap`: those within the attacker's budget, by the cheapest ways."""
        cost = {digest: Fraction(0)}
        for _ in self.known:
            for name, subject in self.known.items():
                ways = [cost[step.parent] + step.compute for step in subject.steps if step.parent in cost]
                if name != digest and ways:
                    cost[name] = min([*ways, cost.get(name, ways[0])])
        budget = Fraction(self.policy["attacker_budget"]) * self.known[digest].training_compute
        return {name for name, spent in cost.items() if name != digest and (spent <= budget or not cheap)}

    def room(self, span: Span) -> bool:
        return span.reach == math.inf or self.subject.ec_high <= math.floor(span.reach)

    def withdrawn(self, fact: Any) -> bool:
        return any(one.of == fact.digest and one.signers & fact.signers for one in self.facts.withdrawals)

    def counts(self, fact: Any, start: datetime) -> bool:
        """Whether it counts in favour: begun under this policy, not dated after the checkpoint, not withdrawn (35)."""
        return self.entered <= start and max(start, fact.at) <= self.read and not self.withdrawn(fact)

    def set_aside(self, result: Any) -> bool:
        by, about = self.policy["independent"], [one for one in self.facts.set_asides if one.of == result.digest]
        return any(by in one.signers and self.counts(one, one.at) for one in about)

    def concerns(self, protocol: Any, measure: Json) -> bool:
        """Whether it is of the measure's task, and of the deployment asked for where the measure is of one (6, 19)."""
        here = measure["on"] == "model" or (self.asked.deployment and protocol.deployment == self.asked.deployment)
        return bool(protocol.task == measure["task"] and here)

    def results(self, digest: str, measure: Json) -> list[Any]:
        """All that count on a subject: planned or not, withdrawn or not; but not those set aside (6)."""
        mine = [one for one in self.facts.results if one.subject == digest and self.concerns(one.protocol, measure)]
        return [one for one in mine if not self.set_aside(one)]

    # soundness (10 to 18)

    def sound(self, result: Any, rule: Json, demand: Json, measure: Json, run_by: str) -> datetime | None:
        """Until when a result is sound for a demand; None if it is not (10 to 14)."""
        plan, ran, tally = result.plan, result.protocol, Tally(result, measure)
        if plan is None or run_by not in plan.signers & result.signers:
            return None
        trains, shown = ran.elicitation == "fine-tuned", int(demand.get("demonstrations", 0))
        refusals, refused = (
            Fraction(demand.get("refusals", 1)),
            ran.samples if result.refused is None else result.refused,
        )
        fine = (
            self.counts(plan, plan.at)
            and self.counts(result, plan.at)
            and not any(one.of == result.digest for one in self.facts.set_asides)
            and (ran.task, ran.task_version, ran.metric)
            == tuple(measure[it] for it in ("task", "task_version", "metric"))
            and ran.unit == measure.get("unit", "sample")
            and tally.readable
            and ran.samples_digest == measure.get("samples_digest", ran.samples_digest)
            and (self.concerns(ran, measure) if measure["on"] == "deployment" else ran.deployment is None)
            and ran.samples >= max(1, measure.get("least_samples", 1))
            and tally.answers >= Fraction(rule["coverage"]) * ran.samples
            and not (measure["kind"] == "propensity" and ran.elicitation in TRAINED)
            and ran.elicitation == demand["elicitation"]
            and result.flop >= int(demand.get("flop", 0))
            and ran.attempts >= int(demand.get("attempts", 1))
            and (ran.tools or not demand.get("tools", False))
            and (ran.safety_ablated or not demand.get("safety_ablated", False))
            and (refusals == 1 or refused <= refusals * ran.samples)
            and (
                ran.shots >= max(1, shown)
                if ran.elicitation == "few-shot"
                else ran.demonstrations >= max(trains, shown)
            )
        )
        periods = [rule["refresh"]["period"], rule["buffer"].get("period", rule["refresh"]["period"])]
        end = min(after(plan.at, one) for one in periods)
        return end if fine and self.at < end else None

    def discharged(self, name: str, digest: str, run_by: str) -> Span | None:
        """How far an assumption is discharged about a subject (16)."""
        asked = self.policy["assumptions"].get(name, {"by": "", "fresh_for": {"months": 0, "seconds": 0}})
        said = [one for one in self.facts.attestations if one.is_assumption and one.name == name]
        here = {digest, self.asked.subject}
        failed = [one.at for one in said if one.about in here and self.checked(one.check, asked) is False]
        ends = [
            after(one.at, asked["fresh_for"])
            for one in said
            if (one.about == digest and asked["by"] in one.signers and run_by not in one.signers)
            and self.counts(one, one.at)
            and ("checked" not in asked or (self.checked(one.check, asked) and all(one.at > at for at in failed)))
        ]
        end = max(ends, default=self.at)
        voids = [self.threshold(one).below for one in asked.get("void_at", [])]
        return least([Span(end, math.inf), *voids]) if self.at < end else None

    def checked(self, check: Any, asked: Json) -> bool | None:
        """Whether a check caught enough of the model organisms; None if it is none of those that are asked for."""
        if check is None or check.name != asked.get("checked"):
            return None
        alpha = 1 - Fraction(asked.get("confidence", "0.95"))
        return check.passed and shows_share(check.caught, check.organisms, Fraction(asked["coverage"]), alpha)

    def shown(self, rule: Json, measure: Json, demands: list[Json], *, assume: bool) -> Span | None:
        """How far sound results for one of the demands go, on S or an ancestor that stands in (17, 18, 28)."""
        far, found = Fraction(rule["refresh"]["multiple"]), []
        for one in self.way:
            if one is self.subject or self.subject.ec_high <= far * one.ec_low:
                sound = (
                    self.sound(it, rule, by, measure, rule["run_by"])
                    for by in demands
                    for it in self.results(one.digest, measure)
                )
                ends = [end for end in sound if end]
                names = set(rule.get("assumes", [])) if assume else set()
                for kind in (demand["elicitation"] for demand in demands if assume):  # (15)
                    tested = measure["kind"] == "propensity" and kind != "understanding-based"
                    names |= {"no-test-awareness"} if tested else ASSUMED[kind]
                span = Span(max(ends, default=self.at), one.ec_low * min(far, Fraction(rule["buffer"]["multiple"])))
                found.append(
                    least([span, *(self.discharged(it, one.digest, rule["run_by"]) for it in names)]) if ends else None
                )
        return max((it for it in found if it and self.room(it)), default=None)

    # plans (19, 20)

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

    def at_stake(self, name: str) -> set[str]:
        """The threshold, those that it refers to and those above it, and so on (20)."""
        found, queue = set[str](), [name]
        while queue:
            one = queue.pop()
            if one not in found:
                found.add(one)
                queue += [it["threshold"] for it in walk(self.thresholds[one]["reached_when"]) if it["is"] == "ref"]
                queue += self.higher(one)
        return found

    def leaves(self, name: str) -> list[tuple[Json, Json, Json]]:
        """The leaves at stake at a threshold, each with its rule and its measure."""
        rules = [
            (self.thresholds[one]["rule_out"], self.thresholds[one]["reached_when"]) for one in self.at_stake(name)
        ]
        found = [(it, rule) for rule, expression in rules for it in walk(expression) if it["is"] == "at"]
        return [(it, rule, self.measures[it["measure"]]) for it, rule in found]

    def higher(self, name: str) -> list[str]:
        return [one for one, other in self.thresholds.items() if name in other.get("above", [])]

    # findings (21 to 28)

    def stands(self, leaf: Json, rule: Json, measure: Json) -> datetime | None:
        """None if a leaf is reached; else until when repetitions keep it from that (21)."""
        ends = [LAST]
        for digest in self.relatives:
            own = digest == self.asked.subject or digest in self.cheap[self.asked.subject]
            for one in self.results(digest, measure):
                if Tally(one, measure).shows(turned(measure, leaf["level"]), alpha_of(rule)):
                    ends.append(self.repeated(one, rule, measure) if not own else None)
        return None if None in ends else min(ends)

    def repeated(self, result: Any, rule: Json, measure: Json) -> datetime | None:
        """Until when the independent role's repetition on S answers a result on an ancestor's side (21)."""
        ran, names = result.protocol, ("demonstrations", "attempts", "tools", "safety_ablated")
        least_refusals = min(Fraction(demand.get("refusals", 1)) for demand in rule["elicitation"])
        demand = {"elicitation": "fine-tuned", "flop": result.flop, "refusals": least_refusals}
        demand |= {name: getattr(ran, name) for name in names}
        mine = [it for it in self.results(self.asked.subject, measure) if it.protocol.samples >= ran.samples]
        later = [it for it in mine if it.plan and it.plan.at > result.at]
        found = [self.sound(it, rule, demand, measure, self.policy["independent"]) for it in later]
        return max((end for end in found if end), default=None)

    def leaf(self, leaf: Json, rule: Json, alpha: Fraction, share: Fraction) -> Part:
        """A measure at a level (21)."""
        measure, demands = self.measures[leaf["measure"]], rule["elicitation"]
        evaluated = self.shown(rule, measure, demands, assume=False)
        if self.stands(leaf, rule, measure) is None:
            return Part(True, None, evaluated)
        satisfied = [self.shown(rule, measure, [demand], assume=True) for demand in demands]
        dues, line = self.open_plans(rule, measure), min(alpha, alpha_of(rule)) * share
        level = turned(measure, leaf["level"]) - Fraction(rule["buffer"]["margin"])
        tallies = [Tally(it, measure) for one in self.way for it in self.results(one.digest, measure)]
        under = tallies and all(one.rules_out(level, line) for one in tallies)
        if not satisfied or not under or self.blocked(dues):
            return Part(False, None, evaluated)
        return Part(False, least([*satisfied, *(Span(due, math.inf) for due in dues)]), evaluated)

    def amount(self, quantity: str, level: Fraction) -> Part:
        """A signed quantity at a level (22); `below` reaches as far as the cap that keeps it so (41)."""
        own = [self.known[one] for one in {self.asked.subject} | self.ancestors(self.asked.subject)]
        low, high = max(Fraction(one.ec_low) for one in own), max(Fraction(one.ec_high) for one in own)
        cap = math.ceil(level) - 1
        if quantity == "training_compute":
            low = high = max(Fraction(one.training_compute) for one in own)
            cap = math.ceil(self.subject.ec_low * level / low) - 1 if low else self.subject.ec_low
        elif quantity != "effective_compute":
            name = self.measures[quantity]["subject"]
            named = [self.known[name]] if name in self.known else [it for it in self.known.values() if it.name == name]
            if len(named) != 1 or not plausible(named[0]):
                return Part(False, None, ALWAYS)
            cap = math.ceil(level * named[0].ec_low) - 1
            low = low / named[0].ec_high if named[0].ec_high else Fraction(0)
            high = high / named[0].ec_low if named[0].ec_low else level  # no upper end: never below
        below = Span(LAST, cap)
        return Part(low >= level, below if high < level and self.room(below) else None, ALWAYS)

    def part(self, part: Json, name: str, alpha: Fraction, share: Fraction) -> Part:
        """One part of the expression of a threshold (21 to 24, 28)."""
        if part["is"] == "at":
            return self.leaf(part, self.thresholds[name]["rule_out"], alpha, share)
        if part["is"] == "amount":
            return self.amount(part["quantity"], Fraction(part["level"]))
        if part["is"] == "ref":
            found = self.threshold(part["threshold"], alpha, share)
            return found._replace(evaluated=found.below or found.evaluated)
        count, inner = part["count"], part["parts"]
        parts = [self.part(one, name, alpha, share / count) for one in inner]
        reached = sum(one.reached for one in parts) >= count
        below = None if reached else latest((one.below for one in parts), len(parts) - count + 1)
        until = [below, Span(self.may_be_reached(name), math.inf)] if below else [one.evaluated for one in parts]
        return Part(reached, below, least(until))

    def may_be_reached(self, name: str) -> datetime:
        """When a threshold may be reached though nothing new is said: when a repetition ends (43)."""
        return min([LAST, *(end for it in self.leaves(name) if (end := self.stands(*it)))])

    def threshold(self, name: str, alpha: Fraction = Fraction(1), share: Fraction = Fraction(1)) -> Part:
        """A threshold, with the outer alpha and share (25, 26, 28)."""
        asked = self.thresholds[name]
        expression, alpha = asked["reached_when"], min(alpha, alpha_of(asked["rule_out"]))
        found = self.part(expression, name, alpha, share) if expression else Part(False, None, None)
        found = found._replace(evaluated=None) if "judged" in asked else found  # nobody judged: else it is not the core
        if found.reached or any(self.threshold(one).reached for one in self.higher(name)):
            return Part(True, None, found.evaluated)
        quantities = [self.amount(way["quantity"], Fraction(way["level"])).below for way in asked.get("below_if", [])]
        ways = [*quantities, None if "judged" in asked else found.below]
        dues = [due for _, rule, measure in self.leaves(name) for due in self.open_plans(rule, measure)]
        below = next((way for way in ways if way), None)
        if below is None or self.hole(asked) or self.blocked(dues):
            return Part(False, None, found.evaluated)
        return Part(False, below._replace(end=min([below.end, self.may_be_reached(name), *dues])), found.evaluated)

    def hole(self, threshold: Json) -> bool:
        return threshold["reached_when"] is None and not threshold.get("judged", {}).get("on")

    # requirements (29, 32) and the decision (36 to 43)

    def met(self, name: str) -> Span | None:
        """How far a requirement is met; None if it is not. Never, a hole, and what nobody approved: not."""
        asked = self.policy["requirements"][name]
        threshold = self.thresholds.get(asked.get("threshold", ""))
        if asked["is"] == "combined":
            return latest((self.met(one) for one in asked["of"]), asked["count"])
        if asked["is"] == "ruled-out" and threshold:
            return self.threshold(asked["threshold"]).below
        if asked["is"] == "defined" and threshold:
            return None if self.hole(threshold) else ALWAYS
        about = {"subject": self.asked.subject, "deployment": self.asked.deployment, "developer": None}
        if asked["is"] != "attested" or (asked["about"] == "deployment" and self.asked.deployment is None):
            return None
        said = [one for one in self.facts.attestations if not one.is_assumption and one.name == name]
        said = [one for one in said if one.about == about[asked["about"]] and asked["by"] in one.signers]
        end = max((after(one.at, asked["fresh_for"]) for one in said if self.counts(one, one.at)), default=self.at)
        return Span(end, math.inf) if self.at < end else None

    def cell(self, name: str, requires: list[str]) -> tuple[Json, Span | None]:
        """What is found of a cell, and how far it opens (36)."""
        found, met = self.threshold(name), {one: self.met(one) for one in requires}
        state = "reached" if found.reached else "below" if found.below else "not ruled out"
        opens = found.below or least([found.evaluated, *met.values()])
        said = {one: span is not None for one, span in met.items()}
        overdue = found.below is None and found.evaluated is None
        return {"state": state, "overdue": overdue, "opens": opens is not None, "met": said}, opens

    def answer(self) -> Json:
        """The verdict, its bounds, and every cell that gates (37 to 43)."""
        asked, policy, terms = self.asked, self.policy, self.policy["permits"]
        scope = policy["scope"].get("subjects") if self.sound_line else None
        outside = scope and self.part(scope, "", Fraction(1), Fraction(1)).below
        governs = asked.action not in policy["not_governed"] and not outside
        gate = policy["gates"].get(asked.action, {}) if governs and self.sound_line else {}
        gate = {name: cell["requires"] for name, cell in gate.items() if cell["requires"]}
        cells = {name: self.cell(name, requires) for name, requires in gate.items()}
        offered = self.facts.deployments.get(asked.deployment)
        standing = (
            asked.deployment is None or (offered and offered.subject == asked.subject)
        ) and self.since <= self.at
        span = least(opens for _, opens in cells.values())
        permit = bool(span and cells and standing and self.read <= self.at < after(self.read, terms["ledger_age"]))
        if span and cells:
            rules = [rule for name in gate if (rule := self.thresholds[name]["rule_out"])]
            far = [min(Fraction(it["refresh"]["multiple"]), Fraction(it["buffer"]["multiple"])) for it in rules]
            reach = self.subject.ec_low * min([Fraction(policy["refresh"]["multiple"]), *far])
            ends = [after(self.at, terms["lease"]), *([moment(policy["expires"])] if policy["expires"] else [])]
            span = least([span, Span(min(ends), reach)])
            permit = permit and self.room(span) and self.at < span.end
        said = {
            "governs": governs,
            "verdict": "permit" if permit else "hold",
            "cells": {it: cells[it][0] for it in cells},
        }
        return {
            "verdict": said["verdict"],
            "most_effective_compute": str(math.floor(span.reach)) if permit else None,
            "not_after": written(span.end) if permit else None,
            "policies": {policy["id"]: said} if self.since <= self.at else {},
        }


# -- a bundle ----------------------------------------------------------------------------------------------------------


def verify(data: bytes, log: NoteKey, pinned: str | None, witnesses: Witnesses | None) -> Json:
    """Verify a bundle; return what it shows.

    Raises:
        Refused, Outside: it does not show that, or not here.
    """
    demand(len(data) <= 1 << 26, "bundle", f"{len(data)} bytes", "at most 64 MiB")
    bundle = strict(data, "bundle")
    fits(bundle, "bundle", "bundle")
    entries = [text.encode() for text in bundle["entries"]]
    times, roots, latest = covered(bundle, log, entries, witnesses)
    reader, said, index = Reader(pinned), Json(), len(entries) - 1
    for number, (entry, at) in enumerate(zip(entries, times, strict=True)):
        said = reader.take(entry, at, f"entry {number}")
    where, claimed = f"the decision of entry {index}", said["predicate"]
    demand(reader.kinds[-1] == "decision", where, f"a {reader.kinds[-1]}", "a decision as the last entry")
    asked, size = SimpleNamespace(**{**claimed, "at": moment(claimed["at"])}), claimed["checkpoint"]["size"]
    fine = 0 < size <= index and roots[size].hex() == claimed["checkpoint"]["root"]
    demand(fine, where, claimed["checkpoint"], "the size and root of entries before it")
    read = moment(claimed["checkpoint"]["time"])
    fine = (
        times[size - 1] <= read <= asked.at <= times[size] and said["subject"][0]["digest"]["sha256"] == asked.subject
    )
    demand(fine, where, f"{written(read)}, {claimed['at']}", "times between those of what it had read and had not")
    past = Reader(reader.digest)
    for number in range(size):
        past.take(entries[number], times[number], f"entry {number}")
    demand(asked.subject in past.facts.subjects, where, asked.subject, "a subject that it had read of")
    past.facts.checkpoint, policy = SimpleNamespace(time=read), past.policy
    outside(policy, past.facts)
    derived = Rule(asked, policy, moment(policy["effective"]), times[0], past.facts).answer()
    differ(where, claim(claimed, (policy["id"], policy["version"], reader.digest)), derived)
    unread = Counter(kind for kind in reader.kinds[:-1] if kind in {"decision", "permit", "snapshot"})
    return {
        "verified": f"{asked.action} of {past.facts.subjects[asked.subject].name}: {derived['verdict']}",
        "subject": asked.subject,
        "deployment": asked.deployment,
        "at": claimed["at"],
        "policy": f"{policy['id']} {policy['version']} {reader.digest}",
        "log": f"{log.name}, {size} entries read, the decision is entry {index}, {latest.size} by the latest checkpoint",
        "witnesses": latest.witnesses,
        **derived,
        "not checked": [
            f"the logs of {reader.kinds.count('result')} results: they are not in a bundle",
            "the texts, reasons, bounds of results, ways to lift a hold and duties that the decision tells besides",
            *(f"{count} x {kind}, beyond form and signatures" for kind, count in sorted(unread.items())),
            *(["that the policy is the one that you expect: no --policy"] if pinned is None else []),
            *(["that everybody else is shown the same log: no --witnesses"] if witnesses is None else []),
        ],
    }


def covered(bundle: Json, log: NoteKey, entries: list[bytes], witnesses: Witnesses | None) -> tuple[Any, ...]:
    """Verify the log's side of a bundle: the time of each entry, the root at each size, the latest checkpoint."""
    stubs = [f"interlock payload v1\nsha256 {sha256(it)}\n{len(it)}\n".encode() for it in entries]
    logged = [it if len(it) <= 65535 else stub for it, stub in zip(entries, stubs, strict=True)]
    roots, times = tree_roots([hashlib.sha256(b"\x00" + it).digest() for it in logged]), list[datetime]()
    count, last = len(entries), Checkpoint(-1, b"", EPOCH, [])
    for number, note in enumerate(bundle["history"]):
        made, where = checkpoint(note, log, {}, f"history {number}"), f"history {number}"
        fine = (
            (made.size == 0) == (number == 0) and last.size < made.size and last.size < count and last.time <= made.time
        )
        demand(
            fine, where, f"{made.size} at {written(made.time)}", "0 first, then more and later, up to the last entry"
        )
        fine = made.size > count or made.root == roots[made.size]
        demand(
            fine, f"entries {max(last.size, 0)} to {made.size - 1}", "another tree", f"that of root {made.root.hex()}"
        )
        times, last = times + [made.time] * (min(made.size, count) - len(times)), made
    demand(0 < count <= last.size, "history", f"{count} entries, covered up to {last.size}", "some, and all covered")
    latest = checkpoint(bundle["checkpoint"], log, witnesses.keys if witnesses else {}, "checkpoint")
    fine = (
        latest.size >= last.size and latest.time >= last.time and (latest.size > last.size or latest.root == last.root)
    )
    demand(
        fine, "checkpoint", f"size {latest.size} at {written(latest.time)}", "no less than the history, and its tree"
    )
    for later, name in ((last, "history_proof"), (latest, "checkpoint_proof")):
        continues(count, roots[count], later, [unbase64(it, name) for it in bundle[name]], name)
    fine = witnesses is None or witnesses.stand(witnesses.quorum, latest.witnesses)
    demand(fine, "checkpoint", f"cosignatures of {latest.witnesses}", "those of the quorum of witnesses")
    return times, roots, latest


def claim(said: Json, policy: tuple[str, ...]) -> Json:
    """What a decision says, in the form of an answer."""
    policies = {}
    for ruling in said["rulings"]:
        it = (ruling["policy"], ruling["version"], ruling["digest"])
        demand(it == policy, "the decision's ruling", it, policy)
        cells = {one["threshold"]: {**one["finding"], **one} for one in ruling["cells"]}
        for name, one in cells.items():
            cells[name] = {it: one[it] for it in ("state", "overdue", "opens")}
            cells[name]["met"] = {need["name"]: need["met"] for need in one["requirements"]}
        policies[ruling["policy"]] = {"governs": ruling["governs"], "verdict": ruling["verdict"], "cells": cells}
    bounds = said["bounds"] or {"most_effective_compute": None, "not_after": None}
    return {"verdict": said["verdict"], **bounds, "policies": policies}


def differ(where: str, got: Any, expected: Any) -> None:
    """Refuse the first thing in which a claim differs from what the rule says."""
    if isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys():
        for name in got:
            differ(f"{where}, {name}", got[name], expected[name])
    else:
        demand(got == expected, where, got, f"{expected} by the rule")


# -- the command -------------------------------------------------------------------------------------------------------


def facts_from(value: Any, name: str = "") -> Any:
    """Facts as the cases have them, with exact numbers, moments and sets."""
    if isinstance(value, dict):
        made = {inner: facts_from(one, inner) for inner, one in value.items()}
        return made if name in {"subjects", "deployments"} else SimpleNamespace(**made)
    if isinstance(value, list):
        return set(value) if name == "signers" else [facts_from(one) for one in value]
    if name in {"training_compute", "ec_low", "ec_high", "compute", "total"} and value is not None:
        return Fraction(value)
    return moment(value) if name in {"at", "time", "report_by"} else value


def answer_cases(path: Path) -> int:
    """Answer the cases of conformance/decide that are in the core; say how many are not, and which differ."""
    told: Counter[str] = Counter()
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for case in map(json.loads, file):
            question = case["question"]
            (version, *others), facts = question["versions"], facts_from(question["facts"])
            asked, times = facts_from({**question, "facts": {}, "versions": []}), (version["since"], version["entered"])
            try:
                if others:
                    raise Outside("several versions or policies")
                outside(version["policy"], facts)
                told["core"] += 1
                answer = Rule(asked, version["policy"], *map(moment, times), facts).answer()
                differ(f"case {case['id']}", answer, case["answer"])
            except Outside:
                told["outside"] += 1
            except Refused as error:
                told["different"] += 1
                print(error)
    print(f"{told['core']} cases in the core, {told['outside']} outside, {told['different']} different")
    return 1 if told["different"] else 0


def table(told: Json) -> str:
    """What was found, for people."""
    rows = [(name, value) for name, value in told.items() if value and not isinstance(value, dict)]
    for policy in told.get("policies", {}).values():
        for name, cell in policy["cells"].items():
            met = [f"{one} {'met' if so else 'not met'}" for one, so in cell["met"].items()]
            said = [
                "opens" if cell["opens"] else "holds",
                cell["state"],
                *(["overdue"] if cell["overdue"] else []),
                *met,
            ]
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
        if not given.bundle or not given.vkey:
            parser.error("expected a bundle and --vkey, or --cases")
        data, log = given.bundle.read_bytes(), note_key(given.vkey, 1)
        fits(given.policy, "digest|null", "--policy")
        witnesses = Witnesses(given.witnesses.read_text("utf-8"), log) if given.witnesses else None
    except (OSError, UnicodeDecodeError, lzma.LZMAError, Refused) as error:
        parser.error(str(error))
    try:
        code, told = 0, verify(data, log, given.policy, witnesses)
    except Refused as error:
        code, told = 1, {"refused": str(error)}
    except Outside as error:
        code, told = 4, {"not verified here": str(error)}
    except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RecursionError) as error:
        code, told = 4, {"not verified here": f"what cannot be read, {error!r:.80}"}
    print(json.dumps(told, indent=2) if given.json else table(told))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
