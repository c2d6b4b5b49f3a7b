"""Verify a decision of Interlock with this file alone.

    python verify.py BUNDLE --vkey VKEY [--policy DIGEST] [--witnesses FILE]

A bundle is one decision with all that stood in the ledger before it (docs/bundles.md). This file shares no code with
the program that made it; it was written from docs/semantics.md, docs/formats.md and docs/ledger.md, and checks that

1. the bundle is canonical JSON (RFC 8785), so that no byte of it can be another one;
2. the log signed and cosigned every checkpoint, the entries make its tree (RFC 6962), and witnesses cosigned the last;
3. every entry is an in-toto statement in a DSSE envelope that the quorum of a role signed, and may say what it says;
4. the decision's verdict, bounds, findings and requirements follow by the rule from the entries that it had read.

The rule is here for the core of the policy language ("The core" in docs/semantics.md); of what is outside, the answer
is `not verified here`, always. Exit codes: 0 verified; 1 refused; 2 wrong use; 4 not verified here.
"""

import argparse
import base64
import calendar
import hashlib
import json
import math
import re
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unicodedata import normalize

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]
EPOCH, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
moment, WRITTEN = datetime.fromisoformat, "%Y-%m-%dT%H:%M:%SZ"
UNREADABLE = (LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RecursionError)


class Refused(Exception): ...  # noqa: N818  # the bundle does not show what it claims: where, got, expected


class Outside(Exception): ...  # noqa: N818  # it rests on something for which there is no rule here


def demand(fine: object, where: str, got: object, expected: object) -> None:
    if not fine:
        raise Refused(f"{where}: got {got!s:.200}, expected {expected!s:.200}")


def within(fine: object, what: str) -> None:  # the core
    if not fine:
        raise Outside(what)


def canonical(value: object) -> str:  # RFC 8785, of text, whole numbers below 2^53, true, false, null, lists, objects
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(inner)}" for name, inner in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        raise ValueError("a number that is not whole and below 2^53")
    return json.dumps(value, ensure_ascii=False)


def strict(data: bytes, form: str, where: str) -> Json:  # exactly one object of a form, in its canonical spelling alone
    try:
        value = json.loads(data.decode())
        fine = isinstance(value, dict) and canonical(value).encode() == data
    except (ValueError, RecursionError) as error:
        raise Refused(f"{where}: got no strict JSON ({error!s:.80}), expected one object") from error
    demand(fine, where, "another spelling", "one object as RFC 8785 writes it")
    fits(value, FORMS[form], where)
    return value


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def unbase64(text: str, where: str) -> bytes:  # standard base64 in its only spelling
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused(f"{where}: got {text:.40}, expected base64") from error
    demand(base64.b64encode(data).decode() == text, where, text, "canonical base64")
    return data


def after(start: datetime, length: Json) -> datetime:  # months, or to the last day of one; then seconds (45)
    year, month = divmod(12 * start.year + start.month - 1 + int(length["months"]), 12)
    try:
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        return min(start.replace(year=year, month=month + 1, day=day) + timedelta(seconds=int(length["seconds"])), LAST)
    except (ValueError, OverflowError):  # past the year 9999
        return LAST


FIELD, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
NoteKey, Checkpoint = namedtuple("NoteKey", "name raw id"), namedtuple("Checkpoint", "size root time witnesses")


def prime_order(raw: bytes) -> bool:  # the one encoding of a point of prime order (RFC 8032, 5.1.3)
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


