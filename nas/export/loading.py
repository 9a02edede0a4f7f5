"""Networks by name: an exported folder, or a model of this package or of timm."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.export import folder
from nas.export.training import Training
from nas.util.errors import UserError, first_line
from search_spaces.code import is_trusted, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn


@dataclass(frozen=True)
class LoadableNetwork:
    """A network that can be created.

    Attributes:
        name: Short name for messages.
        timm_name: Name for ``timm.create_model``.
        path: The exported folder, or None.
        config: Content of its config.json, empty without one.
        spaces: Custom spaces whose code may run, as the user named them.
    """

    name: str
    timm_name: str
    path: Path | None
    config: dict[str, Any]
    spaces: tuple[str, ...] = ()

    @property
    def code(self) -> dict[str, Any] | None:
        """The code of the custom space that builds a folder's network: file, class and SHA-256; else None."""
        code = self.config.get("model_args", {}).get("code")
        return code if isinstance(code, dict) else None

    @property
    def beside(self) -> Path | None:
        """That code's file next to the weights."""
        code = self.code
        return None if code is None or self.path is None else self.path / Path(str(code.get("file"))).name

    @property
    def trained(self) -> bool:
        """Whether the folder's weights are trained; assumed of folders that nas.export did not write."""
        own = self.config.get(folder.OWN_KEY)  # none in a folder of others
        return self.path is not None and (own is None or own.get("trained") is not None)

    @property
    def own(self) -> dict[str, Any]:
        """Our part of config.json; empty if nas.export did not write it."""
        return dict(self.config.get(folder.OWN_KEY, {}))

    @property
    def training(self) -> Training:
        """How the folder's weights were trained."""
        return Training.of(self.own.get("trained"))

    @property
    def num_classes(self) -> int | None:
        """Number of classes, if the folder says it."""
        number = self.config.get("num_classes")
        return number if isinstance(number, int) else None

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """timm's part of config.json: input size, license, ..."""
        return dict(self.config.get("pretrained_cfg", {}))

    @property
    def timm_module(self) -> str | None:
        """Module to import so that timm knows the network, None if timm knows it already."""
        import timm

        from search_spaces.timm_models import make_known

        make_known()
        name = str(self.config.get("architecture", self.timm_name)).partition(".")[0]
        if not timm.is_model(name):
            return None
        module = timm.model_entrypoint(name).__module__
        return None if module.partition(".")[0] == "timm" else module

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, if the folder has them."""
        return tuple(self.config.get("label_names", ()))

    @property
    def model_args(self) -> dict[str, Any]:
        """Arguments of ``timm.create_model`` for a folder's network."""
        args = self.config.get("model_args", {})
        return {key: args[key] for key in ("config", "geometry", "space", "code") if key in args}

    def create(self, *, weights: bool = False, **options: Any) -> nn.Module:
        """Creates the network.

        Args:
            weights: Load the folder's weights, or timm's pretrained ones.
            **options: Options of ``timm.create_model``: num_classes, drop_path_rate, ...

        Raises:
            UserError: If the folder's weights are missing or do not fit its config.
        """
        import timm
        from safetensors import SafetensorError

        from search_spaces.timm_models import make_known, trusting

        make_known()
        try:
            with trusting(*self.spaces):
                model: nn.Module = timm.create_model(self.timm_name, pretrained=weights, **options)
        except (RuntimeError, TypeError, ValueError, OSError, SafetensorError) as error:
            reason = first_line(error)
            raise UserError(f"{self.name}: cannot be created ({reason})") from error
        return model


def refuse_folders(texts: Iterable[str], *spaces: str | None) -> None:
    """Refuses folders that :func:`find` would refuse: at once, since PyTorch need not be loaded for it.

    Raises:
        UserError: If one is no exported folder, or needs code that the user did not name.
    """
    for text in texts:
        if Path(text).expanduser().is_dir():
            find(text, *spaces)


def find(text: str, *spaces: str | None) -> LoadableNetwork:
    """Finds the network that a user names.

    Args:
        text: An exported folder, or the name of a model that timm knows, including those of this package.
        *spaces: Custom spaces whose code may run to build it, as the user named them.

    Raises:
        UserError: If there is none, or it needs code that the user did not name.
    """
    said = tuple(space for space in spaces if space is not None)
    path = Path(text).expanduser()
    if path.is_dir():
        config = folder.read_config(path)
        named = LoadableNetwork(path.resolve().name, f"local-dir:{path}", path, config, said)
        if named.code is not None and not is_trusted(named.code, said):
            raise refusal(named.code, said, path)
        return named
    import timm

    from search_spaces.timm_models import make_known

    make_known()
    if timm.is_model(text.partition(".")[0]) and "/" not in text:
        return LoadableNetwork(text, text, None, {})
    close = difflib.get_close_matches(text, timm.list_models(), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UserError(f"{text}: must be an exported folder, or the name of a model that timm knows{hint}")
