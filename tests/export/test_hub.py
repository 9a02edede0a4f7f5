"""What is given to the Hugging Face Hub, here one on loopback: whole, when asked, and loadable."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import huggingface_hub
import pytest

from nas.export import hub
from nas.export.__main__ import main
from nas.util.errors import UserError
from tests.export import fake_hub
from tests.export.test_export import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPO = "someone/found-net"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def served(monkeypatch, tmp_path) -> Iterator[fake_hub.Hub]:
    """A hub that this process's client talks to, with its token."""
    with fake_hub.serving() as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
        # That transfer's service is not imitated.
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        yield served


@pytest.fixture
def small(tmp_path) -> list[str]:
    """Arguments of a small export."""
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL.to_json()))
    return ["nexception", "--geometry", str(path), "--num-classes", "3", "-o", str(tmp_path / "net")]


def test_timm_loads_what_was_pushed(served, small, tmp_path, capsys):
    assert main([*small, "--push-to-hub", REPO]) == 0
    assert f"pushed to {served.url}/{REPO}" in capsys.readouterr().out
    written = {path.name: path.read_bytes() for path in (tmp_path / "net").iterdir()}
    assert served.files == written
    assert served.commits == 1
    card = written["README.md"].decode()
    python = card.partition("```python\n")[2].partition("```")[0]
    assert f'"hf-hub:{REPO}"' in python
    same = (
        "import safetensors.torch, sys, torch\n"
        f"{python}"
        "kept = safetensors.torch.load_file(sys.argv[1])\n"
        "assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())\n"
    )
    env = {
        **os.environ,
        "HF_ENDPOINT": served.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": fake_hub.TOKEN,
        "HF_HUB_DISABLE_XET": "1",  # that transfer's service is not imitated
    }
    weights = str(tmp_path / "net" / "model.safetensors")
    subprocess.run([sys.executable, "-c", same, weights], env=env, timeout=200, check=True)


def test_a_private_repository_is_asked_for(served, small):
    assert main([*small, "--quiet", "--push-to-hub", REPO, "--private"]) == 0
    assert served.hidden == {REPO}
    assert "model.safetensors" in served.files


def test_a_public_repository_gets_nothing_that_is_to_be_private(served, tmp_path):
    (tmp_path / "README.md").write_text("card")
    hub.push(tmp_path, REPO)
    assert served.hidden == set()
    served.files.clear()
    with pytest.raises(UserError, match="not pushed \\(it is there and public"):
        hub.push(tmp_path, REPO, private=True)
    assert served.files == {}


def test_a_private_repository_stays_so(served, tmp_path):
    (tmp_path / "README.md").write_text("card")
    for private in (True, False, True):
        hub.push(tmp_path, REPO, private=private)
    assert served.hidden == {REPO}
    assert served.commits == 3


def test_nothing_leaves_the_machine_unasked(served, small):
    assert main([*small, "--quiet"]) == 0
    assert served.asked == []


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        hub.push(folder, REPO)
    said = str(caught.value)
    assert "\n" not in said
    assert f"push it later with: hf upload {REPO} {folder}" in said
    return said


def test_without_a_token_the_folder_stays(served, small, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    with pytest.raises(UserError) as caught:
        main([*small, "--quiet", "--push-to-hub", REPO])
    said = str(caught.value)
    assert said.startswith(
        f"--push-to-hub {REPO}: not pushed (no token; type hf auth login, or set HF_TOKEN)"
    )
    assert f"push it later with: hf upload {REPO} {tmp_path / 'net'}" in said
    assert (tmp_path / "net" / "model.safetensors").is_file()
    assert served.asked == []


def test_a_later_push_is_private_too(served, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    (tmp_path / "README.md").write_text("")
    with pytest.raises(UserError, match=f"push it later with: hf upload {REPO} {tmp_path} --private"):
        hub.push(tmp_path, REPO, private=True)


def test_a_network_that_is_not_there_is_one_line(served, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("")
    with socket.socket() as nobody:  # bound, not listening
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        assert "not pushed (" in refused(tmp_path)


def test_a_token_that_the_hub_refuses_is_one_line(served, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "401" in refused(tmp_path)
    assert served.files == {}


def test_what_the_hub_refuses_at_the_end_can_be_pushed_again(served, tmp_path):
    (tmp_path / "README.md").write_text("card")
    served.broken = "/commit/"
    assert "403" in refused(tmp_path)
    assert served.files == {}
    served.broken = ""
    assert hub.push(tmp_path, REPO) == f"{served.url}/{REPO}"
    assert served.files == {"README.md": b"card"}


@pytest.mark.parametrize(
    "repo",
    [
        "",
        "net",
        "a/b/c",
        "/net",
        "a/",
        "a b/c",
        "a/b--c",
        "a/b..c",
        "-a/b",
        "a/b.",
        "a/b.git",
        "a/" + 99 * "b",
        "ü/b",
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_done(repo, small, tmp_path):
    with pytest.raises(UserError, match="--push-to-hub") as caught:
        main([*small, f"--push-to-hub={repo}"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("repo", ["someone/net", "a.b/c_d-1.5", "A1/B2"])
def test_names_that_the_hub_takes_are_taken(repo):
    hub.require_name(repo)
    huggingface_hub.utils.validate_repo_id(repo)
