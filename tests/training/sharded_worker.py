"""`tests.training.worker` with weights sharded by FSDP2 on CPUs, which accelerate by itself does on GPUs only."""

import sys
from pathlib import Path

import accelerate
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from accelerate.state import AcceleratorState

from fewshot.processes import connect, leave
from tests.training import worker

connect()
Accelerator()
plugin = FullyShardedDataParallelPlugin(
    fsdp_version=2, auto_wrap_policy="SIZE_BASED_WRAP", min_num_params=1, cpu_ram_efficient_loading=False
)
for state in (AcceleratorState._shared_state, PartialState._shared_state):
    state["distributed_type"] = DistributedType.FSDP
AcceleratorState._shared_state["fsdp_plugin"] = plugin


class ShardingAccelerator(Accelerator):
    """An accelerator as `accelerate launch` with an FSDP config makes it."""

    def __init__(self, **settings):
        super().__init__(fsdp_plugin=plugin, **settings)

    def prepare(self, *parts):
        prepared = super().prepare(*parts)
        print(type(next(prepared[0].parameters())).__name__, flush=True)
        return prepared


accelerate.Accelerator = ShardingAccelerator
worker.main(Path(sys.argv[1]), sys.argv[2:])
leave(0)
