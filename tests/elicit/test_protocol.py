"""Around an elicitor: examples chosen on dev, curves that do not stop early, a re-test that flags, several compared."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import tiny_model
from interlock.elicit import asking, curve, deployed, elicitors, items, portfolio, session
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import recipe
from interlock.elicit.few_shot import FewShot
from interlock.elicit.grpo import Grpo
from interlock.elicit.items import Item
from interlock.elicit.measuring import Measured
from interlock.elicit.paired import Paired
from interlock.elicit.session import Terms
from interlock.elicit.supervised import Supervised
from interlock.errors import UsageError
from interlock.evaluate import local

CONFIDENCE, TENTH = Fraction(19, 20), Fraction(1, 10)
TERMS = Terms(cap=10**12, seed=0)
WORDS = ["".join(letters) for letters in itertools.product("abcdefg", "hijklmno", "pq")]


def item(word):
    return Item(word, word, ({"role": "user", "content": word},), "xyz"[ord(word[0]) % 3])


def questions(*, demonstrations=4, dev=80):
    told = [item(word) for word in WORDS]
    parts = {
        "demonstration": told[::16][:demonstrations],
        "dev": [it for it in told if it not in told[::16]][:dev],
        "test": [it for it in told if it not in told[::16]][dev : dev + 12],
    }
    return items.questions("trial", parts, grade="exact", max_new_tokens=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))


def silent(*told):
    pass


def test_the_folder_of_a_run_is_of_one_chat_template_too(model, tmp_path):
    asked, terms = questions(), Terms(None, 0)
    session.claim(tmp_path, session.describe(FewShot(), model, asked, terms))
    (tmp_path / "work").mkdir()
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.chat_template += " "
    with pytest.raises(UsageError, match="holds another run: its framing is"):
        session.claim(tmp_path, session.describe(FewShot(), replace(model, tokenizer=tokenizer), asked, terms))


# -- few-shot ----------------------------------------------------------------------------------------------------------


def few_shot(model, elicitor, material, cap=10**12):
    return elicitor.elicit(model, material, meter=Meter(cap), seed=0, work=None, progress=silent)


def test_one_draw_shows_the_first_demonstrations_in_their_order(model):
    elicited = few_shot(model, FewShot(shots=3), replace(questions().material, dev=()))
    assert [shot.id for shot in elicited.adapted.shots] == [it.id for it in questions().demonstrations[:3]]
    assert elicited.adapted.local is model
    assert elicited.flop == 0
    asked = asking.conversation(questions().test[0], elicited.adapted.shots)
    assert [turn["role"] for turn in asked] == ["user", "assistant"] * 3 + ["user"]


def test_examples_and_their_order_are_chosen_on_dev(model):
    material = replace(questions().material, dev=questions().dev[:16])
    elicited = few_shot(model, FewShot(shots=2, draws=4), material)
    *tried, chosen = elicited.transcript
    assert len({tuple(it["shots"]) for it in tried}) > 1
    best = max(tried, key=lambda it: (it["dev_correct"], -it["draw"]))
    assert chosen == {"event": "chosen", "draw": best["draw"], "shots": best["shots"]}
    assert [shot.id for shot in elicited.adapted.shots] == best["shots"]
    assert elicited == few_shot(model, FewShot(shots=2, draws=4), material)
    (first,) = [it for it in few_shot(model, FewShot(2, 4), material, elicited.flop // 2).transcript if "error" in it]
    assert first["event"] == "out-of-budget"


REFUSED = {
    "more shots than there are": (FewShot(shots=5), questions().material, UsageError, "show 5 demonstrations, got 4"),
    "a choice without dev": (FewShot(1, 2), replace(questions().material, dev=()), UsageError, "without dev"),
    "no budget for a choice": (FewShot(1, 2), questions().material, OutOfBudgetError, "of 9 are left"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_few_shot_refuses(model, name):
    elicitor, material, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        few_shot(model, elicitor, material, cap=9)


def test_no_shots_are_no_few_shot():
    with pytest.raises(UsageError, match="0 shots"):
        FewShot(shots=0)


# -- differences between two runs --------------------------------------------------------------------------------------


def test_the_bounds_of_a_difference_cover_it_as_often_as_they_say():
    """Exactly: over all counts of 12 questions, at several truths."""
    from math import comb

    n, alpha = 12, Fraction(1, 10)
    for gained, lost in [(0.0, 0.0), (0.3, 0.0), (0.1, 0.4), (0.25, 0.25)]:
        missed = 0.0
        for g in range(n + 1):
            for d in range(n + 1 - g):
                chance = comb(n, g) * comb(n - g, d) * gained**g * lost**d * (1 - gained - lost) ** (n - g - d)
                missed += chance * (float(Paired(n, g, d).at_most(alpha)) < gained - lost - 1e-12)
        assert missed <= float(alpha)


def test_the_test_of_a_difference_is_exact():
    assert Paired(50, 5, 0).p_value() == Fraction(1, 16)
    assert Paired(50, 3, 3).p_value() == 1
    assert Paired(50, 0, 0).p_value() == 1


# -- curves ------------------------------------------------------------------------------------------------------------


def test_a_curve_doubles_and_ends_at_what_there_is():
    assert curve.counts(1) == (1,)
    assert curve.counts(16) == (1, 2, 4, 8, 16)
    assert curve.counts(20) == (1, 2, 4, 8, 16, 20)
    with pytest.raises(UsageError, match="up to 0"):
        curve.counts(0)


def climb(model, out, *, least):
    elicitor, asked = FewShot(shots=1), questions()
    return curve.climb(elicitor, model, asked, terms=TERMS, tolerance=TENTH, least=least, out=out, progress=silent)


def test_a_curve_stops_once_a_doubling_is_shown_to_bring_little_but_never_below_the_least(model, tmp_path):
    """One shot is the same shot whatever the number of demonstrations: the truth is a gain of nothing."""
    short = climb(model, tmp_path / "curve", least=2)
    assert ([point.demonstrations for point in short.points], short.settled) == ([1, 2], True)
    assert short.points[1].gain == Paired(80, 0, 0)
    whole = climb(model, tmp_path / "curve", least=16)
    assert ([point.demonstrations for point in whole.points], whole.settled) == ([1, 2, 4], False)
    told = whole.to_json()["points"][1]
    assert told["gain_on_dev"]["at_most"] == pytest.approx(0.0534, abs=2e-3)  # 1 - (alpha / 2 looks / 2) ** (1 / 80)
    assert told["test"]["n"] == 12
    for name in ("curve.svg", "curve.png"):
        curve.draw(whole, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    assert (tmp_path / "curve.svg").read_text().rstrip().endswith("</svg>")
    with pytest.raises(UsageError, match="cannot draw"):
        curve.draw(whole, tmp_path / "curve.nope")


# -- prompts that look like deployment ---------------------------------------------------------------------------------


def test_framed_questions_keep_the_question_its_system_message_and_the_answer():
    own = {"role": "system", "content": "Codebook: one word."}
    asked = replace(questions(), test=tuple(replace(it, messages=(own, *it.messages)) for it in questions().test))
    framed = deployed.framed(asked, seed=1)
    assert framed == deployed.framed(asked, seed=1)
    assert framed.digest not in {asked.digest, deployed.framed(asked, seed=2).digest}
    assert (framed.demonstrations, framed.dev) == (asked.demonstrations, asked.dev)
    for plain, again in zip(asked.test, framed.test, strict=True):
        system, user = again.messages
        assert system["content"].endswith(" Codebook: one word.")
        assert plain.text in user["content"].split("\n")
        assert (again.id, again.target) == (plain.id, plain.target)
    assert len({it.messages for it in map(_hashable, framed.test)}) == len(framed.test)


def _hashable(it):
    return replace(it, messages=tuple(tuple(turn.items()) for turn in it.messages))


def _measured(dangerous, n=200):
    return Measured(Path("log"), "", {str(i): "right" if i < dangerous else "wrong" for i in range(n)})


FLAGS = {
    "the same": (_measured(20), _measured(20), ()),
    "much more in deployment": (_measured(20), _measured(80), ("higher",)),
    "much less in deployment": (_measured(80), _measured(20), ("lower",)),
    "too few questions to say": (_measured(2, 20), _measured(2, 20), ("higher", "lower")),
    "refusals in deployment": (
        _measured(0),
        Measured(Path("log"), "", {str(i): "refusal" if i < 60 else "wrong" for i in range(200)}),
        ("higher",),
    ),
}


@pytest.mark.parametrize("name", FLAGS)
def test_the_flag_of_a_retest(name):
    plain, framed, sides = FLAGS[name]
    found = deployed.retest(plain, framed, tolerance=TENTH, confidence=CONFIDENCE)
    assert found.flagged == sides
    assert found.to_json()["flagged"] == list(sides)


# -- several elicitors -------------------------------------------------------------------------------------------------


def test_several_elicitors_are_told_with_the_highest_bound_and_the_gap_of_teaching_first(model, tmp_path):
    taught = Chain(Supervised(rank=4, steps=30, learning_rates=(2e-2,)), FewShot(shots=1))
    asked = questions(demonstrations=7, dev=0)
    found = portfolio.run([taught, FewShot(shots=1)], model, asked, terms=TERMS, out=tmp_path, progress=silent)
    told = found.to_json()
    assert set(told["elicitors"]) == {"fine-tune-lora+few-shot", "few-shot"}
    assert told["upper"]["value"] == max(row["upper"] for row in told["elicitors"].values())
    assert told["together"]["value"] >= told["upper"]["value"]
    (gap,) = told["gaps"]
    assert (gap["after"], gap["alone"], gap["n"]) == ("fine-tune-lora+few-shot", "few-shot", 12)
    assert told["best"] == "fine-tune-lora+few-shot"
    assert told["elicitors"]["fine-tune-lora+few-shot"]["flop"] > 0


def test_an_elicitor_named_twice_is_refused(model, tmp_path):
    twice = [FewShot(shots=1), FewShot(shots=2)]
    with pytest.raises(UsageError, match="`few-shot` is named twice"):
        portfolio.run(twice, model, questions(), terms=TERMS, out=tmp_path, progress=silent)


def test_a_chain_names_its_parts_in_its_recipe():
    one, two = Chain(FewShot(), Supervised()), Chain(FewShot(shots=2), Supervised())
    assert (one.name, one.kind) == ("few-shot+fine-tune-lora", "fine-tuned")
    assert recipe(one) != recipe(two)


@pytest.mark.parametrize(
    ("chain", "kind"),
    [
        (Chain(Supervised(), FewShot()), "fine-tuned"),
        (Chain(Chain(Grpo(), FewShot()), FewShot()), "rl-fine-tuned"),
        (Chain(FewShot(), FewShot()), "few-shot"),
        (Chain(Supervised(), Grpo()), "rl-fine-tuned"),
    ],
)
def test_attack_a_chain_that_trains_is_not_merely_asked(chain, kind):
    """Else it would be sound for a propensity, and would take nothing for granted of how it was trained."""
    assert chain.kind == kind


# -- by name -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", elicitors.ELICITORS)
def test_every_elicitor_has_its_name_and_a_recipe_that_changes_with_each_setting(name):
    usual = elicitors.make(name)
    assert usual.name == name
    changed = [
        elicitors.make(name, {setting: {tuple: "0.5,0.6", str: "all"}.get(type(value), "3")})
        for setting, value in elicitors.settable(name).items()
    ]
    assert len({recipe(it) for it in (usual, *changed)}) == len(changed) + 1


def test_settings_are_read_by_their_kind():
    made = elicitors.make("fine-tune-full", {"learning_rates": "1e-3,2e-3", "steps": "7"})
    assert made == Supervised(weights="all", learning_rates=(1e-3, 2e-3), steps=7)


def test_settings_of_a_chain_are_of_each_part_that_has_them():
    made = elicitors.make("few-shot+fine-tune-lora+grpo", {"layers": "0", "steps": "7", "shots": "2"})
    assert made.first == Chain(FewShot(2), Supervised(layers=0, steps=7))
    assert made.second == Grpo(layers=0, steps=7)


BAD_NAMES = {
    ("few-shots", ""): "no elicitor `few-shots`; there are prompted, few-shot, ",
    ("few-shot", "shot=1"): "no setting `shot`; it has shots, draws",
    ("few-shot", "shots=many"): "`shots` is `many`, expected a value like `5`",
    ("fine-tune-lora", "learning_rates=a,b"): "expected numbers with commas",
    ("few-shot+fine-tune-lora", "shot=1"): "no part of `few-shot+fine-tune-lora` has a setting `shot`",
}


@pytest.mark.parametrize(("name", "setting"), BAD_NAMES)
def test_a_bad_name_or_setting_is_told(name, setting):
    with pytest.raises(UsageError, match=BAD_NAMES[name, setting].replace("+", r"\+")):
        elicitors.make(name, dict([setting.split("=")]) if setting else {})
