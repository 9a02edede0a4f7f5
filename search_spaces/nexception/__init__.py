"""Xception with the design decisions of NEXcepTion: space, networks, sizes and timm models."""

from search_spaces.nexception.builder import build
from search_spaces.nexception.space import NEXcepTionSpace

__all__ = ["NEXcepTionSpace", "build"]
