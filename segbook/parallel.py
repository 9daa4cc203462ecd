"""Training that several processes share, one a GPU, as ``torchrun --nproc-per-node=N -m segbook train …`` starts them.

Every process holds the whole net and computes a share of each batch. Before a step the gradients are averaged over the
processes (PyTorch's DistributedDataParallel does that during the backward pass), so that all make the same step and keep
the same weights: N processes with batches of b train like one with batches of N b. Only the first of them writes files.
"""

import contextlib
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """The processes that train together: ``size`` of them, this one being number ``rank``. Alone, it changes nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates, writes and prints."""
        return self.rank == 0

    def spread(self, model: nn.Module) -> nn.Module:
        """The net whose gradients come averaged over the team; its weights are those of ``model``, not a copy.

        Batch norm computes its mean and variance over a batch. On CUDA the batch norms of ``model`` become SyncBatchNorm,
        which takes them over the shares of all processes; PyTorch has none for the CPU, where every process normalises
        its own share and a net with batch norm trains a little differently than in one process.
        """
        if self.size == 1:
            return model
        if next(model.parameters()).is_cuda:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model)

    def share(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """This process's part of each tensor [N, …]; from here on it draws random numbers (dropout) of its own.

        Raises ValueError if the batch cannot be divided evenly: a mean of means is the mean only over equal shares.
        """
        if self.size == 1:
            return tensors
        count = len(tensors[0])
        if count % self.size:
            raise ValueError(f"a batch of {count} cannot be divided evenly among {self.size} processes")
        torch.manual_seed(
            (torch.initial_seed() + self.rank * 1_000_000_007) % 2**32
        )  # the CPU's generator takes 32 bits
        return tuple(tensor.chunk(self.size)[self.rank] for tensor in tensors)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a value over the processes, without a gradient; every process has to ask for it."""
        if self.size == 1:
            return value
        total = value.detach().float().clone()
        dist.all_reduce(total)
        return total / self.size


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
