"""Kernels for running the course: which interpreter they use, and the fixed environment the stored outputs are made in."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ipykernel.kernelspec
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

#: Outputs that only a running kernel can fill with life.
WIDGET_TYPES = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
#: Longest time one cell may take, in seconds, before its notebook counts as failed.
CELL_TIMEOUT = 600


class CourseKernelManager(AsyncKernelManager):
    """Starts a kernel with the Python that is running now, whatever kernels the user has installed under "python3"."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict())

    @default("transport_encryption")
    def _encrypt_where_possible(self) -> str:
        return "auto"  # without it every kernel start prints a warning about plain TCP


def thread_variables(threads: int | str) -> dict[str, str]:
    """The environment variables that give PyTorch and NumPy ``threads`` threads."""
    names = ("SEGBOOK_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": "PASSIVE"}


def pinned_environment(scratch: str | os.PathLike) -> dict[str, str | None]:
    """Return the environment variables under which stored outputs are made and compared; None means "unset".

    ``scratch`` is an empty folder. Checkpoints go into it, so that a cell which should train never passes by loading an
    old result, and real data is looked for in it, so that the outputs are those of a fresh clone without downloads.
    The quick profile, the processor and one thread make the numbers as repeatable as they can be. Where a claim of the
    text does not hold all the same, that is an error here (``SEGBOOK_STRICT``).
    ``SEGBOOK_TEST_THREADS`` in the environment asks for another number of threads: outputs must then still compare equal.
    """
    scratch = Path(scratch)
    threads = os.environ.get("SEGBOOK_TEST_THREADS") or "1"
    if not threads.isdecimal() or int(threads) < 1:
        raise ValueError(f"SEGBOOK_TEST_THREADS must be a whole number of at least 1, got {threads!r}")
    return {
        "SEGBOOK_PROFILE": "quick",
        "SEGBOOK_DEVICE": "cpu",
        "SEGBOOK_PROGRESS": "0",
        "SEGBOOK_STRICT": "1",
        "SEGBOOK_CLAIMS": None,
        "SEGBOOK_DATASET": None,
        "SEGBOOK_DATA": str(scratch / "data"),
        "SEGBOOK_RUNS": str(scratch / "runs"),
        "TORCH_HOME": str(scratch / "torch"),  # no pretrained weights, as on a machine that has never loaded any
        "CUDA_VISIBLE_DEVICES": "",
        **thread_variables(threads),
        "PYTHONHASHSEED": "0",
        "IPYTHONDIR": str(scratch / "ipython"),  # no start-up files or profiles of the user
    }


def merged_environment(changes: dict[str, str | None]) -> dict[str, str]:
    """Return a copy of ``os.environ`` with ``changes`` applied; a value of None removes the variable."""
    environment = dict(os.environ)
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder for :func:`pinned_environment` with its sub-folders made; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="segbook-", ignore_cleanup_errors=True) as folder:
        for name in ("data", "runs", "ipython"):
            (Path(folder) / name).mkdir()
        yield Path(folder)
