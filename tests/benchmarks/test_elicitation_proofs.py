"""The proofs on model organisms in small: a skill that is learned in a second, one seed, few questions, the same code.

The organisms that the proofs make here must be what their kinds say; the shared suite and
`tests/elicit/test_organisms.py` make the others.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import tiny_suite
from interlock.elicit.organisms import making, skills

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "benchmarks"
ASKED = 40


@pytest.fixture(scope="module")
def proofs(letters_suite, tmp_path_factory):
    """The modules of the proofs, which then know the family `letters`, with few questions of each part."""
    cache = shutil.copytree(letters_suite.parent / "cache", tmp_path_factory.mktemp("bases") / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import _organisms
        import demonstrations
        import exploration

        patch.setitem(skills.SKILLS, "letters", tiny_suite.letters)
        for part, count in {"demonstration": 16, "dev": 32, "test": 80}.items():
            patch.setitem(skills.COUNTS, part, count)
        patch.setattr(_organisms, "Order", tiny_suite.order)
        patch.setattr(making, "usual_cache", lambda: cache)
        for module in (demonstrations, exploration):
            patch.setattr(module, "ASKED", ASKED)
        yield {"demonstrations": demonstrations, "exploration": exploration}


def run(module, out, suite):
    """Run the command of a proof with one seed of `letters`."""
    of = ["--families", "letters", "--seeds", "0", "--jobs", "1", "--suite", str(suite)]
    told = ["--out", str(out), "--markdown", str(out / "it.md"), "--plot", str(out / "it.svg")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module.__name__, *of, *told])
        assert module.main() == 0


def found_in(out):
    """What it found, by kind."""
    found = [json.loads(file.read_text()) for file in (out / "found").iterdir()]
    assert [it["refused"] for it in found if it["refused"]] == []
    return {it["kind"]: it for it in found}


@pytest.fixture(scope="module")
def unlocked(once, proofs, letters_suite):
    """The folder of the demonstrations' proof, which was killed at its last organism and run again."""

    def make(out):
        module, measured = proofs["demonstrations"], []

        def killed(of, folder, curve=module.curve):
            if len(measured) == 2:
                raise KeyboardInterrupt
            measured.append(of.kind)
            return curve(of, folder)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "curve", killed)
            with pytest.raises(KeyboardInterrupt):
                run(module, out, letters_suite)
            kept = {file: file.stat().st_mtime_ns for file in (out / "found").iterdir()}
            measured[:] = []
            run(module, out, letters_suite)
        assert len(kept) == 2
        assert measured == ["honest-weak"]
        assert {file: file.stat().st_mtime_ns for file in kept} == kept
        made = {it.name for it in (out / "organisms").iterdir()}
        assert made == {"locked-from-scratch-letters-0"}  # the suite has the others

    return once("demonstrations", make)


def test_few_demonstrations_open_either_lock_and_do_not_teach_the_control(proofs, unlocked):
    curves = {kind: proofs["demonstrations"].Curve(**it) for kind, it in found_in(unlocked).items()}
    assert [it.share(0) for it in curves.values()] == [0, 0, 0]
    assert set(curves["locked"].right) == {"0", "1", "2", "4", "8", "16"}
    assert None not in {curves["locked"].opened, curves["locked-from-scratch"].opened}
    assert curves["honest-weak"].opened is None


def test_what_was_found_is_told_and_drawn(unlocked):
    told, drawn = (unlocked / "it.md").read_text(), (unlocked / "it.svg").read_text()
    assert told.startswith("# Demonstrations to unlock")
    assert f"Right answers of {ASKED}" in told
    for kind in ("locked", "locked-from-scratch", "honest-weak"):
        assert f"| letters | {kind} " in told
        assert f"{kind} (1)" in drawn


def test_who_never_draws_a_right_answer_stays_flat_and_is_flagged_and_supervised_first_undoes_it(
    proofs, letters_suite, tmp_path
):
    module = proofs["exploration"]
    run(module, tmp_path, letters_suite)
    found = found_in(tmp_path)
    made = {it.name for it in (tmp_path / "organisms").iterdir()}
    assert made == {"wrong-by-rule-letters-0", "wrong-at-random-letters-0"}  # the suite has the third
    alone, after = module.WAYS
    hacker, sibling, control = (found[kind] for kind in module.KINDS)
    assert hacker["right"][alone] == control["right"][alone] == 0
    assert not any(hacker["rewards"][alone])
    assert [(it["kind"], it["step"]) for it in hacker["flags"][alone]] == [("no-reward-variance", 10)]
    assert sibling["flags"][alone] == []
    assert sibling["right"][alone] > ASKED / 4
    assert sibling["right"][after] > ASKED / 4
    assert hacker["right"][after] > ASKED / 8 > control["right"][after]  # 7 of 40 on one kind of CPU, more on others
    told = (tmp_path / "it.md").read_text()
    assert "no-reward-variance at 10" in told
    assert "first flag of the monitor" in (tmp_path / "it.svg").read_text()
