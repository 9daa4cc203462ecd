"""Training that several processes share, one a GPU, as ``torchrun --nproc-per-node=N -m segbook train …`` starts them.

Every process holds the whole net and computes a share of each batch. During the backward pass the gradients are added up
over the processes, so that all make the same step and keep the same weights: N processes with batches of b train like one
with batches of N b. Only the first of them scores and writes files. The training loop knows nothing of this: hooks on the
net do it.
"""

import contextlib
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """The processes that train together: ``size`` of them, this one being number ``rank``. Alone, it changes nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates, writes and prints."""
        return self.rank == 0


@contextlib.contextmanager
def shared(model: nn.Module, team: Team):
    """Inside, the training passes of ``model`` are shared by the team; ``fit`` and every loss stay as they are.

    Each process is called with the whole batch and computes its own share of the logits; the shares are gathered, so
    that all see the whole batch's logits and compute the same loss, whatever it is. On the way back each process gets the
    gradient of its share, and the gradients of a weight are added up over the team as soon as they are there.

    Batch norm computes its mean and variance over a batch. On CUDA the batch norms of ``model`` become SyncBatchNorm,
    which takes them over the shares of all processes; PyTorch has none for the CPU, where every process normalises its own
    share and a net with batch norm trains a little differently than in one process. A batch that cannot be divided evenly
    raises ValueError.
    """
    if team.size == 1:
        yield model
        return
    if next(model.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def take_share(net, batch):
        if not net.training:
            return batch
        (images,) = batch
        if len(images) % team.size:
            raise ValueError(f"a batch of {len(images)} cannot be divided evenly among {team.size} processes")
        # From here on each process draws random numbers (dropout) of its own; the CPU's generator takes 32 bits.
        torch.manual_seed((torch.initial_seed() + team.rank * 1_000_000_007) % 2**32)
        return (images.chunk(team.size)[team.rank],)

    def gather_shares(net, batch, logits):
        if net.training:
            return _Gather.apply(logits.contiguous(), team)

    hooks = [model.register_forward_pre_hook(take_share), model.register_forward_hook(gather_shares)]
    for parameter in model.parameters():
        if parameter.requires_grad:
            hooks.append(parameter.register_post_accumulate_grad_hook(lambda weight: dist.all_reduce(weight.grad)))
    try:
        yield model
    finally:
        for hook in hooks:
            hook.remove()


class _Gather(torch.autograd.Function):
    """The shares [n, …] of all processes, one after the other; the gradient of the own share goes back."""

    @staticmethod
    def forward(ctx, share: Tensor, team: Team) -> Tensor:
        ctx.team = team
        parts = [torch.empty_like(share) for _ in range(team.size)]
        dist.all_gather(parts, share)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient.chunk(ctx.team.size)[ctx.team.rank], None


def team() -> Team:
    """The team of this process: those that :func:`joined` brought together, otherwise this process alone."""
    if dist.is_available() and dist.is_initialized():
        return Team(dist.get_rank(), dist.get_world_size())
    return Team()


@contextlib.contextmanager
def joined(device: torch.device):
    """Meet the other processes that torchrun started, give each its GPU, and part at the end; yields the :class:`Team`.

    Without torchrun this does nothing. Raises ValueError when there are more processes than GPUs.
    """
    started_by_torchrun = all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"))
    if not started_by_torchrun or int(os.environ["WORLD_SIZE"]) == 1 or dist.is_initialized():
        yield team()
        return
    if device.type == "mps":
        raise ValueError("several processes cannot share an Apple GPU; start one, or set SEGBOOK_DEVICE=cpu")
    if device.type == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(f"torchrun started more processes than the {gpus} GPUs of this machine: one each, please")
        torch.cuda.set_device(local)
    if int(os.environ["RANK"]) > 0:
        os.environ["SEGBOOK_PROGRESS"] = "0"  # one bar is enough
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield team()
    finally:
        dist.destroy_process_group()
