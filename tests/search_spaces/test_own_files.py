"""A space of a user's own: a file, a module where the user is, a notebook; each failure is one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import search_spaces
from nas.search.settings import SearchSettings, SpaceSettings, refuse_foreign_space
from nas.util.errors import UserError
from search_spaces.__main__ import main
from search_spaces.ends import find

ONE = """
from search_spaces.base import Hyperparameter, SearchSpace


class {name}(SearchSpace):
    hyperparameters = (Hyperparameter("kernel", (1, 3, 5), 3),)
    {more}

    def build(self, config, num_classes, in_chans, image_size):
        from torch import nn

        k = config["kernel"]
        {body}
        conv = nn.Conv2d(in_chans, 4, k, padding="same")
        return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, {classes}))
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file with one space or several."""

    def make(
        file: str = "mine.py", body: str = "", more: str = "", classes: str = "num_classes", text: str = ""
    ) -> str:
        path = tmp_path / file
        path.write_text(text or ONE.format(name="Mine", body=body, more=more, classes=classes))
        return str(path)

    return make


def test_a_file_is_a_space_with_or_without_its_class(write: Any, tmp_path: Path) -> None:
    path = write()
    assert search_spaces.get(path).name == "mine"
    assert search_spaces.get(f"{path}:Mine").fingerprint == search_spaces.get(path).fingerprint


def test_what_lies_beside_a_file_can_be_imported(write: Any, tmp_path: Path) -> None:
    (tmp_path / "beside_mine.py").write_text("CHOICES = (1, 2)\n")
    write(file="uses.py", more="from beside_mine import CHOICES")
    assert search_spaces.get(str(tmp_path / "uses.py")).name == "mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{folder}/mien.py", "no such file; did you mean {folder}/mine.py"),
        ("{folder}/mine.py:Yours", "cannot be loaded .module .* has no attribute 'Yours'"),
        ("{folder}/other/none.py", "no such file as {folder}/other/none.py"),
        ("{folder}/mine", "for the file say {folder}/mine.py"),
        ("{folder}/nothing", "a custom space is path/to/file.py"),
        ("__main__:Mine", "write a notebook's class to a file, and give its path"),
    ],
)
def test_a_wrong_name_has_a_hint(write: Any, tmp_path: Path, name: str, words: str) -> None:
    write()
    with pytest.raises(UserError, match=words.format(folder=tmp_path)) as caught:
        search_spaces.get(name.format(folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_of_several_spaces_one_is_to_be_named(write: Any) -> None:
    two = "".join(ONE.format(name=name, body="", more="", classes="num_classes") for name in ("A", "B"))
    path = write(file="two.py", text=two)
    with pytest.raises(UserError, match=r"has several spaces; say which, as in .*two.py:A \(A, B\)"):
        search_spaces.get(path)
    assert search_spaces.get(f"{path}:B").name == "b"
    with pytest.raises(UserError, match="has no class that is a SearchSpace"):
        search_spaces.get(write(file="none.py", text="x = 1\n"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("training = ('lr',)", "training: there is no hyperparameter lr"),
        ("training = ('kernel',)", "hyperparameter kernel: the recipe has no such setting; there are lr,"),
        ("presets = {'tiny': '8'}", "presets: tiny is '8'; must be a whole number"),
        ("hyperparameters = ()", "has no hyperparameters"),
        ("del hyperparameters", "has no hyperparameters"),
        ("hyperparameters = (3,)", "is int; must be a Hyperparameter, Integer or Float"),
        ("hyperparameters = Hyperparameter('a', (1, 2), 1)", "hyperparameters: must be a tuple of"),
        ("hyperparameters = (h for h in hyperparameters)", "hyperparameters: must be a tuple of"),
        (
            "space = __import__('ConfigSpace').ConfigurationSpace({'a': (1, 3)})",
            "has hyperparameters and a s",
        ),
        ("training = 'lr'", "training: is 'lr'; must be a tuple of names, such as"),
        ("training = {'lr', 'mixup'}", "must be a tuple of names"),
        ("points = {'mine': {'kernel': 4}}", "point mine: kernel: must be one of 1, 3, 5, got 4"),
        ("points = [{'kernel': 3}]", "points: must be configurations by name"),
        ("default = {'kern': 3}", "point default: kern: no such hyperparameter"),
        ("presets = [16, 32]", "presets: must be named"),
        ("full_sizes = ['big']", "full_sizes: must be named"),
        ("full_sizes = {'reduced': None}", "full_sizes: reduced is what the export calls"),
        ("name = 3", "name: is 3; must be text"),
        ("title = None", "title: is None; must be text"),
    ],
)
def test_a_definition_that_cannot_work_is_refused(write: Any, more: str, words: str) -> None:
    path = write(file=f"odd{abs(hash(more))}.py", more=more)
    with pytest.raises(UserError, match=words) as caught:
        search_spaces.get(path)
    assert "\n" not in str(caught.value)


CONDITIONS = """
from ConfigSpace import *
from search_spaces.base import SearchSpace

