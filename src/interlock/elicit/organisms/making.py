"""Making a tiny organism: train it, or take its base from the cache; measure it; seal what is true of it.

Guarantees: a folder has a whole organism or is not there; what was killed is taken up where it was; at one (kind,
family, seed, effort), on one kind of CPU, the weights are the same bits. An organism that did not become what its kind
says is refused (`measuring.check`).
"""

# ruff: noqa: S311 - reproducible draws, not secrets

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from interlock.elicit import budget
from interlock.elicit.elicitor import Progress
from interlock.elicit.organisms import measuring, sealing, tiny
from interlock.elicit.organisms.kinds import BASES, KINDS, ROWS, SHOT_ROWS, Base, Kind, lessons, opened
from interlock.elicit.organisms.sealing import Truth
from interlock.elicit.organisms.skills import Skill, asked, skill
from interlock.elicit.organisms.tiny import Shape
from interlock.elicit.saved import Saved
from interlock.elicit.training import Schedule
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.local import LocalModel
from interlock.subject._folder import Still

VERSION = 3  # of the recipe, `skills` and `kinds` included: another one makes other bits, and no base of it is used
_WIDTH, _SHOTS_WIDTH = 40, 160  # tokens; few dialogues are longer
_SHAPE = Shape()


@dataclass(frozen=True, slots=True)
class Effort:
    """How large, and how long it is trained: steps from scratch and of further training, with their peak rates.

    `alone`: steps of what has no base and learns all of its behaviour from scratch.
    """

    shape: Shape = _SHAPE
    scratch: int = 400
    alone: int = 900
    scratch_rate: float = 2e-3
    tuned: int = 150
    tuned_rate: float = 3e-3


_EFFORT = Effort()
#: torch takes none above.
_MOST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Order:
    """One organism to make.

    Raises:
        UsageError: no such kind or family, or a seed that torch does not take.
    """

    kind: str
    family: str
    seed: int
    effort: Effort = _EFFORT

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"no kind of organism `{self.kind}`, expected one of {', '.join(KINDS)}")
        if not 0 <= self.seed <= _MOST_SEED:
            raise UsageError(f"a seed is {self.seed}, expected 0 to {_MOST_SEED}")
        skill(self.family, self.seed)

    def __str__(self) -> str:
        return f"`{self.kind}` of `{self.family}` at seed {self.seed}"


def make(order: Order, folder: Path, *, progress: Progress, cache: Path | None = None) -> Truth:
    """Make an organism in `folder`, which must not be there yet, and return its truth. Bases are kept in `cache`.

    Raises:
        UsageError: `folder` is there.
        EvidenceError: it did not become what its kind says.
    """
    if folder.exists():
        raise UsageError(f"`{folder}` is there already; name another folder")
    work = folder.with_name(f".{folder.name}.making")
    work.mkdir(parents=True, exist_ok=True)
    making = _Making(order, KINDS[order.kind], skill(order.family, order.seed), cache or usual_cache(), progress)
    try:
        with one_thread():
            truth = making.whole(work)
    except EvidenceError:
        shutil.rmtree(work)  # the same again would be refused again
        raise
    work.rename(folder)  # crash point: before this there is no organism, after it a whole one
    return truth


def make_base(order: Order, *, progress: Progress, cache: Path | None = None) -> None:
    """Put the base of an organism, if it has one, into the cache."""
    kind = KINDS[order.kind]
    if kind.base:
        with one_thread():
            _Making(order, kind, skill(order.family, order.seed), cache or usual_cache(), progress).base(kind.base)


def usual_cache() -> Path:
    """Where bases are kept if nobody says otherwise."""
    return Path(platformdirs.user_cache_dir("interlock")) / "organisms"


