"""The worker under FSDP2 on CPUs: `accelerate launch --config_file conf/accelerate/fsdp2_4.yml ... -m` this, JOB.json.

Accelerate takes FSDP for GPUs only. All that stands in for it here is the name of the layout: the model is sharded, the
optimizer is given the shards and gradients are clipped by accelerate's own code, with gloo between the processes.
"""

import os
import sys
from typing import Any

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.utils import DistributedType

from fireact.train import worker


class OnCpu(Accelerator):
    """An accelerator that takes processes on CPUs for FSDP's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.state.distributed_type = DistributedType.FSDP
        self.state.fsdp_plugin = FullyShardedDataParallelPlugin()
        if self.mixed_precision != "no":
            self.state.fsdp_plugin.set_mixed_precision(self.mixed_precision)


if __name__ == "__main__":
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    torch.set_num_threads(1)
    worker.Accelerator = OnCpu  # type: ignore[misc]
    sys.exit(worker.main(sys.argv))
