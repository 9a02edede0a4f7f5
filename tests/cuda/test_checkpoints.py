"""Checkpoints of optimisers that keep their numbers on the GPU, on the host and on both."""

import pytest
import torch
from torch import nn

from nas.trial.checkpoint import CheckpointStore
from nas.trial.packing import pack, unpack

RULES = {
    "steps counted on the host": lambda p: torch.optim.AdamW(p, lr=0.1),
    "steps counted on the device": lambda p: torch.optim.AdamW(p, lr=0.1, capturable=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "no steps": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "one number for all": lambda p: torch.optim.NAdam(p, lr=0.1),
    "steps and sizes": lambda p: torch.optim.Rprop(p, lr=0.1),
}


def stepped(rule):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to("cuda")
    optimizer = rule(model.parameters())
    step(model, optimizer)
    return model, optimizer


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.arange(6.0, device="cuda").view(2, 3)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_optimiser_goes_on_where_each_of_its_tensors_lay(fake_cuda, tmp_path, rule):
    fake_cuda()
    model, optimizer = stepped(rule)
    store = CheckpointStore(tmp_path, 0)
    store.save("a", 1, {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    step(model, optimizer)

    state = store.latest("a", 1)[1]
    again, other = stepped(rule)
    again.load_state_dict(state["model"])
    other.load_state_dict(state["optimizer"])
    step(again, other)
    assert again.weight.equal(model.weight)
    for one, two in zip(optimizer.state.values(), other.state.values(), strict=True):
        for name, value in one.items():
            if isinstance(value, torch.Tensor):
                assert value.dim() == 0 or two[name].device == value.device == again.weight.device
                assert two[name].dtype == value.dtype
                assert two[name].cpu().equal(value.cpu())


def test_any_mixture_is_packed_on_the_host(fake_cuda):
    fake_cuda(count=2)
    big = torch.arange(24.0, device="cuda").view(1, 2, 3, 4)
    state = {
        "cuda:0": big.to(memory_format=torch.channels_last),
        "cuda:1": torch.ones(2, device="cuda:1"),
        "cpu": torch.full((3,), 2.0),
        "a view on the device": big[0, :, 1],
        "spread out": torch.ones(1, device="cuda").expand(4),
        "a number on the device": torch.tensor(3, device="cuda"),
        "a number on the host": torch.tensor(4),
        "half": torch.ones(2, device="cuda", dtype=torch.bfloat16),
        "bool": torch.tensor([True, False], device="cuda"),
        "none": torch.empty(0, 3, device="cuda"),
        "complex, turned": torch.tensor([1 + 2j, 3j], device="cuda").conj(),
        "learned": nn.Parameter(torch.ones(2, device="cuda")),
    }
    packed = pack(state)
    assert {flat.device.type for flat in packed["flat"]} == {"cpu"}
    for name, value in unpack(packed).items():
        assert value.device.type == "cpu"
        assert value.equal(state[name].detach().cpu()), name


def test_what_is_no_plain_memory_stays_itself():
    sparse = torch.eye(3).to_sparse()
    found = unpack(pack({"sparse": sparse, "dense": torch.ones(2)}))
    assert found["sparse"].layout == torch.sparse_coo
    assert found["sparse"].to_dense().equal(torch.eye(3))


def test_packing_needs_no_room_on_the_device(fake_cuda):
    fake_cuda(memory=4 * 1000)
    state = {str(i): torch.ones(100, device="cuda") for i in range(9)}
    assert len(pack(state)["flat"][0]) == 900
