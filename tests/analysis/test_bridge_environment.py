"""Building DeepCAVE's environment, with real uv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.deepcave import environment
from nas.util.errors import UserError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project that has not been built."""
    copy = tmp_path / "analysis" / "deepcave"
    shutil.copytree(environment.PROJECT, copy, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    monkeypatch.setattr(environment, "PROJECT", copy)
    return copy


def link_uv(folder: Path) -> None:
    """Puts uv where it is looked for first, if make has fetched it: there may be no other."""
    ours = Path(environment.__file__).parents[2] / ".uv"
    if ours.exists():
        (folder / ".uv").symlink_to(ours)


def test_without_uv_the_line_says_how_to_get_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"needs uv.*install\.sh") as error:
        environment.ensure(lambda _: None)
    assert "\n" not in str(error.value)
    assert environment.find() is None


def test_offline_the_line_says_so(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link_uv(tmp_path)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    said: list[str] = []
    with pytest.raises(UserError, match="it needs a network once") as error:
        environment.ensure(said.append)
    assert "\n" not in str(error.value)
    assert said == ["preparing DeepCAVE, once, about a minute ..."]
    assert environment.find() is None


def test_a_python_that_does_not_run_is_passed_over(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubs = tmp_path / "shims"
    stubs.mkdir()
    for name in ("python3.10", "python3", "python"):
        (stubs / name).write_text(
            "#!/bin/sh\necho 'pyenv: not found' >&2\necho 'Note: See its help' >&2\nexit 127\n"
        )
        (stubs / name).chmod(0o755)
    link_uv(tmp_path)
    monkeypatch.setenv("PATH", f"{stubs}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="it needs a network once"):
        environment.ensure(lambda _: None)


def test_the_line_is_uvs_own_and_not_a_version_managers() -> None:
    said = "warning: odd\nerror: No such thing\n  cause: none\n[stderr]\nNote: See 'pyenv help global'\n"
    assert environment._why(said) == "No such thing"
    assert environment._why("it was asked\n") == "it was asked"
    assert environment._why("") == "uv gave no reason"


def test_pyenvs_choice_for_this_process_is_none_for_that_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_VERSION", "3.11.7")
    assert "PYENV_VERSION" not in environment.variables()


def test_a_stub_that_refuses_to_run_is_passed_over(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubs = tmp_path / "shims"
    stubs.mkdir()
    (stubs / "uv").write_text("#!/bin/sh\nexit 127\n")
    (stubs / "uv").chmod(0o755)
    working = tmp_path / "working"
    working.mkdir()
    (working / "uv").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "it was asked" >&2; exit 9\n'
    )
    (working / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{stubs}:{working}:/bin:/usr/bin")
    with pytest.raises(UserError, match="could not be built: it was asked"):
        environment.ensure(lambda _: None)


def test_a_changed_lock_file_means_building_again(project: Path) -> None:
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (project / ".venv" / ".built-from").write_text(environment._fingerprint())
    assert environment.find() == python
    with (project / "uv.lock").open("a") as lock:
        lock.write("# changed\n")
    assert environment.find() is None


def test_our_variables_lead_nothing_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    assert "/elsewhere" not in environment.variables().values()


def test_it_is_light_and_needs_no_mirror() -> None:
    lock = (environment.PROJECT / "uv.lock").read_text()
    packages = set(re.findall(r'^name = "(.+)"', lock, re.MULTILINE))
    assert "deepcave" in packages
    assert "torch" not in packages
    assert set(_hosts(lock)) == {"pypi.org", "files.pythonhosted.org"}


def _hosts(text: str) -> list[str]:
    return [part.split("/")[0] for part in text.split("://")[1:]]


@pytest.mark.slow
def test_it_is_built_on_first_use(project: Path) -> None:
    said: list[str] = []
    python = environment.ensure(said.append)
    assert len(said) == 1
    assert environment.find() == python == environment.ensure(said.append)
    assert len(said) == 1
    shown = subprocess.run(
        [python, "-c", "import sys, deepcave; print(sys.version_info[:2], deepcave.version)"],
        env=environment.variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1] == "(3, 10) 1.4.1"
