"""A network that no single process holds: each has a part of every tensor, of its gradient and of the optimizer's numbers (FSDP).

A block's tensors are brought together while it computes, and let go behind it (Zhao et al. 2023, arXiv:2304.11277, as
torch.distributed.fsdp.fully_shard does it). Number 0 keeps the whole network beside its part, in ordinary memory: that is what is
evaluated and saved, so that a run goes on on any number of processes, and without this.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from asr.model.inference import HALVES
from asr.model.model import SpeechModel
from asr.training.train_config import TrainConfig

ENTRANCES = ("encode_features", "decode_teacher_forced", "ctc_log_probs")
"""What training asks of the network."""


def shard(model: SpeechModel, mesh: DeviceMesh, settings: TrainConfig) -> None:
    """Leaves each process its part of the network, in place, on the mesh's device.

    In half precision the matrices of blocks are brought together as autocast would make them; norms stay what they are, so that
    losses are those of a network that is whole.
    """
    half = MixedPrecisionPolicy(
        param_dtype=HALVES.get(settings.precision), reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    warnings.filterwarnings(
        "ignore", message="FSDP2-wrapped module"
    )  # that returns views: nothing is written into these
    blocks = [block for stack in stacks(model) for block in stack]
    norms = [module for block in blocks for module in block.modules() if isinstance(module, nn.LayerNorm)]
    fully_shard(norms, mesh=mesh, reshard_after_forward=False)
    for block in blocks:
        if attention := getattr(block, "cross_attention", None):  # its keys are asked for before the layer computes
            fully_shard(attention, mesh=mesh, mp_policy=half)
            register_fsdp_forward_method(attention, "keys_values")
        fully_shard(block, mesh=mesh, mp_policy=half)
    fully_shard(model, mesh=mesh)
    for name in ENTRANCES:
        register_fsdp_forward_method(model, name)
    for module in model.modules():
        if isinstance(module, FSDPModule):  # sums, as without shards
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def stacks(model: SpeechModel) -> list[nn.ModuleList]:
    """The blocks of the network, by the part that they are of."""
    decoders = [decoder for decoder in (model.decoder, model.reverse_decoder) if decoder is not None]
    return [model.encoder.blocks, *(decoder.layers for decoder in decoders)]


def is_sharded(model: nn.Module) -> bool:
    """Whether this process has a part of it only."""
    return isinstance(model, FSDPModule)


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """What of a whole tensor a process has that has `like` of another one of its shape."""
    if not isinstance(like, DTensor):
        return whole.to(like.device)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def whole_of(tensor: Any) -> Any:
    """All of a tensor, in the memory of the CPU; all processes must ask for it."""
    if not isinstance(tensor, Tensor):
        return tensor
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def first_rows(tensor: Tensor, n: int) -> Tensor:
    """Those of the first n rows that this process has, to be changed in place."""
    if not isinstance(tensor, DTensor):
        return tensor[:n]
    each, mesh = -(-len(tensor) // tensor.device_mesh.size()), tensor.device_mesh
    return tensor.to_local()[: max(0, n - each * mesh.get_local_rank())]


class Learner:
    """The network of a run and its optimizer as one process has them."""

    def __init__(
        self,
        model: SpeechModel,
        optimizer: torch.optim.Optimizer,
        kept: tuple[SpeechModel, torch.optim.Optimizer] | None = None,
        *,
        as_of: int = 0,
        ask: Callable[[], None] = lambda: None,
        met: Callable[[], AbstractContextManager] = nullcontext,
    ):
        """kept: where number 0 has the whole of both, as of a step; `ask` lets the others call `bring_together`, too, and `met`
        is a block in which the parts of all are needed."""
        self.model, self.optimizer = model, optimizer
        self.kept = kept or (model, optimizer)
        self.as_of, self.ask, self.met = as_of, ask, met

    def keep(self, step: int) -> None:
        """Lets number 0 have the whole as it is after a step."""
        if is_sharded(self.model) and step != self.as_of:
            self.ask()
            self.bring_together()
            self.as_of = step

    @contextmanager
    def whole(self, step: int) -> Iterator[SpeechModel]:
        """The whole network as it is after a step, where it can compute."""
        self.keep(step)
        model, home = self.kept[0], self.kept[0].cmvn.mean.device
        try:
            yield model.to(self.model.cmvn.mean.device)
        finally:
            model.to(home)

    def bring_together(self) -> None:
        """What all processes do to `keep` it."""
        with self.met():
            self._bring_together()

    @torch.no_grad()
    def _bring_together(self) -> None:
        """Tensor by tensor, for together they may be large."""
        model, optimizer = self.kept
        mine = model is not self.model
        whole = model.state_dict() if mine else {}
        for name, tensor in self.model.state_dict().items():
            together = whole_of(tensor)
            if mine:
                whole[name].copy_(together)
        for group, own_group in zip(optimizer.param_groups, self.optimizer.param_groups, strict=True):
            for parameter, own in zip(group["params"], own_group["params"], strict=True):
                state = {name: whole_of(value) for name, value in self.optimizer.state.get(own, {}).items()}
                if mine and state:
                    optimizer.state[parameter] = state
