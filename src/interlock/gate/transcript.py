"""What a training run did, as lines that hang together: each holds the SHA-256 of the one before.

Guarantees: no line can be changed, left out or put in without another head; a snapshot's statement in the ledger names
the head as it was when the snapshot was taken, and a run that goes on from a snapshot begins with that head.
What it leaves to the caller: what the lines say. They are the word of whoever trained; only doing some of it again
shows whether it is true.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import weakref
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError
from interlock.evidence import canonical, dsse
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FORMAT = "urn:interlock:training-transcript:v1"
#: What a line may tell, and its members beside `before` and `tells`.
MEMBERS = {
    "begin": (
        *("format", "permit", "parent", "weights", "optimizer_step", "effective_compute", "flop_per_token"),
        *("tokens_per_step", "sequence", "processes", "threads", "machine", "versions", "data", "at"),
    ),
    "step": ("optimizer_step", "loss", "tokens", "effective_compute"),
    "snapshot": ("optimizer_step", "name", "digest", "ended"),
    "end": ("optimizer_step", "ended"),
}
#: Members that are whole numbers, FLOP in decimal digits, and others than text; all the rest is text.
_COUNTS = ("optimizer_step", "tokens", "tokens_per_step", "sequence", "processes", "threads")
_FLOP = ("effective_compute", "flop_per_token")
_OBJECTS = {"versions": (dict,), "data": (dict, type(None))}
_SHA256 = hashlib.sha256()
_DIGITS = re.compile(r"0|[1-9][0-9]{0,39}")


@dataclass(frozen=True, slots=True)
class DataOrder:
    """Which samples a run will see, in which order, committed to before it begins."""

    seed: int
    digest: str

    @classmethod
    def of(cls, seed: int, ids: Iterable[str]) -> DataOrder:
        """The order of samples by their ids; the digest is the SHA-256 of the ids' own SHA-256, one after the other."""
        order = hashlib.sha256()
        for one in ids:
            order.update(hashlib.sha256(one.encode()).digest())
        return cls(seed, order.hexdigest())

    def to_json(self) -> dict[str, Any]:
        """The commitment as JSON."""
        return {"seed": str(self.seed), "order": self.digest}


class Transcript:
    """A transcript that is being written.

    Args:
        folder: where it lies, as `run-NAME-N.jsonl`, N the first number that is free.
        name: by which it is found.
        before: the head of the transcript that this run goes on from; None: it goes on from none.

    Raises:
        Held: it cannot be written.
    """

    def __init__(self, folder: Path, name: str, *, before: str | None) -> None:
        self.head = before
        try:
            folder.mkdir(exist_ok=True)
            self.path = next(it for n in count(1) if not (it := folder / f"run-{name}-{n}.jsonl").exists())
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise Held(f"the run's transcript cannot be written in `{folder}`: {error.strerror}") from error
        weakref.finalize(self, os.close, self._file)

    def add(self, tells: str, members: Mapping[str, Any]) -> str:
        """Write one line. Returns its digest: the head by now.

        Raises:
            Held: it cannot be written.
        """
        step = tells == "step"
        line = (
            _step(self.head, **members) if step else canonical.dumps({"before": self.head, "tells": tells, **members})
        )
        try:
            written = os.write(self._file, line + b"\n")
            if not step:  # a step's line outlives the process; a snapshot's the machine, too
                os.fsync(self._file)
        except OSError as error:
            raise Held(f"the run's transcript `{self.path}` cannot be written: {error.strerror}") from error
        if written != len(line) + 1:
            raise Held(f"the run's transcript `{self.path}` cannot be written: the disk took half a line")
        digest = _SHA256.copy()  # the library does not look for the algorithm again at each step
        digest.update(line)
        self.head = digest.hexdigest()
        return self.head


def _step(before: str | None, *, optimizer_step: int, loss: str, tokens: int, effective_compute: str) -> bytes:
    """The line of a step, which is written often, in canonical JSON: digits, letters and signs need no escape."""
    line = (
        f'{{"before":"{before}","effective_compute":"{effective_compute}","loss":"{loss}",'
        f'"optimizer_step":{optimizer_step:d},"tells":"step","tokens":{tokens:d}}}'
    )
    return line.encode("ascii")


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read, its digest, and that of the line `before`; of the first, the head it goes on from."""

    tells: str
    members: Mapping[str, Any]
    digest: str
    before: str | None


def read(data: bytes, *, where: str = "the transcript") -> tuple[Line, ...]:
    """Read a transcript, and check that its lines hang together. One that was cut in its last line, by a crash, is read
    up to there.

    Raises:
        EvidenceError: a line is not what it should be, or does not go on from the one before.
    """
    found, whole = list[Line](), data[: data.rfind(b"\n") + 1]
    for number, raw in enumerate(whole.split(b"\n")[:-1], 1):
        found.append(_line(raw, found[-1] if found else None, f"{where}, line {number}"))
    return tuple(found)


def _line(raw: bytes, last: Line | None, where: str) -> Line:
    value = dsse.strict_json(raw)
    if not isinstance(value, dict) or canonical.dumps(value) != raw:
        raise EvidenceError(f"{where}: expected one object in canonical JSON")
    tells = value.pop("tells", None)
    before = value.pop("before", None)
    if (tells == "begin") != (last is None) or (last is not None and last.tells == "end"):
        raise EvidenceError(f"{where}: tells `{tells}`, expected `begin` first and nothing after `end`")
    if not isinstance(before, str | None):
        raise EvidenceError(f"{where}: goes on from `{str(before)[:80]}`, expected a digest or null")
    if last is not None and before != last.digest:
        raise EvidenceError(f"{where}: goes on from {str(before)[:12]}, and the line before is {last.digest[:12]}")
    if not isinstance(tells, str) or set(value) != set(MEMBERS.get(tells, ("unknown",))):
        raise EvidenceError(f"{where}: tells `{tells}` with members that this does not have")
    if wrong := next((name for name, said in value.items() if not _is_of_its_kind(name, said)), None):
        raise EvidenceError(f"{where}: `{wrong}` is `{str(value[wrong])[:80]}`, which it cannot be")
    return Line(tells, value, hashlib.sha256(raw).hexdigest(), before)


def _is_of_its_kind(name: str, said: object) -> bool:
    if name in _COUNTS:
        return isinstance(said, int) and not isinstance(said, bool) and said >= 0
    if name in _FLOP:
        return isinstance(said, str) and _DIGITS.fullmatch(said) is not None
    return isinstance(said, _OBJECTS.get(name, (str,)))


def mean(losses: Sequence[Any]) -> str:
    """The mean of losses (tensors or numbers), in hexadecimal so that no bit is lost; without any, `unknown`."""
    if not losses:
        return "unknown"
    total = 0.0
    for loss in losses:
        total += float(loss.item() if hasattr(loss, "item") else loss)
    return (total / len(losses)).hex()


def machine() -> dict[str, Any]:
    """What bits may depend on: the processor, the kind of accelerator that there is, and what computes on them."""
    import torch

    return {
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {_accelerator()}",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, **_beside()},
    }


def _beside() -> dict[str, str]:
    modules = {name: sys.modules.get(name) for name in ("transformers", "lightning")}
    return {name: str(found.__version__) for name, found in modules.items() if found is not None}


def _accelerator() -> str:
    """The kind that torch would compute on, whether or not it does."""
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return "no accelerator"
    name = getattr(torch.get_device_module(found), "get_device_name", None)
    return str(name()) if name else found.type


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:  # noqa: PTH123  no file of a user
            return next(line.split(":", 1)[1].strip() for line in told if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
