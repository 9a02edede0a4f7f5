"""The old name of :mod:`search_spaces.nexception.timm_models`: published model cards import it."""

from search_spaces.nexception.timm_models import (
    GENERIC,
    PRESETS,
    nexception,
    nexception_s,
    nexception_t,
    nexception_tp,
    pretrained_cfg,
)

__all__ = [
    "GENERIC",
    "PRESETS",
    "nexception",
    "nexception_s",
    "nexception_t",
    "nexception_tp",
    "pretrained_cfg",
]
