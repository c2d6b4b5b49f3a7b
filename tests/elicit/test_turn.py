"""Training shows answers as the chat template writes them, and as few-shot shows them; choices as they are weighed."""

from __future__ import annotations

import copy
from fractions import Fraction
from types import SimpleNamespace

import pytest

import tiny_model
from interlock.elicit import asking, curve, examples, portfolio, session, turn
from interlock.elicit.budget import Meter
from interlock.elicit.checks.check import Case
from interlock.elicit.checks.every import CHECKS
from interlock.elicit.checks.examine import examine
from interlock.elicit.few_shot import FewShot
from interlock.elicit.items import Item, Material, questions
from interlock.elicit.organisms import skills, smollm2, tiny
from interlock.elicit.session import Terms
from interlock.elicit.supervised import Supervised
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import choices, codebook, local, past_tense
from interlock.evaluate.smollm2 import folder as smollm2_folder

SHORT = "{% for m in messages %}{{ m.content if m.role == 'user' else ' ' + m.content }}"
LAST = "{% endfor %}"
OPENED = "{% if add_generation_prompt %}=>{% endif %}"


def item(target="x", options=()):
    return Item("q", "q", ({"role": "user", "content": "q"},), target, options)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(scope="module")
def chatml():
    """SmolLM2's tokenizer with what else an answer depends on; no weights."""
    from transformers import AutoTokenizer, LlamaConfig

    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder())
    ends = SimpleNamespace(eos_token_id=tokenizer.eos_token_id)
    return local.LocalModel(SimpleNamespace(config=LlamaConfig(), generation_config=ends), tokenizer, None)


def under(template, like):
    """The same model under another chat template."""
    tokenizer = copy.deepcopy(like.tokenizer)
    tokenizer.chat_template = template
    return local.LocalModel(like.model, tokenizer, like.dtype)


def learned(on, one, grade="first-word"):
    """The tokens that carry a loss."""
    example = examples.answered(on, one, grade=grade)
    return [example.tokens[place + 1] for place in example.positions]


def plain(on, one):
    """Prompt, answer by itself, end: what was trained on before templates were asked for the answer."""
    answer = on.tokenizer(one.target, add_special_tokens=False)["input_ids"]
    return (*local.encode(on, one.messages), *answer, on.tokenizer.eos_token_id)


@pytest.mark.smollm2
def test_under_smollm2s_own_template_the_tokens_are_what_they_were(chatml):
    for grade in ("first-word", "exact"):
        for one in codebook.material(120, seed=0).demonstrations:
            assert examples.answered(chatml, one, grade=grade).tokens == plain(chatml, one)


def test_under_the_tiny_organisms_template_the_tokens_are_what_they_were():
    organism = tiny.build(tiny.Shape(width=8, layers=1, heads=1, inner=8), 0)
    for family in skills.SKILLS:
        for one in skills.asked(skills.skill(family, 0)).demonstrations:
            assert examples.answered(organism, one, grade="first-word").tokens == plain(organism, one)


@pytest.mark.smollm2
def test_past_tenses_are_trained_on_as_few_shot_shows_them(chatml):
    organism = under(smollm2.ORGANISMS["under-elicited", "past-tense"].template, chatml)
    shot, *others = past_tense.load().demonstrations
    ids = examples.answered(organism, shot, grade="first-word").tokens
    assert organism.tokenizer.decode(learned(organism, shot)) == f" {shot.target}.\n<|im_end|>"
    shown = local.encode(organism, asking.conversation(others[0], [shot]))
    assert shown[: len(ids) - 1] == list(ids[:-1])


