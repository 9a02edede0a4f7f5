"""Networks that take turns, with passes that take as long as the test says."""

from __future__ import annotations

import itertools
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from nas.util.turns import LEAST, in_turns


class Subject:
    """A network whose passes take given seconds, the first one longer; it keeps a common clock."""

    def __init__(self, name, seconds, first=0.0, log=None):
        self.name = name
        self._seconds, self._first = seconds, first
        self.log = [] if log is None else log
        self.passes, self.spent = 0, 0.0

    def seconds(self, batch_size):
        taken = self._seconds + (self._first if self.passes == 0 else 0.0)
        self.passes += 1
        self.spent += taken
        self.log.append(self.name)
        return taken


def turns(subjects, limit, warm_up=10, repeats=30, note=lambda _: None):
    limits = [limit] * len(subjects)
    return in_turns(subjects, 1, limits, warm_up=warm_up, repeats=repeats, what="latency", note=note)


def test_networks_take_turns():
    log = []
    seconds = turns([Subject("a", 0.01, log=log), Subject("b", 0.02, log=log)], 9, warm_up=2, repeats=3)
    assert "".join(log) == "aabb" + "ababab"
    assert seconds == [[0.01] * 3, [0.02] * 3]


def test_a_slow_network_makes_fewer_passes_evenly_spread():
    log = []
    slow, fast = Subject("s", 0.5, log=log), Subject("f", 0.01, log=log)
    seconds = turns([slow, fast], 4, warm_up=1, repeats=30)
    assert [len(own) for own in seconds] == [7, 30]
    assert slow.spent <= 4
    places = [i for i, name in enumerate(log[2:]) if name == "s"]
    assert max(b - a for a, b in itertools.pairwise(places)) <= 6
    assert places[-1] >= 30


@given(
    seconds=st.lists(st.floats(1e-4, 2.0), min_size=1, max_size=7),
    first=st.floats(0.0, 1.0),
    limit=st.floats(0.1, 10.0),
    warm_up=st.integers(0, 10),
    repeats=st.integers(2, 30),
)
def test_every_network_ends_within_its_limit_or_makes_the_least_passes(
    seconds, first, limit, warm_up, repeats
):
    subjects = [Subject(str(i), taken, first) for i, taken in enumerate(seconds)]
    found = turns(subjects, limit, warm_up, repeats)
    for subject, own in zip(subjects, found, strict=True):
        assert LEAST <= len(own) <= repeats
        least = subject.passes <= min(warm_up, 2) + LEAST
        assert subject.spent <= limit * (1 + 1e-9) or least
        # There was time for more; a single pass to warm up, which compiles, tells too little to know.
        if warm_up != 1 and subject.spent + subject._seconds < 0.5 * limit:
            assert len(own) == repeats


def test_a_first_pass_that_compiles_does_not_use_up_the_warm_ups():
    subject = Subject("a", 0.01, first=2.0)
    assert len(turns([subject], 4)[0]) == 30
    assert subject.spent < 4


def test_a_network_that_becomes_slower_is_stopped():
    subject = Subject("a", 0.01)
    real = subject.seconds

    def slower(batch_size):
        return real(batch_size) if subject.passes < 5 else 50 * real(batch_size)

    subject.seconds = slower
    taken = turns([subject], 2, warm_up=2)[0]
    assert LEAST <= len(taken) < 30
    assert sum(taken) <= 2


def test_it_says_what_it_does(monkeypatch):
    notes = []
    monkeypatch.setattr("nas.util.turns._SPEAK_EVERY", -1.0)
    turns([Subject("a", 0.01), Subject("b", 0.01)], 9, warm_up=1, repeats=2, note=notes.append)
    assert notes == [
        "a: latency, warming up",
        "b: latency, warming up",
        "latency: 2 turns",
        "latency: 1 of 2 turns",
        "latency: 2 of 2 turns",
    ]


def test_the_first_words_come_before_pytorch_does():
    code = (
        "import sys\n"
        "from nas.profile import __main__ as profile\n"
        "profile._say = lambda text: sys.exit(3 if 'torch' in sys.modules else f'said {text}')\n"
        "profile.main(['test_resnet'])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stderr == "said loading PyTorch\n"
