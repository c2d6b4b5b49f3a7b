"""The page of `policy explain`: what the sentences say, with links into the policy's own text, and nothing but data."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from interlock.policy import clauses
from interlock.policy.explain import explain
from interlock.report import explain as page

EXAMPLE = (resources.files("interlock") / "policies" / "example-lab.yaml").read_text(encoding="utf-8")
ATTACK = "<script>alert(1)</script>"


class Parts(HTMLParser):
    """Tags with their attributes, and the text outside of `style`."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.fixture
def written(tmp_path):
    """The explanation of a changed example, and its page."""

    def of(*changes):
        text = EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")
        told = explain(*clauses.read(tmp_path / "lab.yaml"))
        page.write(told, tmp_path / "page.html")
        return told, (tmp_path / "page.html").read_text(encoding="utf-8")

    return of


def plain(text):
    return " ".join(text.replace("`", "").split())


def test_every_sentence_stands_on_it(written):
    told, html = written()
    text = Parts(html).text
    assert [it.text for it in told.sentences() if plain(it.text) not in text] == []


def test_every_line_of_the_policy_stands_on_it_and_every_link_leads_somewhere(written):
    told, html = written()
    parts = Parts(html)
    ids = [attrs["id"] for _, attrs in parts.tags if "id" in attrs]
    links = [attrs["href"] for tag, attrs in parts.tags if tag == "a"]
    assert len(ids) == len(set(ids))
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert {f"L{number}" for number in range(1, len(told.lines) + 1)} <= set(ids)
    assert {f"#L{place.line}" for it in told.sentences() for place in it.places} <= set(links)
    assert "reached_when: codebook >= 0.20" in parts.text


def test_it_loads_and_runs_nothing(written):
    parts = Parts(written()[1])
    assert not {tag for tag, _ in parts.tags} & {"script", "link", "img", "iframe", "object", "use"}
    assert not [attrs for _, attrs in parts.tags if attrs.keys() & {"src", "onclick", "onload", "action"}]
    assert "http" not in re.sub(r'http-equiv="[^"]+"', "", written()[1])


def test_names_and_texts_are_data(written):
    _, html = written(
        ("title: Example Lab responsible scaling policy", f"title: '{ATTACK}'"),
        ("attested: weight security level 3 audit", f"attested: '{ATTACK} `` `'"),
    )
    assert "<script" not in html
    assert ATTACK in Parts(html).text


def test_what_was_not_read_is_marked_and_the_marks_are_explained(written):
    once = {mark: written()[1].count(f'class="tag">{mark}<') for mark in MARKS}
    assert set(once.values()) == {1}
    _, html = written(
        ('["section 4.1"]', '["secondary: a report", "memory: a talk"]'),
        ('["section 4.2"]', '["added: it names no line"]'),
    )
    assert all(html.count(f'class="tag">{mark}<') > 1 for mark in MARKS)
    assert "added by Interlock it names no line" in Parts(html).text


MARKS = ("secondary", "from memory", "added by Interlock")
