"""Networks of any search space as a timm model; import this module to load folders of ``nas.export``.

``searched_network`` is the architecture that such folders name. For a registered space,
``timm.create_model("local-dir:DIR", pretrained=True)`` loads it; code that came with the folder runs only
inside :func:`search_spaces.code.trusting`, which names it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

from nas.util.errors import SettingError
from search_spaces import code as codes
from search_spaces import registry
from search_spaces.code import trusting
from search_spaces.sizes import USUAL_SIZE, sized
from search_spaces.timm_config import ARCHITECTURE, classifier, pretrained_cfg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


__all__ = ["ARCHITECTURE", "make_known", "pretrained_cfg", "searched_network", "trusting"]


def make_known() -> None:
    """Registers the architectures of all registered spaces with timm."""
    for name in registry.names():
        import_module(registry.get(name).exporting.timm_module)


default_cfgs = generate_default_cfgs({ARCHITECTURE: pretrained_cfg(USUAL_SIZE)})


@register_model
def searched_network(
    pretrained: bool = False,
    space: str = "",
    config: Mapping[str, Any] | None = None,
    geometry: Mapping[str, Any] | None = None,
    code: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Builds a network of any search space.

    Args:
        pretrained: Load the weights of the folder given to timm.
        space: The name of a registered space.
        config: A configuration of it; its default if None.
        geometry: See :func:`search_spaces.sizes.sized`.
        code: Code of a custom space: file, class and SHA-256.
        **kwargs: timm's arguments: num_classes, in_chans, drop_path_rate.

    Raises:
        UserError: If there is no such network, or code would run that nobody named.
    """
    found = codes.find(space, code)
    size = sized(found, geometry)
    chosen = found.default if config is None else found.validate(config)

    def network(
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        global_pool: str | None = None,  # noqa: ARG001 - saved by timm, and as the network has it
        **others: Any,
    ) -> nn.Module:
        for name, value in others.items():
            if value:
                raise SettingError(name, value, f"networks of the space {found.name} have no such setting")
        model = found.network(chosen, size, num_classes, in_chans, drop_path_rate)
        _described(model, num_classes, in_chans)
        return model

    model: nn.Module = build_model_with_cfg(network, ARCHITECTURE, pretrained, **kwargs)
    return model


def _described(model: Any, num_classes: int, in_chans: int) -> None:
    """Sets the attributes of a network that timm reads."""
    last = classifier(model, num_classes)
    features = num_classes if last is None else model.get_submodule(last).in_features
    for name, value in (("num_classes", num_classes), ("in_chans", in_chans), ("num_features", features)):
        if not isinstance(getattr(model, name, None), int):
            setattr(model, name, value)
