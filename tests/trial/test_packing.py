import io

import pytest
import torch

from nas.trial.packing import pack, unpack


@pytest.fixture
def state():
    image = torch.rand(2, 3, 4, 5)
    return {
        "epoch": 3,
        "model": {"nhwc": image.to(memory_format=torch.channels_last), "n": torch.tensor(7)},
        "optimizer": {"state": {0: {"m": torch.rand(3), "empty": torch.empty(0)}}, "betas": (0.9, 0.99)},
        "view": image[:, 1],
        "words": ["tensor", None],
        "bf16": torch.rand(4).bfloat16(),
    }


def flatten(value):
    if isinstance(value, dict):
        return [(key, inner) for key, item in value.items() for inner in flatten(item)]
    if isinstance(value, list | tuple):
        return [type(value), *(inner for item in value for inner in flatten(item))]
    return [value.tolist() if isinstance(value, torch.Tensor) else value]


def test_packed_state_comes_back_through_a_file_as_it_was(state):
    file = io.BytesIO()
    torch.save(pack(state), file)
    file.seek(0)
    found = unpack(torch.load(file, weights_only=True))
    assert flatten(found) == flatten(state)
    assert found["model"]["nhwc"].stride() == state["model"]["nhwc"].stride()
    assert found["bf16"].dtype == torch.bfloat16
    assert len(pack(state)["flat"]) == 3


def test_unpacked_tensors_do_not_share_memory(state):
    found = unpack(pack(state))
    found["model"]["nhwc"].zero_()
    assert found["optimizer"]["state"][0]["m"].equal(state["optimizer"]["state"][0]["m"])
    assert state["model"]["nhwc"].any()


def test_a_state_that_was_never_packed_is_left_alone(state):
    assert unpack(state) is state


@pytest.mark.parametrize("change", [(0, 10**9, (4,), (1,)), (9, 0, (4,), (1,)), (0, 0, (4,), (10**6,))])
def test_a_place_outside_the_file_is_an_error(state, change):
    packed = pack(state)
    packed["tree"]["bf16"] = ("tensor", *change)
    with pytest.raises((RuntimeError, IndexError)):
        unpack(packed)