def signed(key: bytes, signature: bytes, message: bytes, where: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Refused(f"{where}: got a false signature, expected one by key {sha256(key):.12}") from error


# -- signed notes, witnesses, the tree (docs/ledger.md) ----------------------------------------------------------------
def note_key(vkey: str, kind: int) -> NoteKey:  # kind: 1 for signatures, 4 for timestamped cosignatures
    name, digest, encoded = [*vkey.split("+", 2), "", ""][:3]
    data = unbase64(encoded, f"verifier key `{name}`")
    fine = name and data[:1] == bytes([kind]) and prime_order(data[1:])
    made = NoteKey(name, data[1:], hashlib.sha256(name.encode() + b"\n" + data).digest()[:4])
    demand(fine and made.id.hex() == digest, "verifier key", vkey, f"NAME+ID+BASE64 of an Ed25519 key of type {kind}")
    return made


class Witnesses:  # a file of witnesses, and of the quorum of them that is asked for (c2sp.org/tlog-policy)
    def __init__(self, text: str, log: NoteKey) -> None:
        self.keys, self.quorum, self.groups = dict[str, NoteKey](), "", dict[str, tuple[int, list[str]]]()
        for words in filter(None, (line.partition("#")[0].split() for line in text.split("\n"))):
            known, name = {*self.keys, *self.groups}, [*words, ""][1]
            free = known - {one for _, group in self.groups.values() for one in group}
            fine = not self.quorum and (name in known) == (words[0] == "quorum")
            match words:
                case ["log", vkey, *_] if fine:
                    demand(note_key(vkey, 1) == log, "witnesses", f"the log {vkey}", f"none but {log.name}")
                case ["witness", _, vkey, *_] if fine:
                    self.keys[name] = note_key(vkey, 4)
                case ["group", _, count, *group] if fine and len(free & set(group)) == len(group):
                    count = {"any": "1", "all": str(len(group))}.get(count, count)
                    demand(count.isdecimal() and 0 < int(count) <= len(group), name, count, "1 to its members")
                    self.groups[name] = int(count), group
                case ["quorum", _] if fine:
                    self.quorum = name
                case _:
                    demand(False, "witnesses", " ".join(words), "a line of known names, new or not, in their order")
        fine = self.quorum and len({log.raw, *(one.raw for one in self.keys.values())}) == len(self.keys) + 1
        demand(fine, "witnesses", "none such", "a quorum of them, by keys that all differ")

    def stand(self, cosigned: list[str]) -> bool:
        standing = {*cosigned}
        for name, (count, members) in self.groups.items():  # each after its members
            standing |= {name} if len(standing & {*members}) >= count else set()
        return self.quorum in standing


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
        signed(others[by[0]].raw, blob[4:], message.encode(), where)
        found += by if number > 1 else []
    demand(origin == log.name and len(unbase64(root, where)) == 32, where, f"{origin}, {root}", "a root of that log")
    return Checkpoint(int(size), unbase64(root, where), times[0], found)


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree(leaves: list[bytes]) -> Callable[[int], bytes]:  # the root over so many first leaves (RFC 6962, 2.1)
    @cache
    def root(start: int, end: int) -> bytes:
        if end - start < 2:
            return leaves[start] if start < end else hashlib.sha256(b"").digest()
        half = start + (1 << (end - start - 1).bit_length() - 1)
        return node(root(start, half), root(half, end))

    return lambda size: root(0, size)


def both_roots(old: int, new: int, root: bytes | None, proof: list[bytes]) -> tuple[bytes, bytes]:  # RFC 6962, 2.1.2
    last = root if root and old == new else proof.pop() if proof else b""
    if old == new:
        return last, last
    half = 1 << (new - 1).bit_length() - 1
    small, large = both_roots(*((old, half, root) if old <= half else (old - half, new - half, None)), proof)
    return (small, node(large, last)) if old <= half else (node(last, small), node(last, large))


def continues(size: int, root: bytes, later: Checkpoint, proof: list[bytes], where: str) -> None:
    """That the later tree begins with the earlier one, by a proof of which nothing is left over."""
    left = list(proof)
    fine = all(len(one) == 32 for one in proof) and both_roots(size, later.size, root, left) == (root, later.root)
    demand(fine and not left, where, f"{len(proof)} hashes", f"a proof from {size} entries to {later.size}")


# -- statements (docs/formats.md) --------------------------------------------------------------------------------------
# What things look like: "" is any text, "+" not empty, "~" printable, "#" a SHA-256, "1" FLOP, "@" a time, "^" a step,
# 0 a count, null a text or null, true all; false, [], others are themselves. `?` marks what may lack, `*` any name.
TEXTS = {"": "(?s).*", "+": "(?s).{1,4096}", "#": "[0-9a-f]{64}", "1": "0|[1-9][0-9]{0,39}", "~": ".{1,4096}"}
TEXTS |= {"@": "[0-9-]{10}T(?!24)[0-9:]{8}Z", "^": "continued|fine-tuned|adapter|merged|distilled|quantised|edited"}
FORMS = json.loads("""{"bundle": {"bundle": "urn:interlock:bundle:v1", "checkpoint": "", "checkpoint_proof": [""],
  "entries": [""], "history": [""], "history_proof": [""]}, "statement": {"_type": "https://in-toto.io/Statement/v1",
  "predicateType": "+", "predicate": true, "subject": [{"name": "+", "digest": {"sha256": "#"}}]},
  "envelope": {"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "", "sig": ""}]},
  "policy:v1": true, "duty:v2": true, "forecast:v1": true, "judgement:v1": true, "approval:v1": true,
  "assumption-check:v4": true, "plan:v2": {"report_by": "@", "protocol": true}, "subject:v2": {"name": "~",
  "training_compute": "1", "effective_compute": {"low": "1", "high": "1"}, "?compute_source": {"said": "+",
  "?file_sha256": "#"}, "?run": {"config_sha256": "#", "data_sha256": "#"}, "steps": [{"parent": "#", "kind": "^",
  "compute": "1"}], "?model_signing_sha256": "#", "?manifest": true}, "manifest": {"resources": [{"name": "+",
  "algorithm": "sha256", "digest": "#"}], "serialization": {"method": "files", "hash_type": "sha256",
  "allow_symlinks": false, "ignore_paths": []}}, "snapshot:v4": {"manifest": true, "permit": "#", "parent": "#",
  "step": "continued", "optimizer_step": 0, "flop": "1", "effective_compute": "1", "ended": "+", "transcript": "#"},
  "deployment:v1": {"name": "~", "subject": "#", "system_prompt_sha256": null, "filters": [{"name": "+",
  "sha256": "#"}], "tools": [{"name": "+", "sha256": "#"}], "surface": "+", "access_tier": "+", "sampling": {"*": "+"}},
  "protocol": {"task": "~", "task_version": 0, "metric": "+", "samples": 0, "samples_sha256": "#", "?deployment": "#",
  "?stopping": {"kind": "e-process", "order_seed": 0}, "elicitation": {"kind": "+", "shots": 0, "seed": 0,
  "demonstrations": 0, "recipe": "+", "?attempts": 0}}, "result:v4": {"plan": "#", "protocol": true,
  "log": {"name": "+", "sha256": "#", "outcomes_sha256": "#"}, "budget": {"tokens": 0, "flop": "1"},
  "counts": {"planned": 0, "scored": 0, "completed": 0, "correct": 0, "refused_scores": 0, "refused_at_most": 0,
  "errored": 0, "limited": 0}, "environment": {"*": ""}, "?stopped": {"stopped_at": 0, "looks": [{"n": 0,
  "dangerous": 0}]}}, "attestation:v1": {"kind": "+", "name": "+", "about": "+", "statement": "+", "at": "@"},
  "withdrawal:v1": {"reason": "+", "at": "@"}, "set-aside:v1": {"reason": "+", "at": "@"},
  "audit:v1": {"seed": {"size": 0, "root": "#"}, "drawn": 0, "agreed": 0, "disagreed": 0, "statement": "+", "at": "@"},
  "permit:v2": {"action": "+", "?deployment": "#", "decision": "#", "policies": ["#"], "lineage": ["#"],
  "effective_compute": {"start": "1", "most": "1"}, "not_before": "@", "not_after": "@", "single_use": true,
  "narrows": null}, "permit-spent:v1": {"destination": "+", "at": "@"}, "revocation:v1": {"reason": "+", "at": "@"},
  "duty-overdue:v1": {"of": "#", "duty": "+", "what": "", "about": "+", "due": "@", "statement": "+", "at": "@"},
  "decision:v5": {"action": "+", "subject": "#", "deployment": null, "at": "@", "verdict": "", "bounds": true,
  "checkpoint": {"size": 0, "root": "#", "time": "@"}, "rulings": true, "reasons": true, "resume": true,
  "non_compliance": [{"entry": 0, "of": "#", "duty": "+", "what": "", "due": "@", "done": true}]}}""")
WITHDRAWABLE = {"plan", "result", "attestation", "assumption-check", "approval", "judgement", "forecast", "set-aside"}
BY_ONE_KEY = {"result", "judgement", "assumption-check", "audit"}  # may speak against a permit; all else needs a quorum


def fits(value: Any, form: Any, where: str) -> None:  # nothing in it otherwise, nothing missing, nothing beside
    fine = form is True or type(value) is type(form) or (form is None and isinstance(value, str))
    if isinstance(form, str):
        fine = fine and (re.fullmatch(TEXTS[form], value) if form in TEXTS else form == value)
        fine = fine and (form != "@" or moment(value)) and (form != "~" or value.isprintable())
    fine = fine and (value == form or (form is not False and form != [] and (type(form) is not int or value > 0)))
    demand(fine, where, value, f"one like {form!r}")
    for one in value if isinstance(form, list) else ():
        fits(one, form[0], where)
    if isinstance(form, dict):
        needed, known = {name for name in form if name[0] not in "?*"}, {name.lstrip("?") for name in form}
        fine = needed <= value.keys() and (value.keys() <= known or "*" in form)
        demand(fine, where, sorted(value), f"{sorted(known)}, and no other")
        for name, one in value.items():
            fits(one, form.get(name, form.get(f"?{name}", form.get("*"))), f"{where}, {name}")


class Reader:  # reads entry after entry, and refuses what the entries before it do not support
    def __init__(self, pinned: str | None, times: list[datetime]) -> None:
        self.pinned, self.policy, self.digest = pinned, Json(), ""
        self.keys, self.roles = dict[str, bytes](), dict[str, tuple[set[str], int]]()
        self.kinds, self.weights = dict[str, str](), dict[str, set[str]]()  # of statements; of subjects that can be run
        lists: Any = {name: [] for name in "plans results attestations withdrawals set_asides lapses".split()}
        self.facts = SimpleNamespace(subjects={}, deployments={}, kinds=self.kinds.values(), **lists)
        self.decided, self.permits, self.ended, self.times = Json(), Json(), dict[str, str](), times  # 3 by digest
        self.saved = Json()  # from what, for how long and by what in all the first snapshot with a file trained

    def take(self, data: bytes, at: datetime, first: datetime, where: str) -> Json:  # was there at, not before `first`
        demand(len(data) <= 1 << 20, where, f"{len(data)} bytes", "an envelope of at most 1 MiB")
        envelope = strict(data, "envelope", where)
        payload, form = unbase64(envelope["payload"], where), envelope["payloadType"]
        said, digest = strict(payload, "statement", where), sha256(payload)
        kind, predicate = said["predicateType"].removeprefix("urn:interlock:"), said["predicate"]
        known = ":" in kind and kind in FORMS and "imported" not in predicate
        within(known, f"{where}, a statement of type `{said['predicateType']:.80}`, or a log that was imported")
        fine = said["predicateType"] == f"urn:interlock:{kind}" and len(said["subject"]) == 1
        fine = fine and digest not in self.kinds and (kind == "policy:v1") == (not self.kinds)
        demand(fine, where, f"a {kind}, {said['subject']}", "something new of one thing, and a policy as entry 0 alone")
        self.kinds[digest], about = (name := kind.partition(":")[0]), said["subject"][0]["digest"]["sha256"]
        fact = SimpleNamespace(kind=name, digest=digest, subject=about, at=at, first=first)
        if kind == "policy:v1":
            self.adopt(predicate, fact.subject, where)
        message = f"DSSEv1 {len(form)} {form} {len(payload)} ".encode() + payload
        for one in envelope["signatures"]:
            signature = unbase64(one["sig"], where)
            if one["keyid"] in self.keys:
                signed(self.keys[one["keyid"]], signature, message, where)
        keys = {one["keyid"] for one in envelope["signatures"]} & self.keys.keys()  # each once
        fact.signers = {role for role, (held, quorum) in self.roles.items() if 0 < quorum <= len(held & keys)}
        needed = set(self.policy["amendments"]["approved_by"]) if kind == "policy:v1" else fact.signers
        fine = needed <= fact.signers if needed else keys and name in BY_ONE_KEY
        demand(fine, where, f"{len(keys)} keys, of {sorted(fact.signers)}", f"a quorum, of {sorted(needed)} if any")
        fits(predicate, FORMS[kind], where)
        getattr(self, f"read_{name.replace('-', '_')}", lambda *_: None)(predicate, fact, where)
        return said

    def adopt(self, policy: Json, about: str, where: str) -> None:  # no key twice in a role, or of an independent one
        self.policy, self.digest = policy, sha256(canonical(policy).encode())
        demand(about == self.digest == (self.pinned or about), where, f"policy {self.digest}", self.pinned or about)
        demand(loads(policy), where, f"policy {self.digest}", "one that loads: its margins, confidences, counts, ways")
        for name, role in policy["roles"].items():
            raws = [unbase64(text[8:], where) for text in role["keys"] if text[:8] == "ed25519:"]
            apart = {text for other in role["independent_of"] for text in policy["roles"][other]["keys"]}
            fine = all(map(prime_order, raws)) and len(set(raws)) == len(role["keys"]) and not apart & set(role["keys"])
            demand(fine, f"{where}, role `{name}`", role["keys"], "sound keys, each once, none of an independent role")
            self.keys |= {sha256(raw): raw for raw in raws}
            self.roles[name] = {sha256(raw) for raw in raws}, role["quorum"]

    def new(self, made: object, said: Json, others: Json, fact: Any, where: str) -> Any:  # a subject or deployment
        digest, again = sha256(canonical(made).encode()), any(said["name"] == it.name for it in others.values())
        fine = digest == fact.subject and digest not in others and not again
        demand(fine, where, f"{said['name']}, {fact.subject}", f"{digest}, and both new")
        return others.setdefault(digest, SimpleNamespace(digest=digest, name=said["name"]))

    def read_subject(self, said: Json, fact: Any, where: str) -> None:
        fine = ("run" in said) != ("manifest" in said) == ("model_signing_sha256" in said)
        demand(fine, where, sorted(said), "a manifest and its model_signing_sha256, or a run without weights yet")
        made, ends, others = said.get("run") or said["manifest"], said["effective_compute"], self.facts.subjects
        one, numbers = self.new(made, said, others, fact, where), (ends["low"], ends["high"], said["training_compute"])
        one.ec_low, one.ec_high, one.training_compute = low, high, spent = [*map(Fraction, numbers)]
        one.base, one.rate = (spent, max(1, high / (spent or high))) if "manifest" in said else (0, 0)
        one.steps = [SimpleNamespace(**{**it, "compute": Fraction(it["compute"])}) for it in said["steps"]]
        one.own, one.added = set[str](), max((it.compute for it in one.steps), default=spent)
        fine = 0 < low <= high and all("manifest" in said and one.digest != it.parent in others for it in one.steps)
        demand(fine, where, said, "an interval above 0, and parents before it")
        one.line = {one.digest}.union(*(others[step.parent].line for step in one.steps))  # it and its ancestors
        budget, run = Fraction(self.policy["attacker_budget"]), [it for it in one.steps if it.kind == "continued"]
        near = [it for it in one.steps if it in run or it.compute <= budget * others[it.parent].training_compute]
        one.near = {one.digest}.union(*(others[it.parent].near for it in near))  # it, and what it goes on from
        one.before = set[str]().union(*(others[it.parent].near for it in run))  # from what it was continued so
        one.ways, one.run = self.sums(near, others) or {one.digest: (0, 0)}, self.sums(run, others)
        demand(all(self.spent(one, it) for it in one.steps), where, "less compute", "that of each parent, and the step")
        if "manifest" in said:
            held, files = self.files(made, one.digest, where), made["resources"]
            older = set[str]().union(*(self.weights.get(it, ()) for it in one.line))  # its ancestors' files of weights
            fine = held & set[str]().union(*self.weights.values()) <= older
            fine = fine and sha256(bytes.fromhex("".join(it["digest"] for it in files))) == said["model_signing_sha256"]
            self.weights[one.digest], one.own = held, held - older
            demand(fine and self.as_saved(one), where, made, "what they hash to, and nobody else's weights")

    def sums(self, steps: list[Any], known: Json) -> Json:  # by where ways that end so begin: the least and the most
        ways = sorted((of, n + it.compute) for it in steps for of, ends in known[it.parent].ways.items() for n in ends)
        return {of: (dict(reversed(ways))[of], most) for of, most in dict(ways).items()}

    def files(self, made: Json, about: str, where: str) -> set[str]:  # of weights; all are there once, in order
        fits(made, FORMS["manifest"], where)
        names = [it["name"].split("/") for it in made["resources"]]
        paths = {("/".join(it[:end]), end == len(it)) for it in names for end in range(1, len(it) + 1)}
        fine = names and all(a < b for a, b in pairwise(names)) and sha256(canonical(made).encode()) == about
        fine = fine and all(it and it not in {".", ".."} and it.isprintable() for name in names for it in name)
        fine = fine and len({normalize("NFD", normalize("NFD", it).casefold()) for it, _ in paths}) == len(paths)
        demand(fine, where, made, "files, each once and in order, of names that are two everywhere, and their digest")
        return {it["digest"] for it in made["resources"] if it["name"].endswith(".safetensors")}

    def spent(self, one: Any, step: Any) -> bool:  # no less than a parent and the step; of no weights, only trained
        parent, flop, trains = self.facts.subjects[step.parent], step.compute, step.kind == "continued"
        fine = (trains or parent.rate) and one.training_compute >= parent.base + flop and one.ec_low >= parent.ec_low
        return bool(fine and one.ec_high >= parent.ec_high + (flop * parent.rate if trains else 0))

    def as_saved(self, one: Any) -> bool:  # it says what snapshots say of its own weights: continued, for so long
        owed = sorted((self.saved[it] for it in one.own & self.saved.keys()), key=lambda it: it.compute)
        due = {it.parent: (it.parent, "continued", it.compute) for it in owed}  # of each run the last
        says = {(it.parent, it.kind, it.compute) for it in one.steps if it.parent in due}
        return says == set(due.values()) and all(one.ec_high >= it.by for it in owed)

    def read_snapshot(self, said: Json, fact: Any, where: str) -> None:  # of weights that nobody had before it
        permit, flop, by = self.permits.get(said["permit"]), Fraction(said["flop"]), Fraction(said["effective_compute"])
        demand(permit and permit["action"] == "scale", where, said["permit"], "a permit to scale before it")
        one, start = (known := self.facts.subjects)[permit["subject"]], Fraction(permit["effective_compute"]["start"])
        older = (self.weights.get(it, ()) for it in one.line)
        new = self.files(said["manifest"], fact.subject, where) - set[str]().union(self.saved, *older)
        self.saved |= dict.fromkeys(new, SimpleNamespace(parent=one.digest, compute=flop, by=by))
        fine = one.digest == said["parent"] and by == start + math.ceil(flop * (one.rate or 1))
        fine = fine and self.policy["permits"]["issued_by"] in fact.signers and all(map(self.as_saved, known.values()))
        demand(fine, where, said, "what its issuer says of the permit's subject; and who has its weights says the same")

    def read_deployment(self, said: Json, fact: Any, where: str) -> None:
        demand(said["subject"] in self.weights, where, said["subject"], "a subject with weights before it")
        parts = {name: part for name, part in said.items() if name != "name"}
        self.new(parts, said, self.facts.deployments, fact, where).subject = said["subject"]

    def ran(self, fact: Any, said: Json, where: str) -> Any:  # what was run; what is not said shows the least
        fits(said, FORMS["protocol"], where)
        offered, tried = said.get("deployment"), said["elicitation"]
        known = self.facts.deployments.get(offered, SimpleNamespace(subject=None if offered else fact.subject))
        fine = fact.subject in self.weights and known.subject == fact.subject and tried["kind"] in ASSUMED
        fine = fine and re.fullmatch(f"unknown|{TEXTS['#']}", tried["recipe"]) and tried.get("attempts", 2) > 1
        demand(fine, where, f"{offered} of {fact.subject}, {tried}", "a subject with weights, its deployment, a way")
        rest = {"unit": "sample", "tools": False, "safety_ablated": False, "deployment": offered}
        renamed = {"elicitation": tried["kind"], "samples_digest": said["samples_sha256"]}
        order = said.get("stopping", {"kind": "fixed", "order_seed": None})
        stops = {"stopping": order["kind"], "order_seed": order["order_seed"], "attempts": tried.get("attempts", 1)}
        return SimpleNamespace(**{**tried, **said, **rest, **renamed, **stops})

    def read_plan(self, said: Json, fact: Any, where: str) -> None:
        fact.protocol, fact.report_by = self.ran(fact, said["protocol"], where), moment(said["report_by"])
        demand(fact.report_by <= after(fact.at, self.policy["report_within"]), where, said["report_by"], "a sooner one")
        self.facts.plans.append(fact)

    def read_result(self, said: Json, fact: Any, where: str) -> None:
        vars(fact).update(counts := said["counts"], protocol=self.ran(fact, said["protocol"], where))
        ends = said.get("stopped", {"stopped_at": counts["planned"], "looks": []})
        fact.stopped_at, looks = ends["stopped_at"], [(0, 0), *((it["n"], it["dangerous"]) for it in ends["looks"])]
        fine = fact.correct <= fact.scored <= fact.completed <= fact.stopped_at <= fact.planned == fact.protocol.samples
        fine = fine and ("stopped" in said) == (fact.protocol.stopping == "e-process")
        fine = fine and all(n > m and 0 <= k - j <= n - m for (m, j), (n, k) in pairwise(looks))
        fine = fine and ("stopped" not in said or looks[-1][0] == fact.stopped_at)
        fine = fine and max(fact.completed + fact.errored, fact.limited, fact.refused_at_most) <= fact.stopped_at
        fine = fine and fact.refused_scores <= min(fact.scored, fact.refused_at_most)
        demand(fine, where, counts, "correct <= scored <= completed <= planned, and none of the others over that")
        fact.flop, fact.plan = Fraction(said["budget"]["flop"]), None
        for plan in self.facts.plans:  # one that announced something else, or that others signed, is not its plan
            same = (plan.digest, plan.subject, plan.protocol) == (said["plan"], fact.subject, fact.protocol)
            fact.plan = plan if same and plan.signers & fact.signers else fact.plan
        self.facts.results.append(fact)

    def read_attestation(self, said: Json, fact: Any, where: str) -> None:
        known = {"developer": {self.digest}, "subject": self.facts.subjects, "deployment": self.facts.deployments}
        fine = said["kind"] in {"assumption", "requirement"} and fact.subject in known.get(said["about"], ())
        demand(fine and moment(said["at"]) <= fact.at, where, said, "of something that is known, and no later date")
        fact.is_assumption, fact.name = said["kind"] == "assumption", said["name"]
        fact.at, fact.about = moment(said["at"]), None if said["about"] == "developer" else fact.subject
        self.facts.attestations.append(fact)

    def read_withdrawal(self, said: Json, fact: Any, where: str) -> None:  # a word taken back, or a result set aside
        kinds, fact.of = WITHDRAWABLE if fact.kind == "withdrawal" else {"result"}, fact.subject
        fine = self.kinds.get(fact.of) in kinds and moment(said["at"]) <= fact.at
        demand(fine, where, fact.of, f"one of {sorted(kinds)} before it, and no later date")
        (self.facts.withdrawals if fact.kind == "withdrawal" else self.facts.set_asides).append(fact)

    read_set_aside = read_withdrawal

    def read_audit(self, said: Json, fact: Any, where: str) -> None:  # against a result, as if its signers withdrew it
        of = [it for it in self.facts.results if it.digest == fact.subject]
        fine = of and 0 < said["drawn"] == said["agreed"] + said["disagreed"] <= of[0].protocol.samples
        demand(fine and moment(said["at"]) <= fact.at, where, said, "samples of a result before it, and no later date")
        fact.of, fact.signers = fact.subject, of[0].signers
        self.facts.withdrawals += [fact] * bool(said["disagreed"])

    def read_decision(self, said: Json, fact: Any, where: str) -> None:  # it had read all that there was
        n, read, at = said["checkpoint"]["size"], moment(said["checkpoint"]["time"]), moment(said["at"])
        fine = 0 < n < len(self.kinds) and self.times[n - 1] <= read <= at <= self.times[n]
        demand(fine and fact.subject in self.facts.subjects, where, said["checkpoint"], "a decision at times that fit")
        self.decided[fact.digest] = (fact.subject, said)

    def read_permit(self, said: Json, fact: Any, where: str) -> None:  # within its decision, and what it narrows
        about, by = self.decided.get(said["decision"], ("", Json()))
        fine, rules = by.get("verdict") == "permit" and about == fact.subject, self.policy["permits"]
        demand(fine, where, said["decision"], "a decision before it that permits, about the same subject")
        own, once, again = self.facts.subjects[about], said["single_use"], not final(self.policy, said["action"])
        start, most = (Fraction(said["effective_compute"][name]) for name in ("start", "most"))
        fine = (by["action"], by["deployment"]) == (said["action"], said.get("deployment"))
        fine = fine and own.ec_high <= start <= most <= Fraction(by["bounds"]["most_effective_compute"])
        end = min(moment(by["bounds"]["not_after"]), after(fact.at, rules["lease"]))
        fine = fine and moment(said["not_after"]) <= end and rules["issued_by"] in fact.signers
        fine = fine and said["policies"] == [self.digest] == [it["digest"] for it in by["rulings"]]
        fine = fine and said["lineage"] == sorted(own.line - {about}) and (once is True or (once is False and again))
        kin = {one: it for one, it in self.permits.items() if it["decision"] == said["decision"]}
        gone, wider = {self.ended.get(it) for it in kin} - {None, "late"}, kin.get(narrows := said["narrows"])
        last, over = (after(moment(it), rules["ledger_age"]) for it in (by["checkpoint"]["time"], said["not_before"]))
        fine = fine and "revoked" not in gone and (narrows or not (gone or (once and kin) or last <= fact.at < over))
        fine = fine and (narrows or max(moment(said["not_before"]), fact.at - timedelta(days=1)) < last)
        if narrows is not None:
            fine = fine and wider and narrows not in self.ended and once >= wider["single_use"]
            fine = fine and said["not_before"] >= wider["not_before"] and said["not_after"] <= wider["not_after"]
            fine = fine and str(start) == (old := wider["effective_compute"])["start"] and most <= Fraction(old["most"])
        self.ended |= {narrows: "narrowed"} if narrows else {fact.digest: "late"} if fact.at >= last else {}
        demand(fine, where, said, "no more than its decision allows, or the permit that it narrows, and once if final")
        self.permits[fact.digest] = {**said, "subject": about}

    def read_permit_spent(self, said: Json, fact: Any, where: str) -> None:
        fine = self.permits.get(fact.subject, said).get("single_use") and fact.subject not in self.ended
        demand(fine and moment(said["at"]) <= fact.at, where, fact.subject, "a permit for one use that has not ended")
        self.ended[fact.subject] = f"spent on {said['destination']}"

    def read_revocation(self, said: Json, fact: Any, where: str) -> None:
        by = {self.policy["permits"]["issued_by"], *self.policy["permits"].get("revocable_by", ())}
        by |= {*self.policy["amendments"]["approved_by"]}
        fine = fact.subject in self.permits and by & fact.signers and moment(said["at"]) <= fact.at
        demand(fine, where, fact.subject, f"a permit before it, and the quorum of one of {sorted(by)}")
        self.ended[fact.subject] = "revoked"


# -- the rule for the core (docs/semantics.md; its numbers stand in brackets) ------------------------------------------
SECTIONS = """interlock id version title effective expires supersedes imposed_by scope roles measures assumptions
thresholds requirements exceptions gates not_governed actions refresh attacker_budget attacker_budget_source permits
report_within independent on_hold duties amendments context sources""".split()
MEMBERS = """about above access alert_for approved_by argument assumes attempts audience below_if binds buffer by
checked claim changelog_required confidence consulted count coverage danger declares demonstrations developers
discretion domain doubt elicitation events exempt flop forecast_by fresh_for frozen_while_reached high independent_of
issued_by items judged keys kind lease level least_parameters least_samples ledger_age low margin measure metric
modality months multiple notice of on owner parts period proposed_by quantity quorum reached_when refines refresh
refusals requires reversible review revocable_by role rule_out run_by rung safety_ablated samples_digest seconds
sharp_at sharpness shots size source sources standard subject subjects surface takeover_potential task task_version
threat_models threshold tools unit valid_below void_at weaker weights what is""".split()
KINDS = """at amount ref at-least under-quantity under-screen under-reference measure compute-ratio unbounded mean
attested approved defined ruled-out combined hole never measured""".split()


def outside(policy: Json) -> None:  # no answer to what has a member, or a kind of part, without a rule here
    fine = policy["interlock"] == "policy/v1" and policy.keys() <= {*SECTIONS}
    within(fine, f"a policy of the form {policy['interlock']} with {sorted(policy)}")
    parts = [policy[name] for name in ("scope", "refresh", "permits", "report_within", "amendments")]
    named = [policy[it] for it in ("roles", "measures", "assumptions", "thresholds", "requirements", "actions")]
    parts += [part for every in (*named, *policy["gates"].values()) for part in every.values()]
    for part in parts:  # and all that is in it
        parts += part if isinstance(part, list) else []
        for name, inner in part.items() if isinstance(part, dict) else ():
            within(name in MEMBERS and (name != "is" or inner in KINDS), f"`{name}: {inner!s:.60}` in the policy")
            parts += [inner] if name not in {"items", "weights"} else []


def loads(policy: Json) -> bool:  # whether a loader may take it, of what else could open more than any policy may
    lines, asked, budget = policy["thresholds"].values(), policy["requirements"], Fraction(policy["attacker_budget"])
    ways = [it for it in asked.values() if it["is"] == "combined"]
    parts = [it for line in lines for it in walk(line["reached_when"]) if "parts" in it]
    fine = all(0 < it["count"] <= len(it.get("of", it.get("parts"))) for it in ways + parts)
    rules = [line["rule_out"] for line in lines if line["rule_out"]]
    fine = fine and all(Fraction(it["buffer"]["margin"]) >= 0 and 0.5 <= Fraction(it["confidence"]) < 1 for it in rules)
    stuck = {"never", *(name for name, it in asked.items() if it["is"] in {"hole", "never"})}
    for _ in ways:  # what rests on one is met no sooner
        stuck |= {name for name, it in asked.items() if stuck & {*it.get("of", ())}}
    return fine and 0 <= budget <= 1 and not any(stuck & {*it["of"]} and it["count"] < len(it["of"]) for it in ways)


ASSUMED = {"fine-tuned": {"no-gradient-hacking", "good-demonstrations"}, "understanding-based": {"valid-understanding"}}
ASSUMED |= {kind: {"no-evaluation-gaming"} for kind in ("prompted", "few-shot", "scaffolded")}  # by negatives (15)
ASSUMED |= {"rl-fine-tuned": {"no-gradient-hacking", "no-exploration-hacking"}}


def at_most(k: int, n: int, p: Fraction) -> Fraction:  # P(X <= k), X binomial (n, 0 < p), exactly; p > 1 as 1 (1)
    hit, miss = p.numerator, p.denominator - p.numerator
    if k < 0 or k >= n or miss <= 0:
        return Fraction(k >= n)
    total = term = miss**n
    for i in range(k):
        term = term * (n - i) * hit // ((i + 1) * miss)
        total += term
    return Fraction(total, p.denominator**n)


def evidence(k: int, n: int, p: Fraction, alpha: Fraction) -> bool:  # k of n, whenever asked: E >= 1 / alpha (1)
    if not 0 <= k < n or not 0 < p < 1:
        return 0 <= k < n and p >= 1
    tail, next_one = 1 - at_most(k, n + 1, p), at_most(k + 1, n + 1, p) - at_most(k, n + 1, p)
    return tail * alpha >= (k + 1) * next_one


class Tally:  # a result as a measure counts it, turned so that more is more dangerous (1, 3)
    def __init__(self, result: Any, measure: Json) -> None:
        within(result.protocol.samples <= 50_000, "more samples than can be counted exactly in a short time")
        ran, plan, n, unit = result.protocol, result.plan, result.stopped_at, (measure["low"], measure["high"])
        by_rule = (ran.stopping, ran.unit, ran.attempts) == ("e-process", "sample", 1) and plan and n is not None
        fits = by_rule and (plan.protocol.stopping, plan.protocol.order_seed) == (ran.stopping, ran.order_seed)
        self.stopped = fits and ran.order_seed is not None and 0 <= n <= ran.samples
        self.n, scored, unit = n if self.stopped else ran.samples, result.scored, unit == ("0", "1")
        self.readable = unit and 0 <= result.correct <= scored <= self.n
        self.harmless = result.correct if measure["danger"] == "higher" else scored - result.correct
        refused = min(result.refused_scores, scored) if measure["kind"] == "capability" else 0
        self.answers, self.dangerous = scored - refused, min(self.harmless + self.n - scored + refused, self.n)

    def under(self, level: Fraction, alpha: Fraction) -> bool:
        k, n, fine = self.dangerous, self.n, self.readable and self.n > 0 and level > 0
        return fine and (evidence(k, n, level, alpha) if self.stopped else at_most(k, n, level) < alpha)

    def shows(self, level: Fraction, alpha: Fraction) -> bool:
        k, n = self.harmless, self.n
        shown = evidence(n - k, n, 1 - level, alpha) if self.stopped else at_most(k - 1, n, level) >= 1 - alpha
        return self.readable and (level <= 0 or shown)


def turned(leaf: Json, measure: Json) -> Fraction:
    return Fraction(leaf["level"]) if measure["danger"] == "higher" else 1 - Fraction(leaf["level"])


# until when something holds, and up to which effective compute; what is found of an expression or a threshold
Span, Part = namedtuple("Span", "end reach"), namedtuple("Part", "reached below evaluated")


def least(spans: Iterable[Span | None]) -> Span | None:  # as far as all of them go; None if one is None
    found = [Span(LAST, math.inf), *spans]
    return None if None in found else Span(min(it.end for it in found), min(it.reach for it in found))


def latest(spans: Iterable[Span | None], count: int) -> Span | None:  # of the last `count` to end, in order; else None
    found = sorted((it for it in spans if it), key=lambda it: it.end, reverse=True)
    return least(found[:count]) if 0 < count <= len(found) else None


def final(policy: Json, action: str) -> bool:  # whether an action cannot be taken back (20)
    easy = {"reversible": action in {"scale", "deploy-internal", "deploy-api"}}
    return action == "release-weights" or not policy["actions"].get(action, easy)["reversible"]


def walk(part: Json | None) -> list[Json]:  # an expression and everything in it
    return [part, *(it for inner in part.get("parts", ()) for it in walk(inner))] if part else []


class Rule:  # one question to one version of one policy
    def __init__(self, asked: Any, policy: Json, entered: datetime, facts: Any) -> None:
        self.asked, self.policy, self.facts, self.at, self.known = asked, policy, facts, asked.at, facts.subjects
        self.since, self.entered, self.read = max(moment(policy["effective"]), entered), entered, facts.checkpoint.time
        action, self.irreversible, every = asked.action, final(policy, asked.action), policy["thresholds"]
        higher = {name: [one for one, it in every.items() if name in it.get("above", [])] for name in every}
        self.every, self.higher, self.stands = every, higher, asked.subject in self.known  # so are its ancestors then
        self.line = self.known[asked.subject].line if self.stands else {asked.subject}  # it and its ancestors
        if self.stands:
            self.subject, self.way = self.known[asked.subject], [self.known[asked.subject]]
            on = {name for name, it in self.known.items() if asked.subject in it.before}  # what goes on from it
            on = self.side(on | self.beside(asked.subject, more=True))
            fore = self.side(self.line.union(*map(self.beside, self.line)))
            self.kin = fore | on | self.side({asked.subject}, cheap=False)
            while action == "scale" and [step.kind for step in self.way[-1].steps] == ["continued"]:
                self.way.append(self.known[self.way[-1].steps[0].parent])  # the way of single continued steps (17)
            on, more = (on, self.beside(asked.subject)) if action == "scale" else (set[str](), set[str]())
            self.near, self.relatives = self.side({asked.subject}) | on, fore | on
            self.counted = {it.digest for it in self.way} | more  # what counts on it for ruling out (17)

    def beside(self, digest: str, *, more: bool = False) -> set[str]:  # continued from where it was, for no more
        own, known = self.known[digest].ways, self.known.items()
        ways = [(one, *it.run[of], *own[of]) for one, it in known for of in own.keys() & it.run.keys() - {digest}]
        return {one for one, a, b, least, most in ways if one != digest and (b > least if more else a <= most)}

    def side(self, subjects: set[str], *, cheap: bool = True) -> set[str]:  # and what leads back to one; in budget
        for digest in sorted(subjects):
            cost, spent = {digest: Fraction(0)}, Fraction(self.known[digest].training_compute)
            for name, subject in self.known.items():
                ways = [cost[step.parent] + step.compute for step in subject.steps if step.parent in cost]
                cost |= {name: min(ways)} if ways else {}
            most = Fraction(self.policy["attacker_budget"]) * spent if cheap else math.inf
            subjects = subjects | {name for name, it in cost.items() if it <= most}
        return subjects

    def room(self, span: Span | None) -> bool:
        return span is not None and self.subject.ec_high <= span.reach  # it is whole

    def withdrawn(self, fact: Any) -> bool:
        return any(one.of == fact.digest and one.signers & fact.signers for one in self.facts.withdrawals)

    def counts(self, fact: Any, start: datetime) -> bool:  # in favour: of this policy, not late nor withdrawn (35)
        return self.entered <= start and max(start, fact.at) <= self.read and not self.withdrawn(fact)

    def concerns(self, protocol: Any, measure: Json) -> bool:  # of its task, and of the deployment asked for (6, 19)
        here = measure["on"] == "model" or (self.asked.deployment and protocol.deployment == self.asked.deployment)
        return bool(protocol.task == measure["task"] and here)

    def results(self, digest: str, measure: Json) -> list[Any]:  # planned or not, withdrawn or not, not set aside (6)
        gone = [it for it in self.facts.set_asides if self.policy["independent"] in it.signers]
        gone = {it.of for it in gone if self.counts(it, it.at)}
        mine = [one for one in self.facts.results if one.subject == digest and self.concerns(one.protocol, measure)]
        return [one for one in mine if one.digest not in gone]

    def spoilt(self, it: Any, plan: Any) -> bool:
        """Whether a result of its plan was taken back or set aside; or of the same run, between its plan and it."""
        run = [r for r in self.facts.results if r.plan and (r.subject, r.protocol) == (it.subject, it.protocol)]
        gone = [(r, w.at) for r in run for w in self.facts.withdrawals if w.of == r.digest and w.signers & r.signers]
        gone += [(r, s.at) for r in run for s in self.facts.set_asides if s.of == r.digest]
        return any(r.plan.digest == plan.digest or plan.at <= at <= it.at for r, at in gone)

    def sound(self, result: Any, rule: Json, demand: Json, measure: Json, run_by: str) -> datetime | None:
        """Until when a result is sound for a demand; None if it is not (10 to 14)."""
        plan, ran, tally, kind = result.plan, result.protocol, Tally(result, measure), result.protocol.elicitation
        if plan is None or self.spoilt(result, plan):
            return None
        fine = run_by in plan.signers & result.signers and self.counts(plan, plan.at) and self.counts(result, plan.at)
        fixed = {"unit": "sample", "samples_digest": ran.samples_digest, **measure}
        names = ("task", "task_version", "metric", "unit", "samples_digest")
        fine = fine and all(getattr(ran, name) == fixed[name] for name in names)
        fine = fine and (self.concerns(ran, measure) if measure["on"] == "deployment" else ran.deployment is None)
        fine = fine and tally.readable and tally.n >= max(1, measure.get("least_samples", 1))
        fine = fine and (ran.stopping == "fixed" or (tally.stopped and self.policy["independent"] in plan.signers))
        fine = fine and tally.answers >= Fraction(rule["coverage"]) * tally.n and kind == demand["elicitation"]
        fine = fine and not (measure["kind"] == "propensity" and kind.endswith("fine-tuned"))
        tried = ran.shots if kind == "few-shot" else ran.demonstrations
        fine = fine and tried >= max(int(demand.get("demonstrations", 0)), kind in {"few-shot", "fine-tuned"})
        fine = fine and result.flop >= int(demand.get("flop", 0)) and ran.attempts >= int(demand.get("attempts", 1))
        fine = fine and all(getattr(ran, it) or not demand.get(it) for it in ("tools", "safety_ablated"))
        fine = fine and result.refused_at_most <= Fraction(demand.get("refusals", 1)) * tally.n
        end = min(after(plan.at, it["period"]) for it in (rule["refresh"], rule["buffer"]) if "period" in it)
        return end if fine and self.at < end else None

    def stated(self, asks: tuple[bool, str, str | None], asked: Json, apart: str = "") -> Span | None:
        """Until when a role's word stands that is not signed by `apart` as well (16, 29)."""
        said = [it for it in self.facts.attestations if (it.is_assumption, it.name, it.about) == asks]
        said = [it for it in said if asked["by"] in it.signers and apart not in it.signers and self.counts(it, it.at)]
        end = max((after(it.at, asked["fresh_for"]) for it in said), default=self.at)
        return Span(end, math.inf) if self.at < end else None

    def discharged(self, name: str, digest: str, run_by: str) -> Span | None:  # how far it is discharged about S (16)
        if (asked := self.policy["assumptions"].get(name)) is None:
            return None
        within("checked" not in asked, f"the assumption `{name}`, which is checked")
        voids = [self.threshold(one).below for one in asked.get("void_at", [])]
        return least([self.stated((True, name, digest), asked, run_by), *voids])

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

    def enough(self, result: Any, name: str) -> bool:  # it is all of its plan, or stopped under all it may show (19)
        rule, leaves = self.every[name]["rule_out"], walk(self.every[name]["reached_when"])
        coverage, sure = Fraction(rule["coverage"]), Fraction(rule["confidence"])
        if result.scored >= coverage * result.protocol.samples:
            return True
        on = [(it, self.policy["measures"][it["measure"]]) for it in leaves if it["is"] == "at"]
        lines = [(Tally(result, it), turned(leaf, it)) for leaf, it in on if it.get("task") == result.protocol.task]
        fine = all(it.stopped and result.scored >= coverage * it.n and it.under(at, 1 - sure) for it, at in lines)
        return bool(lines) and fine

    def open_plans(self, name: str, measure: Json) -> list[datetime]:  # when those that matter block (19, 20)
        dues = list[datetime]()
        for plan in self.facts.plans:
            reports = [one for one in self.facts.results if one.plan and one.plan.digest == plan.digest]
            reports = [one for one in reports if set() < plan.signers <= one.signers and not self.withdrawn(one)]
            closed = any(self.enough(one, name) for one in reports)
            if plan.subject in self.kin and self.concerns(plan.protocol, measure) and not closed:
                due = min(plan.report_by, after(plan.at, self.policy["report_within"]))
                dues.append(datetime.min.replace(tzinfo=UTC) if self.irreversible else due)
        return dues

    def unreported(self, name: str) -> list[datetime]:  # when open plans on what is at stake at it block (20)
        leaves = {one: walk(it["reached_when"]) for one, it in self.every.items()}
        refs = {one: [part["threshold"] for part in parts if part["is"] == "ref"] for one, parts in leaves.items()}
        names, more = set[str](), {name}
        while more := more - names:
            names, more = names | more, {other for one in more for other in (*refs[one], *self.higher[one])}
        tried = [(one, part) for one in names for part in leaves[one] if part["is"] == "at"]
        return [due for one, part in tried for due in self.open_plans(one, self.policy["measures"][part["measure"]])]

    def leaf(self, leaf: Json, name: str, alpha: Fraction, share: Fraction) -> Part:
        """A measure at a level (21); outside, if it is reached on an ancestor's side and S may have repeated that."""
        rule, measure, own = self.every[name]["rule_out"], self.policy["measures"][leaf["measure"]], self.asked.subject
        within(measure["is"] == "measure", f"the {measure['is']} `{leaf['measure']}`")
        level, demands = turned(leaf, measure), rule["elicitation"]
        evaluated, sure = self.shown(rule, measure, demands, assume=False), Fraction(rule["confidence"])
        tried = [(one, Tally(it, measure)) for one in self.relatives for it in self.results(one, measure)]
        if hits := {one for one, it in tried if it.shows(level, 1 - sure)}:
            again = [it for it in self.results(own, measure) if it.plan and self.policy["independent"] in it.signers]
            within(hits & self.near or not again, f"what may repeat results on the ancestors of {own}")
            return Part(True, None, evaluated)
        within("forecast_by" not in rule["buffer"], "a margin that is forecast")
        dues, line = self.open_plans(name, measure), min(alpha, 1 - sure) * share
        level -= Fraction(rule["buffer"]["margin"])
        spans = [self.shown(rule, measure, [demand], assume=True) for demand in demands]
        tallies = [Tally(it, measure) for one in self.counted for it in self.results(one, measure)]
        under = demands and tallies and self.at < min([*dues, LAST]) and all(it.under(level, line) for it in tallies)
        return Part(False, least(spans + [Span(due, math.inf) for due in dues]) if under else None, evaluated)

    def amount(self, quantity: str, level: Fraction) -> Part:  # signed; `below` reaches as far as the cap (22, 41)
        own, always = [self.known[one] for one in self.line], Span(LAST, math.inf)
        low, high, cap = max(it.ec_low for it in own), max(it.ec_high for it in own), math.ceil(level) - 1
        if quantity == "training_compute":
            low = high = max(sum(it.added for it in own), *(it.training_compute for it in own))
            cap = math.ceil(self.subject.ec_low * level / low) - 1 if low else self.subject.ec_low
        within(quantity in {"training_compute", "effective_compute"}, f"the quantity `{quantity}`")
        below = Span(LAST, cap) if high < level else None
        return Part(low >= level, below if self.room(below) else None, always)

    def part(self, part: Json, name: str, alpha: Fraction, share: Fraction) -> Part:  # of an expression (21 to 24, 28)
        if part["is"] == "at":
            return self.leaf(part, name, alpha, share)
        if part["is"] == "amount":
            return self.amount(part["quantity"], Fraction(part["level"]))
        if part["is"] == "ref":
            found = self.threshold(part["threshold"], alpha, share)
            return found._replace(evaluated=found.below or found.evaluated)
        parts, count = [self.part(one, name, alpha, share / part["count"]) for one in part["parts"]], part["count"]
        reached = sum(one.reached for one in parts) >= count
        below = None if reached else latest((one.below for one in parts), len(parts) - count + 1)
        return Part(reached, below, below or least(one.evaluated for one in parts))

    def threshold(self, name: str, alpha: Fraction = Fraction(1), share: Fraction = Fraction(1)) -> Part:
        """A threshold, with the outer alpha and share (25, 26, 28)."""
        rule, ways = (asked := self.every[name])["rule_out"], asked.get("below_if", [])
        within("judged" not in asked, f"the threshold `{name}`, which is judged")
        within(all(way["is"] == "under-quantity" for way in ways), f"what shows `{name}` to be below")
        alpha, expression = min(alpha, 1 - Fraction(rule["confidence"])) if rule else alpha, asked["reached_when"]
        found = self.part(expression, name, alpha, share) if expression else Part(False, None, None)
        if any([found.reached, *(self.threshold(one).reached for one in self.higher[name])]):
            return Part(True, None, found.evaluated)
        quick = (self.amount(way["quantity"], Fraction(way["level"])).below for way in ways if expression)
        below, dues = next((way for way in (*quick, found.below) if way), None), self.unreported(name)
        if below is None or self.at >= min(dues, default=LAST):
            return Part(False, None, found.evaluated)
        return Part(False, below._replace(end=min([below.end, *dues])), found.evaluated)

    def met(self, name: str) -> Span | None:  # how far; not if `never`, a hole, or by nobody approved (29, 32)
        asked, offered, hole = self.policy["requirements"][name], self.asked.deployment, {"reached_when": None}
        kind, threshold = asked["is"], self.every.get(asked.get("threshold"), hole)
        if kind == "combined":
            return latest((self.met(one) for one in asked["of"]), asked["count"])
        if kind == "ruled-out":
            return self.threshold(asked["threshold"]).below
        unread = kind == "measured" or "judged" in threshold or (kind == "approved" and "approval" in self.facts.kinds)
        within(not unread, f"the requirement `{name}`, which is {kind}")
        if kind == "defined":
            return Span(LAST, math.inf) if threshold["reached_when"] else None
        if kind != "attested" or (asked["about"] == "deployment" and offered is None):
            return None
        about = {"subject": self.asked.subject, "deployment": offered, "developer": None}[asked["about"]]
        return self.stated((False, name, about), asked)

    def answer(self) -> Json:  # the verdict, its bounds, and every cell that gates (36 to 43)
        outside(self.policy)
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
            said, overdue = {need: it is not None for need, it in met.items()}, found.below is found.evaluated is None
            cells[name] = {"state": state, "overdue": overdue, "opens": spans[-1] is not None, "met": said}
        known = self.facts.deployments.get(asked.deployment, asked)
        fine = known.subject == asked.subject and (known is not asked or asked.deployment is None)
        fine = fine and cells and self.since <= self.at and self.read <= self.at < after(self.read, terms["ledger_age"])
        if fine:
            rules = [rule for name in gate if (rule := policy["thresholds"][name]["rule_out"])]
            parts = [it[part] for it in [policy, *rules] for part in ("refresh", "buffer") if part in it]
            reach = self.subject.ec_low * min(Fraction(it["multiple"]) for it in parts)
            spans.append(Span(after(self.at, terms["lease"]), reach))
            spans.append(Span(moment(policy["expires"]) if policy["expires"] else LAST, math.inf))
        span = least(spans)
        permit = fine and span is not None and self.room(span) and self.at < span.end
        ends = ("permit", str(math.floor(span.reach)), f"{span.end:{WRITTEN}}") if permit else ("hold", None, None)
        told = {policy["id"]: {"governs": governs, "verdict": ends[0], "cells": cells}} if self.since <= self.at else {}
        return {"verdict": ends[0], "most_effective_compute": ends[1], "not_after": ends[2], "policies": told}


# -- a bundle, and the command -----------------------------------------------------------------------------------------
def covered(bundle: Json, log: NoteKey, entries: list[bytes], witnesses: Witnesses | None) -> tuple[Any, ...]:
    """Verify the log's side of a bundle: each entry's time, the root before the last, the latest checkpoint."""
    stubs = [f"interlock payload v1\nsha256 {sha256(it)}\n{len(it)}\n".encode() for it in entries]
    logged = [it if len(it) <= 65535 else stub for it, stub in zip(entries, stubs, strict=True)]
    root, times = tree([hashlib.sha256(b"\x00" + it).digest() for it in logged]), list[datetime]()
    count, last, before = len(entries), Checkpoint(-1, b"", EPOCH, []), list[datetime]()
    for number, note in enumerate(bundle["history"]):
        made, where = checkpoint(note, log, {}, f"history {number}"), f"history {number}"
        fine = (made.size == 0) == (number == 0) and last.size < min(made.size, count) and last.time <= made.time
        demand(fine, where, f"{made.size} at {made.time:{WRITTEN}}", "0, then more and later, up to the last entry")
        fine = made.size > count or made.root == root(made.size)
        demand(fine, f"entries {max(last.size, 0)} to {made.size - 1}", "another tree", f"root {made.root.hex()}")
        more = min(made.size, count) - len(times)
        times, before, last = times + [made.time] * more, before + [last.time] * more, made
    demand(0 < count <= last.size, "history", f"{count} entries, covered up to {last.size}", "some, and all covered")
    latest = checkpoint(bundle["checkpoint"], log, witnesses.keys if witnesses else {}, "checkpoint")
    fine = latest.time >= last.time and (latest.size > last.size or latest[:2] == last[:2])
    demand(fine, "checkpoint", f"{latest.size} at {latest.time:{WRITTEN}}", "no less than the history, and its tree")
    for later, name in ((last, "history_proof"), (latest, "checkpoint_proof")):
        continues(count, root(count), later, [unbase64(it, name) for it in bundle[name]], name)
    fine = witnesses is None or witnesses.stand(latest.witnesses)
    demand(fine, "checkpoint", f"cosignatures of {latest.witnesses}", "those of the quorum of witnesses")
    return times, before, root(count - 1), latest


def verify(data: bytes, log: NoteKey, pinned: str | None, witnesses: Witnesses | None) -> Json:
    """Verify a bundle; return what it shows, or raise `Refused`, `Outside`, or the error of what cannot be read."""
    demand(len(data) <= 1 << 26, "bundle", f"{len(data)} bytes", "at most 64 MiB")
    bundle = strict(data, "bundle", "bundle")
    entries = [text.encode() for text in bundle["entries"]]
    times, before, root, latest = covered(bundle, log, entries, witnesses)
    reader, said, size = Reader(pinned, times), Json(), len(entries) - 1
    for number, (entry, at, first) in enumerate(zip(entries, times, before, strict=True)):
        said = reader.take(entry, at, first, f"entry {number}")
        if said["predicateType"] == "urn:interlock:duty-overdue:v1":
            it = {name: said["predicate"][name] for name in ("of", "duty", "what", "due")}
            reader.facts.lapses.append({"entry": number, **it, "done": None})
    where, claimed, facts, policy = f"the decision of entry {size}", said["predicate"], reader.facts, reader.policy
    demand(said["predicateType"] == "urn:interlock:decision:v5", where, said["predicateType"], "a decision")
    asked, seen = SimpleNamespace(**{**claimed, "at": moment(claimed["at"])}), claimed["checkpoint"]
    facts.checkpoint = SimpleNamespace(time=moment(seen["time"]))
    fine = (seen["size"], seen["root"], said["subject"][0]["digest"]["sha256"]) == (size, root.hex(), asked.subject)
    demand(fine, where, f"{seen} at {claimed['at']}", "all entries before it, and its subject")
    derived = Rule(asked, policy, times[0], facts).answer()
    differ(f"{where}, non-compliance", [{**it, "done": None} for it in claimed["non_compliance"]], facts.lapses)
    differ(where, claim(claimed, (policy["id"], policy["version"], reader.digest)), derived)
    for entered in (before[0], times[0]) if derived["verdict"] == "permit" else ():
        for it in (*facts.plans, *facts.set_asides):  # a note that was left out makes an entry look younger
            it.at = max(entered, earliest(it, policy["report_within"]) if it.kind == "plan" else it.first)
        worst = Rule(asked, policy, entered, facts).answer()
        demand(worst["verdict"] == "permit", where, "a permit by entries that may be older", "one that stands then")
    permits = Json()
    for one, it in reader.permits.items():  # each after the one that it narrows
        end = reader.ended.get(one, "its time was over" if moment(it["not_after"]) <= times[-1] else "not ended")
        told = {name: it.get(name) for name in ("action", "subject", "deployment", "not_before", "not_after")}
        permits[one] = {**told, "ended": "revoked" if permits.get(it["narrows"], {}).get("ended") == "revoked" else end}
    return {
        "verified": f"{asked.action} of {facts.subjects[asked.subject].name}: {derived['verdict']}",
        **{name: claimed[name] for name in ("subject", "deployment", "at")},
        "policy": f"{policy['id']} {policy['version']} {reader.digest}",
        "log": f"{log.name}, {size} entries read, {latest.size} by the latest checkpoint",
        "witnesses": latest.witnesses,
        **derived,
        "permits before it": permits,
        "not checked": [
            "the logs of results, the seeds of audits, and what else was stated by which the core decides nothing",
            "its texts, reasons, certificates, bounds of results, ways to lift a hold and duties, and what was late",
            "that the policy is one that loads, beyond its keys, margins, confidences, counts and ways by a hole",
            f"the times, which are the log's word; what came after: {latest.size - size - 1} entries, by hashes alone",
            *["the decisions on which the permits before it rest: whether the rule gives them"] * bool(permits),
            *["that the policy is the one you expect: no --policy"] * (pinned is None),
            *["that others see the same: no --witnesses"] * (witnesses is None),
        ],
    }


def earliest(plan: Any, length: Json) -> datetime:  # the first second at which its report is promised in time
    first, last = plan.first, plan.at
    while last - first > timedelta(seconds=1):
        middle = first + (last - first) // 2
        first, last = (first, middle) if after(middle, length) >= plan.report_by else (middle, last)
    return last


def claim(said: Json, policy: tuple[str, ...]) -> Json:  # what a decision says, in the form of an answer
    policies = Json()
    for ruling in said["rulings"]:
        it, cells = (ruling["policy"], ruling["version"], ruling["digest"]), Json()
        demand(it == policy, "the decision's ruling", it, policy)
        for cell in ruling["cells"]:
            found = {name: cell["finding"][name] for name in ("state", "overdue")}
            met = {need["name"]: need["met"] for need in cell["requirements"]}
            cells[cell["threshold"]] = {**found, "opens": cell["opens"], "met": met}
        policies[ruling["policy"]] = {"governs": ruling["governs"], "verdict": ruling["verdict"], "cells": cells}
    bounds = said["bounds"] or {"most_effective_compute": None, "not_after": None}
    return {"verdict": said["verdict"], **bounds, "policies": policies}


def differ(where: str, got: Any, expected: Any) -> None:  # refuse the first thing that is not what the rule says
    same = isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys()
    for name in got if same else ():
        differ(f"{where}, {name}", got[name], expected[name])
    demand(same or got == expected, where, got, f"{expected} by the rule")


def main(arguments: list[str]) -> int:  # run the command; return its exit code
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="the file to verify")
    parser.add_argument("--vkey", required=True, help="the log's verifier key, from somebody whom you trust")
    parser.add_argument("--policy", help="the SHA-256 of the compiled policy that you expect")
    parser.add_argument("--witnesses", type=Path, help="a file of witnesses and their quorum (c2sp.org/tlog-policy)")
    given = parser.parse_args(arguments)
    try:
        demand(re.fullmatch(TEXTS["#"], given.policy or "0" * 64), "--policy", given.policy, "a SHA-256")
        data, log = given.bundle.read_bytes(), note_key(given.vkey, 1)
        witnesses = Witnesses(given.witnesses.read_text("utf-8"), log) if given.witnesses else None
    except (OSError, ValueError, Refused) as error:
        parser.error(str(error))
    try:
        code, told = 0, verify(data, log, given.policy, witnesses)
    except Refused as error:
        code, told = 1, {"refused": str(error)}
    except (Outside, *UNREADABLE) as error:
        code, told = 4, {"not verified here": str(error) if isinstance(error, Outside) else f"got {error!r:.90}"}
    print(json.dumps(told, indent=2))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
