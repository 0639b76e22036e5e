"""The worker under FSDP2 or ZeRO on CPUs.

    accelerate launch --config_file FILE -m tests.train.sharded_worker JOB.json [STEP]

Accelerate takes FSDP for GPUs only. All that stands in for it here is the name of the layout: the model is sharded,
the optimizer is given the shards and gradients are clipped by accelerate's own code, with gloo between the processes.
DeepSpeed needs no stand-in. With a STEP all processes end without a word after the checkpoint of that step.
"""

import os
import sys
from typing import Any

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from fireact.train import layout, worker, zero
from fireact.train.loop import Training


class OnCpu(Accelerator):
    """An accelerator that takes processes on CPUs for FSDP's, and sees to it that the model is sharded."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.state.distributed_type = DistributedType.FSDP
        self.state.fsdp_plugin = FullyShardedDataParallelPlugin()

    def prepare(self, *args: Any, **options: Any) -> Any:
        model, optimizer = super().prepare(*args, **options)
        assert all(isinstance(weight, DTensor) for weight in model.parameters())
        return model, optimizer


def stop_after(step: int) -> None:
    """Let this process end once the checkpoint of `step` is written."""
    save = Training.save

    def save_and_stop(training: Training) -> None:
        save(training)
        training.accelerator.wait_for_everyone()
        if training.progress.step == step:
            os._exit(7)

    Training.save = save_and_stop  # type: ignore[method-assign]


if __name__ == "__main__":
    torch.set_num_threads(1)
    if not zero.asked():
        layout.Accelerator = OnCpu  # type: ignore[misc]
    if len(sys.argv) > 2:
        stop_after(int(sys.argv.pop()))
    sys.exit(worker.main(sys.argv))
