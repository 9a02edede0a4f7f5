"""Every layer is timed both ways, against a floor."""

import json
import sys

from benchmarks import layers


def test_all_layers_are_timed(monkeypatch, capsys, tmp_path):
    target = tmp_path / "layers.json"
    arguments = ["--width", "16", "--batch-size", "4", "--times", "1", "--json", str(target)]
    monkeypatch.setattr(sys, "argv", ["benchmarks/layers.py", *arguments])
    monkeypatch.setattr(layers, "ceilings", lambda device, dtype: (1e9, 1e9))
    layers.main()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + 3 * len(layers.LAYERS)
    rows = json.loads(target.read_text())["rows"]
    assert {row["layer"] for row in rows} == {layer.name for layer in layers.LAYERS}
    assert all(row["plain_ms"] > 0 and row["fast_ms"] > 0 for row in rows)
    norm = next(row for row in rows if row["layer"] == "batch norm" and row["shape"] == [4, 16, 8, 8])
    assert norm["floor_ms"] == round(8 * (4 * 16 * 8 * 8) * 4 / 1e9 * 1e3, 4)
