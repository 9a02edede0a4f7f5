"""Networks of the Xception family: a configuration and a geometry in, a ``torch.nn.Module`` out.

Light to import: torch and timm are loaded by the first :func:`build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.nexception.geometry import Geometry
    from search_spaces.nexception.network import NEXcepTion


def build(
    config: Mapping[str, Any],
    geometry: Geometry,
    num_classes: int = 1000,
    in_chans: int = 3,
    drop_path_rate: float = 0.0,
) -> NEXcepTion:
    """Builds the network that a configuration of the ``nexception`` space describes.

    Args:
        config: A valid configuration (see ``search_spaces.nexception``).
        geometry: Widths and depths, see :mod:`search_spaces.nexception.geometry`.
        num_classes: Width of the classifier; 0 for none.
        in_chans: Image channels.
        drop_path_rate: Probability with which a residual branch is dropped in training
            (arXiv:1603.09382).
    """
    from search_spaces.nexception.network import NEXcepTion

    return NEXcepTion(config, geometry, num_classes, in_chans, drop_path_rate)
