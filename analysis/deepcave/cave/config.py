"""DeepCAVE's configuration for one start of the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cave.settings import Settings
from deepcave.config import Config as StockConfig


class Config(StockConfig):
    """Private redis and cache, our converter only, our versions of some pages.

    The stock list of converters would try to unpickle files of any folder that is added to the page.
    """

    FIGURE_HEIGHT = "55vh"
    FIGURE_FONT_SIZE = 16

    def __init__(self) -> None:
        settings = Settings.read()
        runs = settings.runs
        self._cache = settings.folder / "cache"
        self.TITLE = f"DeepCAVE: {', '.join(Path(run).name for run in runs)}"
        self.REDIS_ADDRESS = f"redis://:{settings.redis_password}@127.0.0.1"
        self.REDIS_PORT = settings.redis_port
        self.DASH_PORT = settings.port
        self.META_DEFAULT = {
            "working_dir": str(Path(runs[0]).parent),
            "selected_run_paths": list(runs),
            "groups": {},
        }

    @property
    def CACHE_DIR(self) -> Path:
        """A new one each time: what is selected when the page opens is honoured in an empty cache only."""
        return self._cache

    @property
    def CONVERTERS(self) -> list[Any]:
        """Only ours."""
        from cave.converter import SearchRun

        return [SearchRun]

    @property
    def PLUGINS(self) -> dict[str, list[Any]]:
        """The pages, by heading."""
        from cave.pages import pages

        return pages()
