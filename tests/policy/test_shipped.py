"""The policies that come with Interlock, by name."""

import pytest

from interlock.errors import UsageError
from interlock.policy import shipped


def test_every_policy_and_every_template_has_a_file_and_cases():
    assert "example-lab" in shipped.names()
    assert shipped.templates() == ("frontier-lab", "regulator-baseline", "small-lab")
    for name in (*shipped.names(), *shipped.templates()):
        path = shipped.path(name)
        assert path.is_file()
        assert path.with_name(f"{name}.cases.yaml").is_file()
        assert shipped.resolve(name) == path


def test_a_file_that_is_there_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.resolve("example-lab") == shipped.path("example-lab")
    (tmp_path / "example-lab").write_text("mine")
    assert shipped.resolve("example-lab").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("small-lb", "did you mean `small-lab`"),
        ("baseline", "did you mean `regulator-baseline`"),
        ("zzz", "there is: `"),
        ("", "there is: `"),
        ("templates/small-lab", "did you mean `small-lab`"),
        ("../policies/example-lab", "no policy is called `../policies/example-lab`"),
        ("example-lab.cases", "no policy is called `example-lab.cases`"),
    ],
)
def test_a_name_that_is_none_is_told_what_there_is(name, said):
    with pytest.raises(UsageError, match="no policy is called") as refused:
        shipped.resolve(name)
    assert said in str(refused.value)
