"""A trained net as one file that runs without this package: TorchScript, or ONNX where its packages are installed.

The exported net takes images as they come, uint8 [N, 3, H, W], and gives logits float32 [N, K, H, W]: the
normalisation is inside, so that nobody can forget it. Every export is run beside the original at two sizes before it
counts as done.
"""

import importlib.util
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from segbook.course.saved import ModelCard
from segbook.data.augment import normalize
from segbook.data.files import atomic_path
from segbook.evaluation import at_image_size, check_finite_logits, declared
from segbook.layers import resize

TORCHSCRIPT = (".ts", ".torchscript", ".pt")
#: Largest difference of a logit that the check allows, as a share of the largest logit (or of 1). TorchScript gives 0 on
#: the machine it was made on.
TOLERANCE = 1e-3


class Exported(nn.Module):
    """The net with its normalisation: uint8 [N, 3, H, W] in, logits [N, K, H, W] out.

    A net that declares an output stride has its logits resized; one that declares a margin gives so many pixels fewer.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.margin, self.stride = declared(model, "margin", 0), declared(model, "output_stride", 1)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(normalize(images))
        return resize(logits, images.shape[-2:]) if self.stride > 1 and not self.margin else logits


def export_model(model: nn.Module, card: ModelCard, path: str | os.PathLike) -> dict[tuple[int, int], float]:
    """Write ``model`` to ``path`` and return the largest difference of a logit from the original's, by image size.

    The ending decides: ``.onnx``, else TorchScript (``.ts``, ``.torchscript``, ``.pt``), which also carries the card as
    ``card.json``. Raises ValueError for another ending, for ONNX without its packages, and when the exported net answers
    differently; then no file is left.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        if lacking := [name for name in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(name)]:
            raise ValueError(
                f"ONNX needs packages that the course does not install: {', '.join(lacking)}. "
                f"Add them with pip, or export to {path.with_suffix('.ts').name} (TorchScript), which needs nothing more"
            )
    elif path.suffix not in TORCHSCRIPT:
        raise ValueError(f"cannot tell the format from {path.name!r}; end it in .ts (TorchScript) or .onnx")
    net = Exported(model).cpu().eval()
    height, width = card.size or (96, 128)
    # A trace records one run: only another size shows whether it recorded a rule or a number.
    sizes = ((height, width), (height + 32, width + 48))
    if net.margin and hasattr(model, "next_size"):  # a U-Net without padding takes certain sizes only
        sizes = tuple(tuple(map(model.next_size, size)) for size in sizes)
    for size in sizes:
        with torch.inference_mode():
            check_finite_logits(at_image_size(model(normalize(_images(size))), _images(size), model), model)
    example = _images(sizes[0])
    with atomic_path(path) as partial:
        answer = (_onnx if path.suffix == ".onnx" else _torchscript)(net, example, card, partial)
        differences = {}
        for size in sizes:
            images = _images(size)
            with torch.inference_mode():
                expected = net(images)
            got = answer(images)
            if got.shape != expected.shape:
                raise ValueError(f"the exported {card.model} gives {list(got.shape)} for an image of {size[0]}x{size[1]}, "
                                 f"the original {list(expected.shape)}: it is tied to one size")  # fmt: skip
            differences[size] = float((got - expected).detach().abs().max())
            if not differences[size] <= TOLERANCE * max(1.0, float(expected.abs().max())):
                raise ValueError(f"the exported {card.model} differs by {differences[size]:.3g} at {size[0]}x{size[1]}")
    return differences


def _images(size: tuple[int, int]) -> Tensor:
    """Two noisy images, the same every time: uint8 [2, 3, H, W]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=generator)


def _torchscript(net: nn.Module, example: Tensor, card: ModelCard, path: Path):
    """Trace one run and write it; returns a function that runs the written file."""
    with warnings.catch_warnings(), torch.no_grad():
        # PyTorch recommends torch.export today, and warns of each `if` on a size, which the check at two sizes covers.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(net, example, check_trace=False)
        torch.jit.save(traced, path, _extra_files={"card.json": json.dumps(asdict(card))})
        loaded = torch.jit.load(path, map_location="cpu")

    def answer(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return loaded(images)

    return answer


def _onnx(net: nn.Module, example: Tensor, card: ModelCard, path: Path):
    """Write ONNX with free number and size of the images; returns a function that runs the file in onnxruntime."""
    import onnxruntime

    free = {0: torch.export.Dim("number"), 2: torch.export.Dim("height", min=32), 3: torch.export.Dim("width", min=32)}
    names = {"input_names": ["images"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (example,), path, dynamo=True, verbose=False, external_data=False, dynamic_shapes=(free,), **names
        )
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def answer(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    return answer
