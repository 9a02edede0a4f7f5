import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import search_spaces
from nas.util.counts import Stats, count

SPACE = search_spaces.get("nexception")


def test_a_network_counted_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 25, 2))
    macs = 9 * 4 * 25 + 4 * 25 * 2
    assert count(model, 5, in_chans=1) == Stats(params=40 + 202, macs=macs, flops=2 * macs)


def test_counting_leaves_the_model_as_it_was():
    model = SPACE.build(SPACE.points["nexception"], SPACE.reduced(16), 10).train()
    model.stem.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    count(model, 32)
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_meta_and_real_models_count_alike():
    for config in SPACE.sample(5, seed=1):
        real = SPACE.build(config, SPACE.reduced(16), 10)
        with torch.device("meta"):
            meta = SPACE.build(config, SPACE.reduced(16), 10)
        assert count(real, 32) == count(meta, 32)


def test_it_counts_what_the_flop_counter_counts():
    for config in SPACE.sample(5, seed=2):
        model = SPACE.build(config, SPACE.reduced(16), 10).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 3, 32, 32))
        assert count(model, 32).flops == counter.get_total_flops()


def test_networks_made_in_inference_mode_count_alike():
    config = SPACE.points["nexception"]
    with torch.inference_mode():
        made = SPACE.build(config, SPACE.reduced(16), 10)
        assert count(made, 32) == count(SPACE.build(config, SPACE.reduced(16), 10), 32)
    assert count(made, 32) == count(SPACE.build(config, SPACE.reduced(16), 10), 32)
