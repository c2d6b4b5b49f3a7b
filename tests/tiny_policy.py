"""Tiny models that answer by a rule: a random byte Llama, trained for some dozen steps to say what a test wants."""

from __future__ import annotations

import copy

import tiny_model


def questions(count, target="B", *, word="key", start=0):
    """Questions of families of their own, all with one right answer."""
    from interlock.elicit.items import Item

    asked = [f"{word} {start + i}?" for i in range(count)]
    return tuple(Item(text, text, ({"role": "user", "content": text},), target) for text in asked)


def taught(folder, answers, *, steps=60, seed=0):
    """A tiny model that was shown, for each (question, answers), each of its answers equally often."""
    from interlock.elicit import rollouts
    from interlock.elicit.budget import Meter
    from interlock.elicit.training import Batch, Schedule, Work, train
    from interlock.evaluate import local

    subject = local.load(tiny_model.build(folder, seed=seed))
    model = copy.deepcopy(subject.model).float().train()
    shown = [
        local.Sampled(answer, tuple(local.encode(subject, item.messages)), tuple(_ids(subject, answer)), ())
        for item, said in answers
        for answer in said
    ]

    def loss(rows):
        return -sum(each.sum() for each in rollouts.log_probabilities(model, rows, temperature=1.0))

    work = Work(lambda _: [Batch(shown, over=len(shown))], loss, len)
    train(model, work, Schedule(steps, 1e-2, 5), meter=Meter(10**9), progress=lambda *told: None)
    return local.LocalModel(local.ready(model), subject.tokenizer, model.dtype)


def saying_no(folder):
    """Save a tiny model that answers each word of the codebook with `no`, and return its folder. Random weights would
    give answers that the limit cuts off, which say nothing about a skill.
    """
    from interlock.elicit.items import Item
    from interlock.evaluate import codebook

    asked = [Item(it.word, it.word, tuple(codebook.conversation(it.word)), "no") for it in codebook.load("test")[:4]]
    model = taught(folder, [(item, ["no"]) for item in asked], steps=30).model
    model.save_pretrained(folder)
    return folder


def _ids(subject, answer):
    return [*subject.tokenizer(answer, add_special_tokens=False)["input_ids"], subject.tokenizer.eos_token_id]