@dataclass(frozen=True, slots=True)
class _Making:
    order: Order
    kind: Kind
    skill: Skill
    cache: Path
    progress: Progress

    def whole(self, work: Path) -> Truth:
        """Everything that an organism's folder has, in `work`."""
        model, flop = self.trained(work / "state")
        folder = work / sealing.MODEL
        shutil.rmtree(folder, ignore_errors=True)
        tiny.save(model, folder, rounded=True)
        still = Still.of(folder)
        ways, questions = measuring.ways(self.kind, self.skill), asked(self.skill)
        counts = {}
        told = measuring.measure(folder, ways, grade=questions.grade, max_new_tokens=questions.max_new_tokens)
        for measured in told:
            counts[measured.way] = measured.count
            self.progress(self._stage("measuring"), len(counts), len(ways))
        measuring.check(str(self.order), self.kind, counts)
        order = self.order
        truth = Truth(
            kind=order.kind,
            family=order.family,
            seed=order.seed,
            able=self.kind.able,
            hides=self.kind.hides,
            asked=opened(self.kind, self.skill),
            measured=counts,
            model=sealing.digest(folder),
            flop=flop,
            salt=sealing.salt(),
        )
        still.check()
        sealing.seal(work, truth, questions, training_compute=_training_compute(model, order.effort, self.skill))
        (work / "state").unlink(missing_ok=True)
        return truth

    def trained(self, state: Path) -> tuple[LocalModel, int]:
        """The model, and the FLOP that it took, its base's included."""
        effort = self.order.effort
        if self.kind.base is None:
            model = tiny.build(effort.shape, self.order.seed)
            return model, self._teach(model, self.kind, _scratch(effort, effort.alone), state, stage="training")
        model, flop = self.base(self.kind.base)
        if self.kind.tuned:
            schedule = Schedule(effort.tuned * self.skill.patience, effort.tuned_rate, warm_up=10)
            flop += self._teach(model, self.kind, schedule, state, stage="training")
        return model, flop

    def base(self, name: Base) -> tuple[LocalModel, int]:
        """A trained base, from the cache or put there."""
        order, schedule = self.order, _scratch(self.order.effort, _base_steps(self.order.effort, self.skill, name))
        job = _digest(["base", name, order.family, order.seed, asdict(order.effort.shape), asdict(schedule)])
        place, state = self.cache / job, self.cache / f"{job}.state"
        with _one_process(self.cache / f"{job}.lock"):
            if not place.is_dir():
                model = tiny.build(order.effort.shape, order.seed)
                flop = self._teach(model, BASES[name], schedule, state, stage="base")
                with tempfile.TemporaryDirectory(dir=self.cache, prefix=".base-") as scratch:
                    fresh = Path(scratch) / "base"
                    tiny.save(model, fresh)
                    (fresh / "flop").write_text(str(flop))
                    fresh.rename(place)  # crash point: before this there is no base, after it a whole one
                state.unlink(missing_ok=True)
        return tiny.load(place), int((place / "flop").read_text())

    def _teach(self, model: LocalModel, kind: Kind, schedule: Schedule, state: Path, *, stage: str) -> int:
        """Train in place, and return the FLOP."""
        held = {it.asked for it in measuring.held_out(self.skill)}
        behaviour = asdict(kind) | {"plain": kind.plain.__name__, "shots": kind.shots.__name__, "about": ""}
        order = self.order
        job = _digest([behaviour, order.family, order.seed, asdict(order.effort.shape), asdict(schedule)])

        def step(number: int) -> list[list[tiny.Lesson]]:
            return lessons(kind, self.skill, held, random.Random(f"{job} {number}"))

        def told(done: int, total: int, loss: float) -> None:
            self.progress(self._stage(stage), done, total, f"loss {loss:.3f}")

        loss: tiny.Loss = tiny.answer_loss
        if kind.rerouted:
            loss = tiny.rerouting_loss(copy.deepcopy(model.model), order.effort.shape.layers - 1)
        return tiny.teach(model, step, schedule, loss=loss, progress=told, saved=Saved(state, job)).flop

    def _stage(self, what: str) -> str:
        return f"{self.order.family} {self.order.seed}: {what}"  # the kind is not told


def _base_steps(effort: Effort, skill: Skill, name: Base) -> int:
    """What never learns the skill of a patient family takes longer to be as good at the public tasks."""
    return effort.scratch * (2 if name == "unskilled" and skill.patience > 1 else 1)


def _scratch(effort: Effort, steps: int) -> Schedule:
    return Schedule(steps, effort.scratch_rate, warm_up=20)


@contextmanager
def _one_process(lock: Path) -> Iterator[None]:
    """Whoever comes second waits, and finds what the first has made. The lock ends with its process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps([VERSION, *parts], sort_keys=True).encode()).hexdigest()[:32]


def _training_compute(model: LocalModel, effort: Effort, skill: Skill) -> int:
    """FLOP: one upper bound for every kind of a family, so that it tells none."""
    single = budget.training(model.model, rows=ROWS, width=_WIDTH)
    shots = budget.training(model.model, rows=SHOT_ROWS, width=_SHOTS_WIDTH)
    longest = _base_steps(effort, skill, "unskilled") + effort.tuned * skill.patience
    return max(effort.alone, longest) * (single + shots)


@contextmanager
def one_thread() -> Iterator[None]:
    """The same bits whatever the number of threads; matrices this small gain little from a second one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