ALONE = "x<|im_end|>"
OF_MODEL = "{% if m.role != 'user' %}"
TEMPLATES = {
    "an end of the template's own": (tiny_model.TEMPLATE, ALONE),
    "a space before the answer and no end": (f"{SHORT}\n{LAST}", " x\n<|im_end|>"),
    "an end that nothing else knows": (f"{SHORT}{OF_MODEL}<|pad|>{{% endif %}}{LAST}", " x<|pad|><|im_end|>"),
    "thoughts before the answer": (SHORT.replace("' ' +", "'<think>\n\n</think>\n\n' +") + LAST, ALONE),
    "a header that no prompt opens": (SHORT.replace("' ' +", "'bot: ' +") + LAST, ALONE),
    "a prompt that opens what is closed later": (SHORT + LAST + OPENED, ALONE),
    "a last turn that must be the user's": (
        SHORT + LAST + "{% if messages[-1].role != 'user' %}{{ raise_exception('no') }}{% endif %}",
        ALONE,
    ),
    "answers that are left out": ("{% for m in messages if m.role == 'user' %}{{ m.content }}" + LAST, ALONE),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_is_learned_as_the_template_writes_it(model, name):
    template, expected = TEMPLATES[name]
    assert model.tokenizer.decode(learned(under(template, model), item())) == expected


def test_what_follows_an_answer_is_left_out_where_it_would_be_graded_as_wrong(model):
    stopped = under(f"{SHORT}{OF_MODEL}.{{% endif %}}{LAST}", model)
    said = {grade: model.tokenizer.decode(learned(stopped, item(), grade)) for grade in ("first-word", "exact")}
    assert said == {"first-word": " x.<|im_end|>", "exact": " x<|im_end|>"}


def test_an_end_that_the_models_settings_know_is_the_last_token(model, monkeypatch):
    monkeypatch.setattr(model.model.generation_config, "eos_token_id", [1, 2])
    ended = under(f"{SHORT}{OF_MODEL}<|pad|>\n{{% endif %}}{LAST}", model)
    assert model.tokenizer.decode(learned(ended, item())) == " x<|pad|>"


@pytest.mark.smollm2
def test_where_the_border_falls_into_a_token_the_answer_follows_the_prompts_own_tokens(chatml):
    spaced = under("{% for m in messages %}{{ m.content }} {% endfor %}", chatml)
    one = item("walked")
    prompt = local.encode(spaced, one.messages)
    assert spaced.tokenizer("q walked")["input_ids"][: len(prompt)] != prompt
    assert spaced.tokenizer.convert_ids_to_tokens(learned(spaced, one)) == ["walk", "ed", "Ġ", "<|im_end|>"]


def test_an_answer_that_the_tokenizer_cannot_write_is_refused():
    organism = tiny.build(tiny.Shape(width=8, layers=1, heads=1, inner=8), 0)
    with pytest.raises(UsageError, match="cannot write the answer `né`"):
        examples.answered(organism, item("né"), grade="first-word")


def test_no_end_token_is_refused(model, monkeypatch):
    endless = under(SHORT + LAST, model)
    endless.tokenizer.eos_token = None
    monkeypatch.setattr(model.model.generation_config, "eos_token_id", None)
    with pytest.raises(UsageError, match="no end token"):
        examples.answered(endless, item(), grade="exact")


@pytest.mark.parametrize(("template", "space"), [(tiny_model.TEMPLATE, ""), (SHORT + LAST, " ")])
def test_the_right_choice_is_learned_in_the_tokens_that_are_weighed(model, template, space):
    asked, one = under(template, model), item("yes", ("no", "yes"))
    weighed = turn.question(asked, one.messages, one.choices)
    assert weighed.delimiter == space
    tokens = choices.encode(asked, weighed)
    assert learned(asked, one) == [*tokens.choices[1], asked.tokenizer.eos_token_id]


def test_a_run_under_another_template_is_not_gone_on_with(model, tmp_path):
    material, tried = Material((item(),), (), "first-word", 3), Supervised(steps=2, learning_rates=(2e-2,))
    settings = {"meter": Meter(), "seed": 0, "work": tmp_path, "progress": lambda *told: None}
    tried.elicit(model, material, **settings)
    with pytest.raises(UsageError, match="holds another job"):
        tried.elicit(under(SHORT + LAST, model), material, **settings)


# -- right answers that would not be graded as right ------------------------------------------------------------------


def with_special(*texts):
    from tokenizers import AddedToken

    return lambda on: on.tokenizer.add_special_tokens({"extra_special_tokens": [AddedToken(it) for it in texts]})


def with_decoder(on):
    from tokenizers import decoders

    replaced = decoders.Replace("table", "nothing")  # `local.load` refuses it; here it was put there later
    on.tokenizer.backend_tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), replaced])


