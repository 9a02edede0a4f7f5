"""Stand-ins for CUDA graphs on a CPU: operations on tensors are recorded and replayed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {"aten._local_scalar_dense", "aten.item", "aten.nonzero", "aten.is_nonzero", "aten.unique_dim"}
FROM_HOST = {"aten.lift_fresh"}


class NotRecordable(RuntimeError):
    """What a capture refuses."""


class Tape(TorchDispatchMode):
    """Writes down operations with the very tensors and numbers that they were called with.

    Refuses what waits for the device, and tensors made from numbers of the host.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = str(func.overloadpacket)
        if name in WAITS | FROM_HOST:
            raise NotRecordable(f"operation not permitted when stream is capturing: {name}\nmore")
        out = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, out))
        return out

    def replay(self) -> None:
        """Does all operations again: into the same memory, without the Python around them."""
        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Replayed:
    """Records a function as a tape.

    Args:
        harm: What a replay does in addition.
        fails: Raised by the first recordings, one each.
    """

    def __init__(self, harm: Callable[[], None] | None = None, fails: Sequence[Exception] = ()) -> None:
        self.recordings, self.replays = 0, 0
        self.tapes: list[list[Tape]] = []
        self._harm, self._fails = harm, list(fails)

    def record(self, run: Callable[[], object]) -> Callable[[], None]:
        run()
        run()
        if self._fails:
            raise self._fails.pop(0)
        self.recordings += 1
        tape = Tape()
        with tape:
            run()
        tapes = [tape]
        self.tapes.append(tapes)

        def replay() -> None:
            self.replays += 1
            with torch.no_grad():
                for tape in tapes:
                    tape.replay()
                if self._harm is not None:
                    self._harm()

        return replay
