"""What the Makefile says before it fetches anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


def wheel_bytes() -> float:
    """Bytes that `uv sync` fetches for Linux on x86-64 and Python 3.12, by the lock file."""
    sizes: dict[str, int] = {}
    for package in (HERE / "uv.lock").read_text().split("[[package]]")[1:]:
        name = re.findall(r'^name = "(.*)"', package, re.MULTILINE)[0]
        for wheel, size in re.findall(r'/([^"/]+\.whl)", hash = "[^"]+", size = (\d+)', package):
            python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
            fits = python in ("py3", "py2.py3", "cp312") or abi == "abi3"
            if fits and (platform == "any" or ("linux" in platform and "x86_64" in platform)):
                sizes[name] = max(sizes.get(name, 0), int(size))
    return float(sum(sizes.values()))


def test_it_says_how_much_it_will_download() -> None:
    makefile = (HERE / "Makefile").read_text()
    recipe = makefile.partition("\n.venv/.synced:")[2]
    told = re.search(r'@echo "[^"]*about ([\d.]+) GB to download', recipe)
    assert told is not None
    assert recipe.index("GB to download") < recipe.index("sync --frozen")
    assert float(told[1]) * 1e9 == pytest.approx(wheel_bytes(), rel=0.15)
