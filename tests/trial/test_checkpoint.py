import errno
import os
import pickle

import pytest
import torch

from nas.trial.checkpoint import CheckpointNotWritten, CheckpointStore


def state(value=0.0, n=1000):
    return {"model": {"w": torch.full((n,), value)}, "epoch": 1, "curve": [{"lr": 0.1}], "average": None}


@pytest.fixture
def notes():
    return []


@pytest.fixture
def store(tmp_path, notes):
    return CheckpointStore(tmp_path / "checkpoints", 10**6, notes.append)


def names(tmp_path):
    return sorted(path.name for path in (tmp_path / "checkpoints").iterdir())


def test_newer_replaces_older_of_the_same_configuration(store, tmp_path):
    store.save("a1", 5, state(1))
    store.save("b2", 5, state(2))
    store.save("a1", 15, state(3))
    assert names(tmp_path) == ["a1-15.pt", "b2-5.pt"]
    epoch, loaded = store.latest("a1", 45)
    assert (epoch, loaded["model"]["w"][0].item()) == (15, 3)
    assert loaded["curve"] == [{"lr": 0.1}]


def test_checkpoints_beyond_the_budget_are_not_offered(store):
    store.save("a1", 15, state())
    assert store.latest("a1", 5) is None
    assert store.latest("a1", 15) is not None
    assert store.latest("zz", 15) is None


def test_no_folder_yet(store):
    assert store.latest("a1", 5) is None
    assert store.size == 0
    assert store.prune([], {}) == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_damaged_file_is_put_aside_with_a_note(store, tmp_path, notes, damage):
    store.save("a1", 5, state(n=50_000))
    path = tmp_path / "checkpoints" / "a1-5.pt"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b"damaged!"
    changed = {"truncated": content[:middle], "empty": b"", "text": b"hello", "flipped": bytes(content)}[
        damage
    ]
    path.write_bytes(changed)
    assert store.latest("a1", 5) is None
    assert names(tmp_path) == ["a1-5.bad"]
    assert len(notes) == 1
    assert "a1-5.pt" in notes[0]
    assert "\n" not in notes[0]
    store.save("a1", 5, state())
    assert store.latest("a1", 5) is not None


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/this-must-not-happen",)


def test_a_file_with_code_is_not_run(store, tmp_path, notes):
    (tmp_path / "checkpoints").mkdir()
    torch.save({"model": Evil()}, tmp_path / "checkpoints" / "a1-5.pt")
    (tmp_path / "checkpoints" / "b2-5.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    assert store.latest("a1", 5) is None
    assert store.latest("b2", 5) is None
    assert len(notes) == 2
    assert not os.path.exists("/tmp/this-must-not-happen")


def test_full_disk_keeps_the_earlier_checkpoint(store, tmp_path, monkeypatch):
    store.save("a1", 5, state(1))

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointNotWritten, match=r"a1-15\.pt: No space left on device"):
            store.save("a1", 15, state(2))
    assert names(tmp_path) == ["a1-5.pt"]
    assert store.latest("a1", 45)[0] == 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_torchs_own_writer_meeting_a_full_disk(store, tmp_path, monkeypatch):
    whole = type(tmp_path).open
    monkeypatch.setattr(type(tmp_path), "open", lambda path, mode: whole(type(path)("/dev/full"), mode))
    with pytest.raises(CheckpointNotWritten) as caught:
        store.save("a1", 5, state(n=10**6))
    assert "\n" not in str(caught.value)


def test_a_kill_while_writing_leaves_the_earlier_checkpoint(store, tmp_path, monkeypatch):
    store.save("a1", 5, state(1))

    def killed(_self, _target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            store.save("a1", 15, state(2))
    assert store.latest("a1", 45)[0] == 5
    store.save("a1", 15, state(2))
    assert store.latest("a1", 45)[0] == 15


def filled(tmp_path, quota_files, errors):
    """A store with one file for each configuration, and room for some of them."""
    store = CheckpointStore(tmp_path / "checkpoints", 10**9)
    for config in errors:
        store.save(config, 5, state(n=20_000))
    one = store.size // len(errors)
    return CheckpointStore(tmp_path / "checkpoints", quota_files * one + one // 2)


def test_what_cannot_be_promoted_goes_at_once(tmp_path):
    store = filled(tmp_path, 9, {"a": 0.1, "b": 0.2})
    assert store.prune(["b"], {"a": 0.1, "b": 0.2}) == ["a"]
    assert names(tmp_path) == ["b-5.pt"]


def test_then_the_worst_go_until_the_quota_is_met(tmp_path):
    errors = {"a": 0.4, "b": 0.1, "c": 0.3, "d": 0.2}
    store = filled(tmp_path, 2, errors)
    assert store.prune(set(errors), errors) == ["a", "c"]
    assert names(tmp_path) == ["b-5.pt", "d-5.pt"]
    assert store.prune(set(errors), errors) == []


def test_a_configuration_without_an_error_yet_goes_last(tmp_path):
    store = filled(tmp_path, 1, {"a": 0.4, "b": 0.1, "running": 0.0})
    assert store.prune({"a", "b", "running"}, {"a": 0.4, "b": 0.1}) == ["a", "b"]
    assert names(tmp_path) == ["running-5.pt"]


def test_quota_below_one_checkpoint_empties_the_folder(tmp_path):
    store = filled(tmp_path, 0, {"a": 0.4, "b": 0.1})
    assert store.prune({"a", "b"}, {}) == ["a", "b"]
    assert store.size == 0


def test_foreign_files_are_left_alone(store, tmp_path):
    store.save("a1", 5, state())
    (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    (tmp_path / "checkpoints" / "a1-5.pt.backup").write_text("mine")
    store.prune([], {})
    assert names(tmp_path) == ["a1-5.pt.backup", "notes.txt"]


def test_an_error_of_the_program_is_no_error_of_the_disk(store, tmp_path):
    store.save("a1", 5, state(1))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever pickle's error is
        store.save("a1", 15, {"n": lambda: None})
    assert not isinstance(caught.value, OSError)
    assert names(tmp_path) == ["a1-5.pt"]


def test_torchs_errors_about_no_disk_stay_what_they_are(store, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("Expected all tensors to be on the same device")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(RuntimeError, match="same device"):
        store.save("a1", 5, state(1))
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_the_disk_said_is_known(store, monkeypatch, code):
    def refuse(_descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CheckpointNotWritten, match=os.strerror(code)) as caught:
        store.save("a1", 5, state(1))
    assert caught.value.errno == code


def test_the_best_networks_weights_count_towards_the_quota(tmp_path):
    errors = {"a": 0.1, "b": 0.2, "c": 0.3}
    filled(tmp_path, 3, errors)
    one = (tmp_path / "checkpoints" / "a-5.pt").stat().st_size
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "a-45.safetensors").write_bytes(b"x" * one)
    store = CheckpointStore(tmp_path / "checkpoints", 3 * one + one // 2, weights=weights)
    assert store.prune(errors, errors) == ["c"]
    (weights / "a-45.safetensors").unlink()
    assert store.prune(errors, errors) == []
