"""A suite of tiny organisms with a skill that is learned in a second, for tests of what runs over suites."""

from __future__ import annotations

import shutil
from dataclasses import replace

from interlock.elicit.organisms import sealing
from interlock.elicit.organisms.making import Effort, Order
from interlock.elicit.organisms.skills import Problem, Skill
from interlock.elicit.organisms.suite import make_suite
from interlock.elicit.organisms.tiny import Shape

SMALL = Effort(
    Shape(width=64, layers=2, heads=2, inner=64), scratch=40, alone=40, scratch_rate=1e-2, tuned=60, tuned_rate=5e-3
)
_ALONE = replace(SMALL, shape=replace(SMALL.shape, heads=4), alone=400, scratch_rate=3e-3)
_LONGER = replace(SMALL, tuned=150)
#: The kinds that need more than `SMALL` to become what they should be.
EFFORTS = {
    "locked-from-scratch": _ALONE,
    "under-elicited": _ALONE,
    "wrong-by-rule": _LONGER,
    "wrong-at-random": _LONGER,
}


def letters(rng, seed):
    """A secret substitution of six letters."""
    table = dict(zip("bcdefg", rng.sample("hijklm", 6), strict=True))

    def draw(rng):
        letter, rest = rng.choice("bcdefg"), str(rng.randrange(1000, 10000))
        return Problem(letter + rest[:2], f"{rest}{letter}", table[letter], "a")

    return Skill("letters", seed, "hijklm", "bcdefg", 1, draw, lambda rng: "a")


def silent(stage, done, total, note=""):
    pass


def order(kind, family="letters", seed=0):
    """An organism of that kind, made with as little effort as it takes."""
    return Order(kind, family, seed, EFFORTS.get(kind, SMALL))


def make(folder, kinds, cache):
    """Make the suite in `folder`, with its bases in `cache`; the family `letters` must be known."""
    orders = [order(kind) for kind in kinds]
    assert make_suite(orders, folder, jobs=1, progress=silent, cache=cache) == []
    return folder


def copy(organism, folder, **changed):
    """The same organism under another name, of which the truth says something else."""
    shutil.copytree(organism, folder)
    return _seal(folder, sealing.truth(folder), **changed)


def kin(organism, folder, **changed):
    """As `copy`, but another organism by a little of one weight."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(organism, folder)
    truth, file = sealing.truth(folder), folder / sealing.MODEL / "model.safetensors"
    tensors = load_file(file)
    tensors[min(tensors)] *= 1 + 2**-7
    save_file(tensors, file, metadata={"format": "pt"})
    return _seal(folder, truth, model=sealing.digest(folder / sealing.MODEL), **changed)


def _seal(folder, truth, **changed):
    about, questions = sealing.about(folder), sealing.questions(folder)
    truth = replace(truth, salt=sealing.salt(), **changed)
    sealing.seal(folder, truth, questions, training_compute=about.training_compute)
    return folder
