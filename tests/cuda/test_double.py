"""The double refuses what CUDA refuses, and computes what the CPU computes."""

import io

import pytest
import torch
from torch import nn

REFUSED = {
    "operands apart": lambda x: x + torch.ones(3),
    "joined from both": lambda x: torch.cat([x, torch.ones(3)]),
    "stacked from both": lambda x: torch.stack([torch.ones(3), x]),
    "a matrix product": lambda x: torch.ones(2, 3) @ x,
    "a layer on the host": lambda x: nn.Linear(3, 2)(x),
    "a loss with labels on the host": lambda x: nn.functional.cross_entropy(x[None], torch.tensor([1])),
    "a number of the host, changed": lambda x: torch.zeros(()).add_(x.sum()),
    "a list, one apart": lambda x: torch._foreach_add([x, torch.ones(3)], [x, torch.ones(3)]),
    "places on the device, values on the host": lambda x: torch.ones(3)[x.long()],
    "an output elsewhere": lambda x: torch.add(x, x, out=torch.empty(3)),
    "a generator of the host": lambda x: torch.randn(3, device="cuda", generator=torch.Generator()),
    "a generator of the host, in place": lambda x: x.normal_(generator=torch.Generator()),
    "a generator of the device": lambda x: torch.randperm(3, generator=torch.Generator("cuda")),
    "memory of the device pinned": lambda x: x.pin_memory(),
    "a GPU too many": lambda x: x.to("cuda:1"),
    "made on a GPU too many": lambda x: torch.zeros(3, device="cuda:1"),
    "a GPU too many chosen": lambda x: torch.cuda.set_device(1),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
def test_refused(fake_cuda, ask):
    fake_cuda()
    x = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError):
        ask(x)


def test_a_device_without_index(fake_cuda):
    fake_cuda()
    with pytest.raises(ValueError, match="index"):
        torch.cuda.set_device(torch.device("cuda"))
    torch.cuda.set_device(torch.device("cuda:0"))


def test_numpy_wants_the_host(fake_cuda):
    fake_cuda()
    x = torch.ones(3, device="cuda")
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        x.numpy()
    assert x.cpu().numpy().tolist() == [1, 1, 1]


ALLOWED = {
    "numbers of the host": lambda x: x * torch.tensor(2.0) + 1,
    "places on the host": lambda x: x[torch.tensor([0, 1, 2])],
    "copied in": lambda x: torch.empty_like(x).copy_(torch.ones(3)),
    "like it": lambda x: torch.zeros_like(x) + x.new_ones(3) + torch.ones(3, device=x.device),
    "a view of it": lambda x: x.view(1, 3).permute(1, 0).flatten() + x,
    "moved": lambda x: torch.ones(3).to(x) + torch.ones(3).cuda() + x,
    "one-hot": lambda x: nn.functional.one_hot(x.long(), 3).sum(0).float() + x,
    "its own generator": lambda x: x + torch.randn(3, device="cuda", generator=torch.Generator("cuda")),
    "within a context": lambda x: x + _made_within(),
}


def _made_within():
    with torch.device("cuda"):
        return torch.arange(3)


@pytest.mark.parametrize("ask", ALLOWED.values(), ids=ALLOWED)
def test_allowed(fake_cuda, ask):
    fake_cuda()
    found = ask(torch.ones(3, device="cuda"))
    assert (found.device, found.is_cuda, found.get_device()) == (torch.device("cuda:0"), True, 0)
    assert found.cpu().device == torch.device("cpu")


def test_two_gpus_are_apart(fake_cuda):
    fake_cuda(count=2)
    one, other = (torch.ones(3, device=f"cuda:{i}") for i in range(2))
    with pytest.raises(RuntimeError, match="cuda:0 and cuda:1|cuda:1 and cuda:0"):
        one + other
    torch.cuda.set_device(1)
    assert torch.ones(1, device="cuda").device == other.device


def test_without_a_gpu(fake_cuda):
    fake_cuda(count=0)
    for refused in (lambda: torch.zeros(3).pin_memory(), lambda: torch.zeros(3).to("cuda")):
        with pytest.raises(RuntimeError):
            refused()
    assert not torch.cuda.is_available()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Flatten(), nn.LazyLinear(4))


def trained(device, optimizer, amp=None):
    model = network()
    model(torch.ones(2, 3, 8, 8))
    before = list(model.parameters())
    model = model.to(torch.device(device), memory_format=torch.channels_last)
    assert all(one is other for one, other in zip(before, model.parameters(), strict=True))
    rule = optimizer(model.parameters())
    images, labels = torch.randn(4, 3, 8, 8).to(device), torch.arange(4).to(device)
    for _ in range(3):
        with torch.autocast(torch.device(device).type, dtype=amp, enabled=amp is not None):
            loss = nn.functional.cross_entropy(model(images).float(), labels)
        rule.zero_grad()
        loss.backward()
        assert {p.grad.device.type for p in model.parameters()} == {torch.device(device).type}
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rule.step()
    return model, rule, loss.item()


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)])
@pytest.mark.parametrize("amp", [None, torch.bfloat16])
def test_training_computes_what_the_cpu_computes(fake_cuda, optimizer, amp):
    expected = trained("cpu", optimizer, amp)[2]
    fake_cuda()
    model, rule, loss = trained("cuda", optimizer, amp)
    assert loss == expected
    state = [v for s in rule.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    assert {v.device.type for v in state if v.dim()} == {"cuda"}
    assert {v.device.type for v in state if not v.dim()} <= {"cpu"}
    assert torch.cuda.max_memory_allocated() > 4 * sum(p.numel() for p in model.parameters())


def test_files_bring_tensors_back_to_where_they_lay(fake_cuda):
    fake_cuda()
    file = io.BytesIO()
    torch.save({"x": torch.arange(3, device="cuda"), "y": torch.arange(3)}, file)
    for place, device in ((None, "cuda"), ("cpu", "cpu"), ("cuda:0", "cuda")):
        file.seek(0)
        found = torch.load(file, map_location=place)
        assert found["x"].device.type == device
        assert found["x"].tolist() == [0, 1, 2]
    file.seek(0)
    with pytest.raises(RuntimeError, match="device_count"):
        torch.load(file, map_location="cuda:1")


def test_waits_are_noticed(fake_cuda):
    gpu = fake_cuda()
    x = torch.ones(3, device="cuda")
    for wait in (lambda: x.sum().item(), lambda: x[x > 0], lambda: bool(x[0] > 0), x.cpu, x.tolist):
        gpu.waits.clear()
        wait()
        assert gpu.waits
        with gpu.no_waiting(), pytest.raises(RuntimeError):
            wait()
    with gpu.no_waiting():
        (x * 2).sum()
        torch.ones(3).sum().item()


def test_memory_is_counted_and_short(fake_cuda):
    fake_cuda(memory=1000)
    x = torch.ones(100, device="cuda")
    assert torch.cuda.memory_allocated() == 400
    with pytest.raises(torch.OutOfMemoryError):
        torch.ones(200, device="cuda")
    del x
    torch.ones(200, device="cuda")
    assert torch.cuda.max_memory_allocated() == 800
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == 0


def test_a_graph_is_computed_again_and_must_not_wait(fake_cuda):
    fake_cuda()
    x = torch.ones(3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = (x * 2).sum()
    x.fill_(5)
    graph.replay()
    assert y.item() == 30
    with pytest.raises(RuntimeError, match="capturing"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        x.sum().item()
