"""Only a full disk is said to be full."""

import errno
import os

import pytest

from nas.util.errors import UserError, disk_error
from nas.util.files import written

ROOM = "free some space and give the command again"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, ROOM),
        (errno.EDQUOT, ROOM),
        (errno.EROFS, "must be a folder"),
        (errno.EACCES, "must be a folder"),
        (errno.EIO, "must be a folder"),
        (errno.ENOTDIR, "must be a folder"),
    ],
)
def test_what_the_disk_refuses_is_one_line_that_names_it(code, advice):
    with pytest.raises(UserError) as caught, written("-o out", "must be a folder"):
        raise OSError(code, os.strerror(code))
    assert str(caught.value) == f"-o out: cannot be written ({os.strerror(code)}); {advice}"


@pytest.mark.parametrize(
    "error", [RuntimeError("tensors apart"), KeyError("a"), ValueError("full"), UserError("x")]
)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, written("-o out", "must be a folder"):
        raise error
    assert caught.value is error


def test_what_safetensors_says_of_the_disk(tmp_path):
    import torch
    from safetensors.torch import save_file

    with pytest.raises(Exception) as caught:  # noqa: PT011 - its own kind
        save_file({"a": torch.ones(2)}, tmp_path / "nowhere" / "a.safetensors")
    assert not isinstance(caught.value, OSError)
    found = disk_error(caught.value)
    assert found is not None
    assert found.errno == errno.ENOENT


def test_what_older_safetensors_say_of_the_disk():
    said = 'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left" })'
    found = disk_error(RuntimeError(said))
    assert found is not None
    assert found.errno == errno.ENOSPC


def test_an_error_without_a_number_keeps_its_words():
    with (
        pytest.raises(UserError, match=r"cannot be written \(no such thing\); must be a folder"),
        written("-o out", "must be a folder"),
    ):
        raise OSError("no such thing")
