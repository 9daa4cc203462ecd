"""Model summaries: parameters, multiply-adds, shapes from stage to stage, receptive fields.

Nothing is computed here with real numbers: shapes and costs come from a copy of the model on PyTorch's ``meta`` device,
where tensors have a shape and no content, so that a 100-million-parameter net is taken apart in well under a second.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segbook.guards import whole


def count_parameters(model: nn.Module, trainable_only: bool = True) -> int:
    """Number of learnable values: weights, biases, batch-norm scale and shift; not batch norm's running statistics.

    ``trainable_only=False`` also counts parameters that are fixed (``requires_grad=False``), such as the bilinear
    kernels of FCN's up-sampling. A parameter that two layers share counts once.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def count_macs(model: nn.Module, input_size: tuple[int, int], in_channels: int = 3) -> int:
    """Multiply-accumulates (MACs) of one image of ``input_size`` (height, width) in convolutions and linear layers.

    One MAC is one multiplication and one addition, so FLOPs are twice as many. A transposed convolution multiplies each
    *input* pixel with its kernel: k^2 C_in C_out H_in W_in. Activations, normalisation, pooling and interpolation are
    left out, as is usual.
    """
    return _run_on_meta(model, input_size, in_channels)[1]


@dataclass(frozen=True)
class Stage:
    """One row of ``stages``: a named part of the model and what comes out of it.

    ``shape`` is (channels, height, width) for one image, or whatever follows the batch axis. ``stride`` is how many input
    pixels one step to the next output cell moves; None where the output does not grow with the image.
    """

    name: str
    shape: tuple[int, ...]
    stride: int | None
    parameters: int
    macs: int


class StageTable(list):
    """A list of :class:`Stage` that prints as a table; ``.parameters`` and ``.macs`` are those of the whole model."""

    def __init__(self, rows: Iterable[Stage], parameters: int, macs: int):
        super().__init__(rows)
        self.parameters, self.macs = parameters, macs

    def __str__(self) -> str:
        lines = [("stage", "output shape", "stride", "parameters", "million MACs")]
        for row in self:
            shape = " × ".join(str(n) for n in row.shape)
            stride = "-" if row.stride is None else str(row.stride)
            lines.append((row.name, shape, stride, f"{row.parameters:,}", f"{row.macs / 1e6:,.1f}"))
        lines.append(("whole model", "", "", f"{self.parameters:,}", f"{self.macs / 1e6:,.1f}"))
        return _text_table(lines)

    __repr__ = __str__


def stages(model: nn.Module, input_size: tuple[int, int], in_channels: int = 3) -> StageTable:
    """Shape, stride, parameters and MACs of the model's parts, in the order in which the data runs through them.

    The parts are the model's named children; lists of modules are opened, so that ``encoder`` gives ``encoder.0``,
    ``encoder.1``, … A part that is used twice has two rows, its parameters standing in the first. A part that returns
    several tensors has one row for each and its costs stand in the last. ``input_size`` is (height, width).
    """
    rows, macs = _run_on_meta(model, input_size, in_channels)
    # One image more and less wide by 128 pixels: input pixels per further output cell is the stride, whatever the
    # padding does at the borders (at 572 pixels U-Net's deepest map has 28 cells, and 572 / 28 is not its stride of 16).
    larger, _ = _run_on_meta(model, (input_size[0] + 128, input_size[1] + 128), in_channels)
    seen, table = set(), []
    for (name, shape, module, cost), (_, larger_shape, _, _) in zip(rows, larger):
        growth = larger_shape[-1] - shape[-1] if len(shape) == 3 else 0
        parameters = count_parameters(module) if module is not None and module not in seen else 0
        seen.add(module)
        table.append(Stage(name, shape, round(128 / growth) if growth > 0 else None, parameters, cost))
    return StageTable(table, count_parameters(model), macs)


