"""Questions with choices: weighed, in quick asking as in Inspect; learned; and never drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from inspect_ai.log import read_eval_log

import tiny_model
from interlock.elicit import asking, budget, items, measuring, rollouts, session
from interlock.elicit.budget import Meter
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import Adapted
from interlock.elicit.failures import classify
from interlock.elicit.grpo import Grpo
from interlock.elicit.items import Item, Material
from interlock.elicit.rollouts import Draws
from interlock.elicit.session import Terms
from interlock.elicit.supervised import Supervised
from interlock.errors import UsageError
from interlock.evaluate import choices, local, tasks

RUNNING = (
    "{% for m in messages %}{{ m.content if m.role == 'user' else ' ' + m.content + '.' }}\n{% endfor %}"
    "{% if add_generation_prompt %}:{% endif %}"
)
TRY = Supervised(rank=4, steps=40, learning_rates=(2e-2,), batch=4)


def item(name, target, *options):
    return Item(name, name, ({"role": "user", "content": name},), target, options)


OPEN = item("what is it", "x")
CHOICES = tuple(item(f"{it} or not", "yes" if it < "e" else "no", "no", "maybe", "yes") for it in "abcdefgh")
SHOWN, MIXED = CHOICES[::2], (*CHOICES[1::2], OPEN)


def silent(*told):
    pass


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose template writes a space before each answer."""
    made = local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))
    made.tokenizer.chat_template = RUNNING
    return made


def of(test, demonstrations=SHOWN):
    parts = {"demonstration": demonstrations, "test": test}
    return items.questions("quiz", parts, grade="first-word", max_new_tokens=3)


def ask(adapted, asked):
    return asking.ask(adapted, asked, grade="first-word", max_new_tokens=3)


def test_the_likeliest_choice_is_the_answer_and_stands_where_the_template_puts_it(model):
    answers = ask(Adapted(model, SHOWN[:1]), MIXED)
    assert [answer.item for answer in answers] == list(MIXED)
    for answer in answers[:-1]:
        turns = asking.conversation(answer.item, SHOWN[:1])
        (expected,) = choices.score(model, [choices.Question(turns, answer.item.choices, " ")])
        assert answer.text == answer.item.choices[choices.best(expected.logprobs, answer.item.choices)]
        assert answer.correct == (answer.text == answer.item.target)
    (said,) = local.generate(model, [asking.conversation(OPEN, SHOWN[:1])], max_new_tokens=3)
    assert answers[-1].text == said.text


def test_the_inspect_task_gives_the_same_answers_and_scores(model, tmp_path):
    adapted = Adapted(model, SHOWN[:1])
    told = measuring.measure(adapted, of(MIXED), name="m", made={}, folder=tmp_path, progress=silent)
    answers = {answer.item.id: answer for answer in ask(adapted, MIXED)}
    assert told.outcomes == {name: asking.outcome(it, grade="first-word") for name, it in answers.items()}
    for sample in read_eval_log(str(told.log)).samples:
        answer = answers[sample.id]
        assert sample.output.completion == answer.text
        if answer.item.choices:
            (expected,) = choices.score(model, [asking.question(adapted, answer.item)])
            assert [row["logprob"] for row in sample.output.metadata["choices"]] == list(expected.logprobs)
            assert sample.scores["graded"].answer == answer.text


def test_training_on_right_choices_makes_them_the_likeliest(model):
    material = Material(SHOWN, (), "first-word", 3)
    elicited = TRY.elicit(model, material, meter=Meter(), seed=0, work=None, progress=silent)
    assert not all(answer.correct for answer in ask(Adapted(model), SHOWN))
    assert all(answer.correct for answer in ask(elicited.adapted, SHOWN))


def test_a_choice_is_right_only_as_a_whole_and_never_a_spurious_failure():
    city = item("where", "New York", "New York", "New Delhi", "I cannot say")
    told = [classify(city, said, grade="first-word", cut_off=True) for said in city.choices]
    assert told == ["right", "wrong", "wrong"]


def test_the_cost_of_weighing_bounds_what_runs(model, monkeypatch):
    adapted, seen, forward = Adapted(model), [], model.model.forward

    def counted(**given):
        cache = given.get("past_key_values")
        rows, width = given["input_ids"].shape
        seen.append(budget.forward(model.model, rows=rows, width=width + (cache.get_seq_length() if cache else 0)))
        return forward(**given)

    bound = asking.cost(adapted, CHOICES, max_new_tokens=3)
    monkeypatch.setattr(model.model, "forward", counted)
    ask(adapted, CHOICES)
    assert 0 < sum(seen) <= bound
    assert asking.cost(adapted, MIXED, max_new_tokens=3) > asking.cost(adapted, (OPEN,), max_new_tokens=3)


DRAWN = {
    "a temperature": lambda model: ask(Adapted(model, attempts=2, temperature=1.0), MIXED),
    "a temperature in Inspect": lambda model: tasks.graded_questions(of(MIXED), Adapted(model, (), 2, 1.0)),
    "rewards": lambda model: rollouts.draw(model, SHOWN, Draws(2, 1.0, 3), grade="first-word", stream="s"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_choices_are_never_drawn(model, name):
    with pytest.raises(UsageError, match="has choices, which are weighed and never drawn"):
        DRAWN[name](model)


def test_a_chain_that_ends_with_rewards_is_refused_before_it_trains(model, tmp_path):
    said = []
    with pytest.raises(UsageError, match=r"item `a or not` has choices.*`fine-tune-lora\+grpo` is not for it"):
        session.run(
            Chain(TRY, Grpo(steps=1)),
            model,
            of(MIXED),
            terms=Terms(None, 0),
            out=tmp_path / "out",
            progress=lambda *told: said.append(told),
        )
    assert not said
    assert not (tmp_path / "out").exists()
    only_tested = of((CHOICES[1],), (replace(OPEN, id="o"), item("and that", "y")))
    assert session.describe(Grpo(), model, only_tested, Terms(None, 0))["questions"]["test"] == 1
