import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from nas.evaluate.predict import Predictions, predict
from nas.evaluate.scores import Scores, calibration_error, confusion, per_class


class Given(nn.Module):
    """Answers what the picture says: its pixels are the logits."""

    def forward(self, images):
        return images.flatten(1)


def predictions(logits, labels, **options):
    data = TensorDataset(torch.tensor(logits).float()[:, :, None, None], torch.tensor(labels))
    return predict(Given(), data, torch.device("cpu"), **options)


LOGITS = [[3.0, 1, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5], [0, 9, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]]
LABELS = [0, 4, 0, 0]


def test_figures_by_hand():
    found = predictions(LOGITS, LABELS, batch_size=3)
    assert found.predicted.tolist() == [0, 5, 1, 5]
    assert found.rank.tolist() == [0, 1, 1, 5]
    scores = Scores.of(found)
    assert (scores.images, scores.top1, scores.top5) == (4, 0.25, 0.75)
    expected = nn.functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS)).item()
    assert scores.loss == pytest.approx(expected)


def test_chosen_outputs_are_the_only_ones():
    """Labels count within them."""
    found = predictions(LOGITS, [0, 1, 1, 0], classes=[4, 0])
    assert found.predicted.tolist() == [1, 0, 0, 0]
    assert found.rank.tolist() == [1, 1, 0, 0]


def test_calibration_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    assert calibration_error(confidence, right) == pytest.approx((0.05 * 2 + 0.05 * 2) / 4)
    assert calibration_error(np.ones(8), np.ones(8, dtype=bool)) == 0
    assert calibration_error(np.ones(8), np.zeros(8, dtype=bool)) == 1


def test_tables():
    found = predictions(LOGITS, LABELS)
    table = confusion(found, 6)
    assert table.sum() == 4
    assert (table[0, 0], table[0, 1], table[0, 5], table[4, 5]) == (1, 1, 1, 1)
    rows = per_class(found, list("abcdef"))
    assert [row["class"] for row in rows] == ["a", "e"]
    assert rows[0]["images"] == 3
    assert rows[0]["top1"] == pytest.approx(1 / 3)
    assert rows[0]["most_confused_with"] == "b"
    assert rows[1]["most_confused_with"] == "f"


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 30), processes=st.integers(1, 4), seed=st.integers(0, 9))
def test_what_processes_saw_comes_together_in_order(count, processes, seed):
    draw = np.random.default_rng(seed)
    logits, labels = draw.normal(size=(count, 6)).tolist(), draw.integers(0, 6, count).tolist()
    whole = predictions(logits, labels)
    parts = [predictions(logits[i::processes], labels[i::processes]) for i in range(min(processes, count))]
    together = Predictions.interleaved(parts)
    if processes <= count:
        assert together.predicted.tolist() == whole.predicted.tolist()
        assert Scores.of(together) == Scores.of(whole)
