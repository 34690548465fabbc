"""One study on several processes: each takes a shard of the corpus, and the sums are added up.

`accelerate launch -m sat_probe analyze ...` starts them on GPUs, `torchrun --nproc-per-node 2 -m sat_probe analyze
...` on processors, where accelerate needs MPI to start more than one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce

_WORLD_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """Which of the processes this is.

    Attributes:
        index: 0 is the one that prints and writes.
        count: how many there are.
        device: where this one computes, if the launcher decides it; None alone.
    """

    index: int = 0
    count: int = 1
    device: torch.device | None = None

    @property
    def is_main(self) -> bool:
        """True for the one that prints and writes."""
        return self.index == 0


def this_process() -> Process:
    """The process among those that a launcher (accelerate, torchrun, mpirun) started; alone without one."""
    if max(int(os.environ.get(name, "1")) for name in _WORLD_SIZES) < 2:
        return Process()
    state = PartialState(cpu=not torch.cuda.is_available())
    return Process(state.process_index, state.num_processes, state.device)


def gather(process: Process, value: Any) -> list[Any]:
    """Return the value of every process, in their order, on every process; waits for all of them."""
    return [value] if process.count == 1 else gather_object([value])


def add_up(process: Process, accumulators: Mapping[str, Any]) -> None:
    """Give every process the sums of all: the numbers of one process over the whole corpus."""
    if process.count == 1:
        return
    for accumulator in accumulators.values():
        summed = {}
        for name, value in accumulator.state_dict().items():
            total = reduce(torch.as_tensor(np.array(value)).reshape(-1).to(process.device), "sum")
            summed[name] = total.cpu().numpy().reshape(np.shape(value))
        accumulator.load_state_dict(summed)


def share(process: Process, count: int) -> slice:
    """Return which of `count` equal pieces of work this process does; may be empty."""
    return slice(count * process.index // process.count, count * (process.index + 1) // process.count)