def _run_on_meta(model: nn.Module, input_size: tuple[int, int], in_channels: int):
    """Run one image without numbers. Returns rows (name, output shape, module or None, MACs), and the model's MACs."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a net (torch.nn.Module), got {type(model).__name__}")
    if not isinstance(input_size, tuple | list | torch.Size) or len(input_size) != 2:
        raise ValueError(f"input_size is (height, width) in pixels, such as (360, 480); got {input_size!r}")
    for name, length in zip(("the height", "the width", "in_channels"), (*input_size, in_channels)):
        whole(name, length, 1)
    model = _meta_copy(model)
    rows = []
    counter = FlopCounterMode(display=False)
    handles = []
    for name, part in _parts(model):
        started = []

        def before(module, inputs, started=started):
            started.append(counter.get_total_flops())

        def after(module, inputs, output, name=name, started=started):
            cost = (counter.get_total_flops() - started.pop()) // 2
            outputs = _tensors(output)
            for i, (suffix, tensor) in enumerate(outputs):
                last = i == len(outputs) - 1
                rows.append((name + suffix, tuple(tensor.shape[1:]), module if last else None, cost if last else 0))

        handles += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    try:
        with counter, torch.no_grad():
            model(torch.empty(1, in_channels, *input_size, device="meta"))
    except RuntimeError as error:
        reads = next((part.in_channels for part in model.modules() if isinstance(part, nn.Conv2d)), in_channels)
        if reads == in_channels:
            raise
        raise ValueError(f"this net reads images of {reads} channels: say in_channels={reads}") from error
    finally:
        for handle in handles:
            handle.remove()
    return rows, counter.get_total_flops() // 2


def _meta_copy(model: nn.Module) -> nn.Module:
    """The model in eval mode with tensors that have shapes only; the original is left as it is."""
    # deepcopy takes what it finds in ``memo`` for already copied, so no weight is ever duplicated in memory.
    memo = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        empty = tensor.detach().to("meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
    return copy.deepcopy(model, memo).eval()


def _parts(model: nn.Module, prefix: str = ""):
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):  # these hold modules but are never called themselves
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _tensors(output) -> list[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        return [("", output)]
    items = output.items() if isinstance(output, Mapping) else enumerate(output)
    return [(f"[{key}]", value) for key, value in items if isinstance(value, Tensor)]


# ---------------------------------------------------------------- receptive fields


@dataclass(frozen=True)
class FieldRow:
    """One layer of ``receptive_field``.

    ``field``: side in input pixels of the square that one output cell sees; ``jump``: input pixels between neighbouring
    output cells; ``start``: centre of the first cell's field in input pixels, where 0.5 is the middle of the first pixel;
    ``size``: output cells along one side, None when no input size was given.
    """

    name: str
    field: int
    jump: int
    start: float
    size: int | None = None


class FieldTable(list):
    """A list of :class:`FieldRow` that prints as a table."""

    def __str__(self) -> str:
        lines = [("layer", "size", "receptive field", "jump", "first centre")]
        for row in self:
            size = "-" if row.size is None else str(row.size)
            lines.append((row.name, size, str(row.field), str(row.jump), f"{row.start:g}"))
        return _text_table(lines)

    __repr__ = __str__


def receptive_field(layers, input_size: int | None = None) -> FieldTable:
    """Receptive field, jump and position after each of a chain of layers (square kernels).

    ``layers`` is a sequence, a dict name -> layer, or an ``nn.Sequential``. A layer is a tuple (kernel, stride, dilation,
    padding), of which all but the kernel may be left out (1, 1, 0), or a convolution or pooling module. Activations,
    normalisation and dropout change nothing and get no row. With ``input_size`` (pixels along one side) the rows also
    give the output size.

    With the effective kernel e = dilation (kernel - 1) + 1, each layer makes field += (e - 1) jump,
    start += ((e - 1) / 2 - padding) jump, jump *= stride. Raises TypeError for a layer that has no such numbers
    (up-sampling, global pooling) and ValueError where the map becomes too small.
    """
    field, jump, start, size = 1, 1, 0.5, input_size
    rows = FieldTable()
    for name, layer in _named_layers(layers):
        numbers = _kernel_stride_dilation_padding(name, layer)
        if numbers is None:
            continue
        kernel, stride, dilation, padding, ceil_mode = numbers
        reach = dilation * (kernel - 1)
        field += reach * jump
        start += (reach / 2 - padding) * jump
        jump *= stride
        if size is not None:
            room = size + 2 * padding - reach - 1
            if room < 0:
                raise ValueError(f"{name}: a map of {size} is too small for a kernel that spans {reach + 1}")
            size = -(-room // stride) + 1 if ceil_mode else room // stride + 1
            # A rounded-up window must still begin inside the map or its left padding (PyTorch's rule).
            if ceil_mode and (size - 1) * stride >= room + reach + 1 - padding:
                size -= 1
        rows.append(FieldRow(name, field, jump, start, size))
    return rows


_UNCHANGED = (
    nn.Identity,
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Dropout,
    nn.Dropout2d,
    nn.BatchNorm2d,
    nn.GroupNorm,
    nn.LocalResponseNorm,
)


def _named_layers(layers, prefix: str = ""):
    """(name, layer) pairs; sequences within sequences are opened."""
    if isinstance(layers, nn.Sequential):
        pairs = layers.named_children()
    elif isinstance(layers, Mapping):
        pairs = layers.items()
    else:
        pairs = ((str(i), layer) for i, layer in enumerate(layers))
    for name, layer in pairs:
        if isinstance(layer, nn.Sequential):
            yield from _named_layers(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def _kernel_stride_dilation_padding(name: str, layer):
    """The four numbers of a layer and whether its size is rounded up, or None for a layer that changes nothing."""
    if isinstance(layer, _UNCHANGED):
        return None
    if isinstance(layer, tuple):
        if not 1 <= len(layer) <= 4 or not all(isinstance(n, int) for n in layer):
            raise TypeError(f"layer {name}: expected (kernel, stride, dilation, padding) in whole numbers, got {layer}")
        kernel, stride, dilation, padding = (*layer, *(1, 1, 0)[len(layer) - 1 :])
        if kernel < 1 or stride < 1 or dilation < 1 or padding < 0:
            raise ValueError(
                f"layer {name}: kernel, stride and dilation must be at least 1, padding at least 0: {layer}"
            )
        return kernel, stride, dilation, padding, False
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride = _square(name, layer.kernel_size), _square(name, layer.stride)
        dilation, padding = _square(name, getattr(layer, "dilation", 1)), layer.padding
        if isinstance(padding, str):  # "valid" or "same"
            padding = 0 if padding == "valid" else dilation * (kernel - 1) // 2
        return kernel, stride, dilation, _square(name, padding), getattr(layer, "ceil_mode", False)
    raise TypeError(
        f"layer {name} ({type(layer).__name__}) has no kernel, stride, dilation and padding to follow; give the chain of "
        "convolutions and poolings, or a tuple (kernel, stride, dilation, padding)"
    )


def _square(name: str, value) -> int:
    height, width = value if isinstance(value, tuple) else (value, value)
    if height != width:
        raise ValueError(f"layer {name}: only square kernels, strides and paddings can be followed, got {value}")
    return height


def _text_table(lines: list[tuple[str, ...]]) -> str:
    """Columns padded with spaces, the first flush left and the others flush right, a rule under the head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])