def ending_at(text):
    def end(on):
        (token,) = on.tokenizer(text)["input_ids"]
        on.model.generation_config.eos_token_id = [1, token]

    return end


LOST = {
    "by the decoder": (with_decoder, "cannot write the right answer `table`"),
    "a letter of it is a special token": (with_special("b"), "take `b` for a mark"),
    "a special token has it with space and punctuation": (with_special(" Table."), "take `table` for a mark"),
    "the whole of it is one": (with_special("table"), "take `table` for a mark"),
    "a letter of it ends every answer": (ending_at("t"), "take `t` for a mark"),
    "a letter in its middle ends every answer": (ending_at("b"), "take `b` for a mark"),
}


@pytest.fixture
def spoilt(tmp_path):
    return local.load(tiny_model.build(tmp_path / "model"))


@pytest.mark.parametrize("name", LOST)
def test_attack_a_right_answer_is_lost_on_its_way_to_the_grade(spoilt, name):
    asked = [item("lamp"), item("x", ("y", "x"))]
    spoil, match = LOST[name]
    asking.require_told(spoilt, [*asked, item("table")], grade="first-word")
    spoil(spoilt)
    with pytest.raises(EvidenceError, match=f"{match}.*would not be graded as right"):
        asking.require_told(spoilt, [*asked, item("table")], grade="first-word")


def test_attack_half_a_letter_ends_every_answer(spoilt):
    half = spoilt.tokenizer("é")["input_ids"][0]
    spoilt.model.generation_config.eos_token_id = [1, half]
    asking.require_told(spoilt, [item("table")], grade="first-word")
    with pytest.raises(EvidenceError, match="would not be graded as right"):
        asking.require_told(spoilt, [item("ï")], grade="first-word")


def test_marks_of_the_template_and_space_lose_no_answer(spoilt):
    with_special("<|table|>", "[a]", "\n", "...")(spoilt)
    asking.require_told(spoilt, [item("table"), item("a"), item("im")], grade="first-word")


def test_answers_are_told_without_an_end_token(spoilt, monkeypatch):
    spoilt.tokenizer.eos_token = None
    monkeypatch.setattr(spoilt.model.generation_config, "eos_token_id", None)
    asking.require_told(spoilt, [item("table")], grade="exact")


@pytest.mark.smollm2
def test_smollm2_can_be_asked_for_every_right_answer(chatml):
    words = [item(it.meaning) for it in codebook.load("test")]
    verbs = [*past_tense.load().dev, *past_tense.load().test]
    asking.require_told(chatml, [*words, *verbs], grade="first-word")


def silent(*told):
    pass


TERMS, FEW = Terms(cap=10**12, seed=0), FewShot(shots=1)
STARTED = {
    "run": lambda on, of, out: session.run(FEW, on, of, terms=TERMS, out=out, progress=silent),
    "curve": lambda on, of, out: curve.climb(
        FEW, on, of, terms=TERMS, tolerance=Fraction(1, 10), out=out, progress=silent
    ),
    "compare": lambda on, of, out: portfolio.run([FEW], on, of, terms=TERMS, out=out, progress=silent),
    "check": lambda on, of, out: examine(dict(CHECKS), Case(on, of, seed=0, meter=Meter(), progress=silent), out=out),
}


@pytest.mark.parametrize("command", STARTED)
def test_attack_nothing_is_begun_where_a_right_answer_of_the_test_would_be_lost(spoilt, tmp_path, command):
    tested = {"demonstration": [named("shown", "lamp")], "test": [named("asked", "table")]}
    asked, out = questions("q", tested, grade="first-word", max_new_tokens=4), tmp_path / "out"
    with_special("b")(spoilt)
    with pytest.raises(EvidenceError, match="would not be graded as right"):
        STARTED[command](spoilt, asked, out)
    assert not out.exists()


def named(word, target):
    return Item(word, word, ({"role": "user", "content": f"what is {word}?"},), target)