space = ConfigurationSpace()
space.add(a := Categorical("a", ("x", "y")), b := Categorical("b", ("inactive", "z")))
{rule}


class Mine(SearchSpace):
    space = space

    def build(self, config):
        raise NotImplementedError
"""


def test_rules_that_tables_could_not_show_or_that_forbid_the_default_are_refused(write: Any) -> None:
    rule = "space.add(EqualsCondition(b, a, 'y'))"
    with pytest.raises(UserError, match="hyperparameter b: choice 'inactive' is what tables call it"):
        search_spaces.get(write(file="tables.py", text=CONDITIONS.format(rule=rule)))
    assert search_spaces.get(write(file="always.py", text=CONDITIONS.format(rule=""))).size == 4
    rule = "space.add(ForbiddenEqualsClause(a, 'x'))"
    with pytest.raises(UserError, match="a == 'x'.*the default configuration must be allowed") as caught:
        search_spaces.get(write(file="forbids.py", text=CONDITIONS.format(rule=rule)))
    assert "\n" not in str(caught.value)


def test_a_builder_that_asks_for_what_is_not_there_is_refused(write: Any) -> None:
    text = ONE.format(name="Mine", body="", more="", classes="2").replace("in_chans, image_size", "depth")
    with pytest.raises(UserError, match="build asks for depth; there are config, num_classes, in_chans"):
        search_spaces.get(write(file="asks.py", text=text))


def test_a_module_in_the_users_folder_is_found(write: Any, tmp_path: Path) -> None:
    """As the console script is started, whose path does not begin with the folder one is in."""
    write(file="here_it_is.py")
    code = "import search_spaces; print(search_spaces.get('here_it_is:Mine').name)"
    env = {**os.environ, "PYTHONPATH": str(Path(search_spaces.__file__).parents[1])}
    flags = ["-P"] if sys.version_info >= (3, 11) else []
    command = [sys.executable, *flags, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "mine", done.stderr


def test_a_file_is_the_same_from_any_folder(write: Any, tmp_path: Path, monkeypatch: Any) -> None:
    path = write()
    monkeypatch.chdir(tmp_path)
    assert SpaceSettings("mine.py").space == path
    assert SpaceSettings("mine.py:Mine").space == f"{path}:Mine"
    stored = SearchSettings(space=SpaceSettings(path))
    refuse_foreign_space(stored, "mine.py")
    with pytest.raises(UserError, match=f"say space={path}"):
        refuse_foreign_space(stored, None)
    assert SpaceSettings("nexception").space == "nexception"


def test_a_space_without_widths_says_so(write: Any) -> None:
    space = search_spaces.get(write())
    assert space.usual_width(gpu=True) == 0 == space.reduced(0).width
    with pytest.raises(UserError, match="width=64: mine has no widths"):
        space.reduced(64)


def test_the_ends_of_cost_are_looked_for_where_they_have_no_name(write: Any) -> None:
    space = search_spaces.get(write())
    ends = find(space, space.reduced(0), 3, 1, 8)
    assert (ends["cheapest"], ends["costliest"]) == ({"kernel": 1}, {"kernel": 5})
    failing = search_spaces.get(write(file="failing.py", body="assert k < 5"))
    assert find(failing, failing.reduced(0), 3, 1, 8)["costliest"] == {"kernel": 3}
    broken = search_spaces.get(write(file="broken.py", body="assert k > 5"))
    assert find(broken, broken.reduced(0), 3, 1, 8)["costliest"] == broken.default


@pytest.mark.parametrize(
    ("body", "classes", "words"),
    [
        ("assert k < 5, 'too large'", "num_classes", "kernel=5: AssertionError .too large."),
        ("", "3", "the default: ValueError .the network gives shape .1, 3. for one image; must give .1, 7."),
        ("return None", "num_classes", "the default: TypeError .build of mine gave NoneType"),
        ("import random; k = random.choice((1, 3, 5, 7))", "num_classes", "two networks of one seed differ"),
    ],
)
def test_check_says_what_is_wrong_in_words(
    write: Any, capsys: Any, body: str, classes: str, words: str, one_thread: None
) -> None:
    path = write(file=f"wrong{abs(hash(body + classes))}.py", body=body, classes=classes)
    with pytest.raises(UserError, match=r"\d+ things? wrong, as listed$"):
        main(["check", path])
    printed = capsys.readouterr()
    assert "wrong: " in printed.out
    assert re.search(words, printed.out), printed.out


def test_check_passes_what_works_and_what_cannot_be_pickled(
    write: Any, capsys: Any, one_thread: None
) -> None:
    body = "Conv = type('Conv', (nn.Conv2d,), {}); nn = type('N', (), {**vars(nn), 'Conv2d': Conv})"
    path = write(file="local.py", body=body)
    assert main(["check", path]) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "note: cannot be pickled" in out
    assert "cheapest: " in out
    assert f"--space {path}" in out


def test_a_new_file_passes_its_check(tmp_path: Path, monkeypatch: Any, capsys: Any, one_thread: None) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my_space.py"]) == 0
    assert "python -m search_spaces check my_space.py" in capsys.readouterr().out
    assert main(["check", "my_space.py"]) == 0
    assert "nothing wrong" in capsys.readouterr().out
    assert search_spaces.get("my_space.py").name == "myspace"
    for bad in ("my_space.py", "my-space.py", "my_space", "none/my_space.py"):
        with pytest.raises(UserError, match=bad) as caught:
            main(["new", bad])
        assert "\n" not in str(caught.value)


def test_everything_at_once_passes_the_check(capsys: Any, one_thread: None) -> None:
    path = str(Path(__file__).with_name("mixed_space.py"))
    assert main(["check", path]) == 0, capsys.readouterr().out
    assert main(["show", path]) == 0
    out = capsys.readouterr().out
    assert "infinitely many configurations" in out
    assert "patch | stem == 'patch'" in out
    assert torch.get_num_threads() == 1


def test_the_pages_spaces_are_spaces(write: Any, capsys: Any, one_thread: None) -> None:
    """docs/how-to/own-space.md: the first passes its check; the one with a condition has its sizes."""
    page = (Path(search_spaces.__file__).parents[1] / "docs" / "how-to" / "own-space.md").read_text()
    first, conditional, _ = (block.split("```")[0] for block in page.split("```python\n")[1:])
    assert main(["check", write(file="first.py", text=first)]) == 0, capsys.readouterr().out
    head = (
        "from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Integer\n"
        "from search_spaces.base import SearchSpace\n"
    )
    space = search_spaces.get(write(file="conditional.py", text=head + conditional))
    assert space.size == 1 + 3
    assert space.default == {"stem": "conv"}
