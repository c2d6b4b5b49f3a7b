"""The policies that ship, by name, and what somebody means by a file or a name."""

from pathlib import Path

import pytest

from interlock.errors import UsageError
from interlock.policy import shipped
from interlock.policy.draft import draft


def test_the_example_ships_and_is_not_published():
    assert shipped.EXAMPLE in shipped.names()
    assert shipped.published() == tuple(name for name in shipped.names() if name != shipped.EXAMPLE)


def test_every_name_is_of_a_policy_with_cases_and_in_order():
    assert list(shipped.names()) == sorted(shipped.names())
    assert shipped.templates() == ("frontier-lab", "regulator-baseline", "small-lab")
    for name in (*shipped.names(), *shipped.templates()):
        assert draft(shipped.path(name)).id
        assert shipped.path(name).with_suffix(".cases.yaml").exists()


def test_a_name_is_that_policy():
    assert shipped.resolve("example-lab") == shipped.path("example-lab")


def test_a_file_that_is_there_comes_before_a_name(tmp_path, monkeypatch):
    (tmp_path / "example-lab").write_text("a policy", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert shipped.resolve("example-lab") == Path("example-lab")


def test_a_folder_of_that_name_does_not(tmp_path, monkeypatch):
    (tmp_path / "example-lab").mkdir()
    monkeypatch.chdir(tmp_path)
    assert shipped.resolve("example-lab") == shipped.path("example-lab")


@pytest.mark.parametrize("text", ["example-labs", "exampel-lab", "example"])
def test_a_misspelt_name_is_told_the_near_ones(text):
    with pytest.raises(UsageError, match=rf"`{text}`.*did you mean.*`example-lab`"):
        shipped.resolve(text)


@pytest.mark.parametrize("text", ["", "zzz", "../policies/none.yaml", "x" * 10_000, "a\nb"])
def test_anything_else_is_told_all_of_them(text, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="ships with Interlock"):
        shipped.resolve(text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("small-lb", "did you mean `small-lab`"),
        ("baseline", "did you mean `regulator-baseline`"),
        ("templates/small-lab", "did you mean `small-lab`"),
        ("../policies/example-lab", "no policy `../policies/example-lab`"),
        ("zzz", "expected one of `"),
        ("", "expected one of `"),
    ],
)
def test_a_name_that_is_none_has_no_file(name, said):
    with pytest.raises(UsageError, match="ships with Interlock") as refused:
        shipped.path(name)
    assert said in str(refused.value)
