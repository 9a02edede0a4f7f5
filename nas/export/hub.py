"""Uploads an exported folder to the Hugging Face Hub, only on request."""

from __future__ import annotations

import contextlib
import re
import shlex
from typing import TYPE_CHECKING

from nas.util import output
from nas.util.errors import SettingError, UserError, first_line, setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST_NAME = 96  # characters, the limit of huggingface_hub


def require_name(repo: str) -> None:
    """Checks that a repository's name follows the Hub's rules.

    Raises:
        SettingError: If it does not.
    """
    part = r"(?![-.])[\w.-]+(?<![-.])"
    fits = re.fullmatch(f"{part}/{part}", repo, re.ASCII)
    if fits is None or "--" in repo or ".." in repo or repo.endswith(".git") or len(repo) > _LONGEST_NAME:
        raise SettingError(
            "push_to_hub", repo, "must be USER/NAME, of letters, digits, - . and _", shlex.quote(repo)
        )


def push(folder: Path, repo: str, *, private: bool = False) -> str:
    """Uploads a folder that timm's ``save_for_hf`` filled, with all its other files, as one commit.

    ``timm.models.push_to_hf_hub`` makes the same two calls, but with another model card, without the recipe,
    the space's code and the other formats, and with a pickle of the weights.

    Args:
        folder: The folder.
        repo: ``USER/NAME``; created if it does not exist.
        private: Create it as private. An existing public one is left alone: the Hub would take the files
            without a warning.

    Returns:
        The repository's address.

    Raises:
        UserError: If there is no token, no network, or the Hub refuses; the folder is kept.
    """
    import huggingface_hub

    output.doing(f"pushing to {repo}")
    try:
        if huggingface_hub.get_token() is None:
            raise _not_pushed(folder, repo, "no token; type hf auth login, or set HF_TOKEN", private)
        api = huggingface_hub.HfApi(library_name="timm")
        url = api.create_repo(repo, exist_ok=True, private=True if private else None)
        if private and not api.repo_info(repo).private:
            public = f"it is there and public, so leave out {setting('private')}"
            raise _not_pushed(folder, repo, public, False)
        with _no_bars():
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Add model")
    except UserError:
        raise
    except Exception as error:  # errors of the client, of httpx, or in earlier versions of requests
        raise _not_pushed(folder, repo, first_line(error), private) from error
    return str(url)


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Switches off the client's progress bars inside the block, where ours is shown."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _not_pushed(folder: Path, repo: str, reason: str, private: bool) -> SettingError:
    again = shlex.join(["hf", "upload", repo, str(folder), *(["--private"] if private else [])])
    return SettingError(
        "push_to_hub", repo, f"not pushed ({reason}); the network is in {folder}, push it later with: {again}"
    )
