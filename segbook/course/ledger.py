"""The ledger: what the papers say of their systems, and what ours computes now.

Each :class:`Fact` holds a number of a paper (or of its authors' released net, or of the implementation that is named),
its source, and a function that computes ours. A fact is *equal*, or it *departs* for a reason that is written down,
together with the value that ours then has; anything else is *wrong* and fails the tests. Nothing is computed before it is
asked for, and sizes and counts come from nets on PyTorch's ``meta`` device, which have shapes and no numbers.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from segbook import anatomy, losses, metrics, models
from segbook.layers import resize


@dataclass(frozen=True)
class Fact:
    """One line of the ledger.

    ``paper`` is the value in the paper, ``compute()`` gives ours. With ``digits`` a number is compared after rounding to as
    many decimals as the paper prints; ``tolerance`` (relative) allows a difference where two ways of counting are known to
    differ slightly. ``departs`` says why ours is another one on purpose, ``known`` which one it then is.
    ``unit`` is printed behind both values.
    """

    system: str
    what: str
    paper: object
    source: str
    compute: Callable[[], object]
    digits: int | None = None
    tolerance: float = 0.0
    unit: str = ""
    departs: str = ""
    known: object = None

    def __post_init__(self):
        if bool(self.departs) != (self.known is not None):
            raise ValueError(f"{self.system}, {self.what}: a departure needs both its reason and the value ours has")


@dataclass(frozen=True)
class Row:
    """A fact and what was computed for it."""

    fact: Fact
    ours: object

    @property
    def verdict(self) -> str:
        """ "equal", "departs", or "wrong": a difference without a reason, or a departure that is not the known one."""
        fact = self.fact
        same = matches(self.ours, fact.paper, fact.digits, fact.tolerance)
        if not fact.departs:
            return "equal" if same else "wrong"
        return "departs" if not same and matches(self.ours, fact.known, fact.digits, 0.0) else "wrong"


def matches(ours, paper, digits: int | None = None, tolerance: float = 0.0) -> bool:
    """Whether two values agree: sequences element by element, numbers rounded to ``digits`` or within ``tolerance``."""
    if isinstance(paper, tuple):
        return (
            isinstance(ours, tuple)
            and len(ours) == len(paper)
            and all(matches(a, b, digits, tolerance) for a, b in zip(ours, paper))
        )
    if isinstance(paper, bool | str) or isinstance(ours, bool | str | tuple):
        return type(ours) is type(paper) and ours == paper
    if digits is not None and not tolerance:
        return round(ours, digits) == round(paper, digits)
    return abs(ours - paper) <= tolerance * abs(paper)


def rows(systems: Iterable[str] | None = None) -> list[Row]:
    """Compute every fact, or those of some :func:`systems`. Raises ValueError for a system that is not in the ledger."""
    wanted = list(systems) if systems is not None else SYSTEMS
    unknown = [name for name in wanted if name not in SYSTEMS]
    if unknown:
        raise ValueError(f"the ledger has no system {unknown[0]!r}; it has: {', '.join(SYSTEMS)}")
    return [Row(fact, fact.compute()) for fact in FACTS if fact.system in wanted]


def shown(value, digits: int | None = None, unit: str = "") -> str:
    """A value as the table prints it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        text = ", ".join(shown(v, digits) for v in value)
    elif isinstance(value, int):
        text = f"{value:,}"
    elif isinstance(value, float):
        text = f"{value:,.{digits}f}" if digits is not None else f"{value:g}"
    else:
        text = str(value)
    return f"{text} {unit}" if unit else text


def cells(row: Row) -> list[str]:
    """The six texts of one line: system, fact, paper, ours, verdict (with the reason), source."""
    fact = row.fact
    verdict = f"departs: {fact.departs}" if row.verdict == "departs" else row.verdict
    if row.verdict == "equal" and fact.tolerance:
        verdict = f"equal to {100 * fact.tolerance:g} %"
    values = (shown(value, fact.digits, fact.unit) for value in (fact.paper, row.ours))
    return [fact.system, fact.what, *values, verdict, fact.source]


HEADER = ["system", "fact", "paper", "ours, computed", "verdict", "source"]


def markdown(computed: list[Row] | None = None) -> str:
    """The whole ledger as a Markdown table behind one line that counts it."""
    computed = rows() if computed is None else computed
    equal, departs = (sum(row.verdict == verdict for row in computed) for verdict in ("equal", "departs"))
    lines = [
        f"{len(computed)} facts: {equal} equal, {departs} depart for a reason.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
    ]
    return "\n".join(lines + ["| " + " | ".join(cells(row)) + " |" for row in computed])


# ------------------------------------------------------------------------------------------------------ how ours is found


@cache
def _net(name: str, classes: int, options: tuple) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, classes, **dict(options)).eval()


def net(name: str, classes: int = 21, **options) -> nn.Module:
    """The paper-width net without memory for its weights."""
    return _net(name, classes, tuple(options.items()))


def count(name: str, classes: int = 21, **options) -> int:
    return anatomy.count_parameters(net(name, classes, **options))


def millions(name: str, classes: int = 21, **options) -> float:
    return count(name, classes, **options) / 1e6


def giga_macs(size: int, **options) -> float:
    return anatomy.count_macs(net("deeplab_v3plus", **options), (size, size)) / 1e9


def sides(model: nn.Module, size, parts: dict[str, nn.Module], in_channels: int = 3) -> dict[str, tuple]:
    """Shape (channels, height, width) behind each of ``parts`` for one image of ``size`` (height, width)."""
    found, hooks = {}, []
    for name, part in parts.items():
        hooks.append(
            part.register_forward_hook(lambda m, i, out, name=name: found.update({name: tuple(out.shape[1:])}))
        )
    with torch.no_grad():
        found["output"] = tuple(model(torch.zeros(1, in_channels, *size, device="meta")).shape[1:])
    for hook in hooks:
        hook.remove()
    return found


def score_side(name: str, size: tuple[int, int], **options) -> tuple[int, int]:
    """Height and width of the coarse scores of a DeepLab."""
    with torch.no_grad():
        return tuple(net(name, **options).coarse_logits(torch.zeros(1, 3, *size, device="meta")).shape[-2:])


def gaze(name: str, side: int, maps: Callable, **options) -> list[torch.Tensor]:
    """Centre of what each cell of ``maps(net, image)`` sees, its column in pixels: a float64 map [h, w] for each of them.

    All weights are made equal and poolings means, so that a net is one weighted mean of pixels; the mean of the pixels' own
    columns is then the centre of the weights. Near the sides the image ends before the field does.
    """
    small = models.build(name, 1, width=1 / 64, **options).eval().double()
    for parent in list(small.modules()):
        for child, layer in list(parent.named_children()):
            if isinstance(layer, nn.MaxPool2d):
                mean = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
                setattr(parent, child, mean)
    for layer in small.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
    ones = torch.ones(1, 3, side, side, dtype=torch.float64)
    columns = torch.arange(side).double().expand_as(ones)
    with torch.no_grad():
        return [sums / weights for sums, weights in zip(maps(small, columns), maps(small, ones))]


def logit_shift(name: str, side: int, **options) -> float:
    """Centre of what a logit sees minus its own pixel, in the middle of a square image: the mean of one cell's pixels."""
    (seen,) = gaze(name, side, lambda net, x: [net(x)[0, 0]], **options)
    middle = slice(side // 2 - 8, side // 2 + 8)
    return round((seen - torch.arange(side))[side // 2, middle].mean().item(), 6) + 0.0  # no -0


def decoder_shift(side: int, **options) -> float:
    """What v3+'s enlarged encoder map sees at a cell minus what the low-level map sees there, in pixels."""

    def joined(net, x):
        low_level, deep = (part.mean(dim=1, keepdim=True) for part in net.encode(x))
        return [low_level[0, 0], resize(deep, low_level.shape[-2:], net.align_corners)[0, 0]]

    low_level, deep = gaze("deeplab_v3plus", side, joined, **options)
    return round((deep - low_level)[len(deep) // 2, len(deep) // 2].item(), 6) + 0.0


#: Small fields, so that they end within a small image; where they are centred does not depend on them.
NARROW = {"rates": (1, 1, 1), "image_pooling": False, "multi_grid": None}
PLACED = "the resize puts a cell in the middle of its block, as torchvision's; its field is centred on the first pixel"


def vgg_chain(model: nn.Module) -> list:
    """The convolutions and poolings of a VGG-16 backbone in order."""
    stages = zip(model.backbone.stages, model.backbone.pools)
    return [layer for stage, pool in stages for layer in (*stage, pool)]


def default(function: Callable, name: str):
    """The default value of an argument."""
    return inspect.signature(function).parameters[name].default


# ------------------------------------------------------------------------------------------------------------------- FCN


def fcn_offsets(name: str) -> tuple[int, ...]:
    """Where the cropped maps of FCN begin, from its layers alone; ValueError if the net crops elsewhere.

    Cell x of a map sits at pixel a x + b of the image. A transposed convolution of stride s and kernel k turns this into
    a' = a / s and b' = b - a' (k - 1) / 2; maps that are added must agree, and the last one must begin at pixel 0.
    """
    model = net(name)
    deconvolutions = [m for m in model.children() if isinstance(m, nn.ConvTranspose2d)]
    if name == "fcn_alexnet":
        chain, skips = [*model.backbone.features], []
    else:
        chain = vgg_chain(model)
        layers = [layer for layer in chain if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
        pooled = [r for r, layer in zip(anatomy.receptive_field(chain), layers) if isinstance(layer, nn.MaxPool2d)]
        skips = [(row.jump, row.start - 0.5) for row in pooled[2:4]]  # pool3 and pool4
    deep = anatomy.receptive_field([*chain, model.classifier[0]])[-1]
    a, b = deep.jump, deep.start - 0.5
    offsets = []
    for index, layer in enumerate(deconvolutions):
        a //= layer.stride[0]
        b -= a * (layer.kernel_size[0] - 1) / 2
        if index < len(deconvolutions) - 1:
            jump, start = skips[-1 - index]
            assert jump == a, "maps of different strides cannot be added"
            offsets.append(int((b - start) / a))
    offsets.append(int(-b))
    used = [models.fcn.CROP_POOL4, models.fcn.CROP_POOL3][: len(offsets) - 1] + [model.crop]
    if used != offsets:
        raise ValueError(f"{name} crops at {used}, its layers say {offsets}")
    return tuple(offsets)


def fcn_field(name: str) -> int:
    """Receptive field of one score."""
    model = net(name)
    chain = [*model.backbone.features] if name == "fcn_alexnet" else vgg_chain(model)
    return anatomy.receptive_field([*chain, model.classifier[0]])[-1].field


def fcn_sides() -> tuple[int, ...]:
    model = net("fcn8s")
    parts = {n: getattr(model, n) for n in ("score_fr", "upscore2", "upscore_pool4", "upscore")}
    found = sides(model, (500, 500), {"pool5": model.backbone.pools[-1], **parts})
    return tuple(found[name][-1] for name in ("pool5", *parts))


def fcn_facts() -> list[Fact]:
    paper, table = "arXiv 1411.4038", "arXiv 1411.4038, table 1"
    released = "released nets voc-fcn*, counted layer by layer"
    crops = "crop offsets in the released voc-fcn* nets"

    def bilinear() -> tuple:
        return tuple(models.fcn.BilinearConvTranspose2d(1, 2).weight[0, 0, 1].mul(4 / 3).tolist())

    def zero_scores() -> bool:
        model = models.build("fcn8s", 3, width=1 / 16)
        return not any(getattr(model, n).weight.any() for n in ("score_fr", "score_pool4", "score_pool3"))

    def upsampling_learns() -> bool:
        return net("fcn8s").upscore2.weight.requires_grad

    def trained_with_batch_norm() -> bool:
        from segbook.course import profiles

        return profiles.FULL.options_for("fcn8s").get("batch_norm", False)

    return [
        Fact("FCN", "parameters, VGG-16", 134, table, lambda: millions("fcn32s"), digits=0, unit="M"),
        Fact("FCN", "parameters, AlexNet", 57, table, lambda: millions("fcn_alexnet"), digits=0, unit="M"),
        Fact("FCN", "receptive field, VGG-16", 404, table, lambda: fcn_field("fcn32s"), unit="pixels"),
        Fact("FCN", "receptive field, AlexNet", 355, table, lambda: fcn_field("fcn_alexnet"), unit="pixels"),
        Fact("FCN", "parameters of 32s, 16s, 8s", (134_346_581, 134_357_354, 134_362_751), released,
             lambda: tuple(count(n) for n in ("fcn32s", "fcn16s", "fcn8s"))),
        Fact("FCN", "crop offset of 32s", (19,), crops, lambda: fcn_offsets("fcn32s")),
        Fact("FCN", "crop offsets of 16s: pool4, scores", (5, 27), crops, lambda: fcn_offsets("fcn16s")),
        Fact("FCN", "crop offsets of 8s: pool4, pool3, scores", (5, 9, 31), crops, lambda: fcn_offsets("fcn8s")),
        Fact("FCN", "crop offset, AlexNet", (18,), crops, lambda: fcn_offsets("fcn_alexnet")),
        Fact("FCN", "sides at 500: pool5, scores, ×2, ×2, ×8", (22, 16, 34, 70, 568), "released net voc-fcn8s",
             fcn_sides),
        Fact("FCN", "bilinear kernel of 4, in one direction", (0.25, 0.75, 0.75, 0.25), "released code, surgery.py",
             bilinear),
        Fact("FCN", "new score layers start at zero", True, f"{paper}, section 4", zero_scores),
        Fact("FCN", "scales of pool4, pool3 when trained at once", (0.01, 0.0001), "released net voc-fcn8s-atonce",
             lambda: models.fcn.AT_ONCE),
        Fact("FCN", "inner up-sampling is learned", True, f"{paper}, section 4", upsampling_learns,
             departs="frozen, as in the released nets", known=False),
        Fact("FCN", "trained with batch norm", False, f"{paper}, section 4", trained_with_batch_norm,
             departs="without ImageNet weights VGG-16 does not learn without it", known=True),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- SegNet


def segnet_sides() -> tuple:
    model = net("segnet", 11)
    down = {f"down {i}": stage for i, stage in enumerate(model.encoder)}
    found = sides(model, (360, 480), down)
    deepest = -(-found["down 4"][1] // 2)
    return tuple(found[name][1] for name in down) + (deepest,)


def segnet_up_sides() -> tuple:
    model = net("segnet", 11)
    return tuple(s[1] for s in sides(model, (360, 480), {str(i): d for i, d in enumerate(model.decoder)}).values())[:-1]


def index_saving(bits_each: int) -> float:
    """Bytes of a float32 map before pooling over bytes of the indices of its poolings."""
    pooled, indices = F.max_pool2d(torch.zeros(1, 64, 36, 48), 2, return_indices=True)
    full = 64 * 36 * 48 * 4
    return full / (indices.numel() * bits_each / 8)


def segnet_facts() -> list[Fact]:
    paper = "arXiv 1511.00561"
    released = "released nets, counted layer by layer"

    def encoder_field() -> int:
        stages = net("segnet_basic", 11).encoder
        return anatomy.receptive_field([layer for s in stages for layer in (s[0], nn.MaxPool2d(2))])[-1].field

    def convolutions() -> tuple[int, int]:
        model = net("segnet", 11)
        encoder, decoder = (
            sum(isinstance(m, nn.Conv2d) for m in part.modules()) for part in (model.encoder, model.decoder)
        )
        return encoder, decoder + 1  # the classifier is the decoder's last

    def divisor() -> float:
        """By what the weighted loss of two pixels, weights 1 and 3, is divided."""
        loss = losses.cross_entropy(class_weights=torch.tensor([1.0, 3.0]))
        return 4 * math.log(2) / loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])).item()

    return [
        Fact("SegNet", "parameters, as later papers print them", 29.5, "arXiv 1611.09326, table 3",
             lambda: millions("segnet", 11), digits=1, unit="M",
             departs="29,449,355 with every bias; that table rounds up", known=29.4),
        Fact("SegNet", "parameters", 29_449_355, "released net segnet, counted", lambda: count("segnet", 11)),
        Fact("SegNet", "convolutions of encoder, decoder", (13, 13), f"{paper}, section 3", convolutions),
        Fact("SegNet", "heights on the way down from 360", (360, 180, 90, 45, 23, 12), released, segnet_sides),
        Fact("SegNet", "heights on the way up", (23, 45, 90, 180, 360), released, segnet_up_sides),
        Fact("SegNet", "parameters of SegNet-Basic", 1.425, f"{paper}, table 1",
             lambda: millions("segnet_basic", 11), digits=3, unit="M",
             departs="the paper's count is about 10,000 above that of its own released net", known=1.417),
        Fact("SegNet", "receptive field of Basic's encoder", 106, paper, encoder_field, unit="pixels"),
        Fact("SegNet", "memory of a full map over its indices", 64.0, f"{paper}, table 1", lambda: index_saving(2),
             unit="times"),
        Fact("SegNet", "the same with indices as PyTorch keeps them", 64.0, f"{paper}, table 1",
             lambda: index_saving(8 * torch.int64.itemsize), unit="times",
             departs="each index has 64 bits, 2 would do", known=2.0),
        Fact("SegNet", "boundary F1: tolerance at 480×360", 4.5, f"{paper}, section 4 (0.75 % of the diagonal)",
             lambda: default(metrics.boundary_f1, "tolerance") * math.hypot(480, 360), digits=1, unit="pixels"),
        Fact("SegNet", "weighted loss of two pixels (1 and 3) divided by", 2.0,
             "released Caffe-SegNet, softmax_loss_layer",
             divisor, digits=4, departs="PyTorch divides by the sum of the weights: another scale", known=4.0),
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- U-Net


def unet_walk() -> tuple:
    """The sides before each pooling, at the bottom, behind each up-convolution, and of the output."""
    model = unet()
    down = {f"down {i}": b for i, b in enumerate(model.contracting)}
    up = {f"up {i}": b for i, b in enumerate(model.up_convolutions)}
    found = sides(model, (572, 572), {**down, **up}, in_channels=1)
    return tuple(found[name][-1] for name in [*down, *up, "output"])


def unet() -> nn.Module:
    return net("unet", 2, in_channels=1, padding="valid")


def unet_crops() -> tuple[int, ...]:
    """How far inside each whole map the part lies that ``forward`` hands across, found by comparing their numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, image = (
            models.build("unet", 2, width=1 / 16, in_channels=1, padding="valid").eval(),
            torch.randn(1, 1, 188, 188),
        )
    whole, joined = [], []
    for block in model.contracting[:-1]:
        block.register_forward_hook(lambda block, inputs, output: whole.insert(0, output))
    for block in model.expansive:
        block.register_forward_pre_hook(lambda block, inputs: joined.append(inputs[0]))
    with torch.no_grad():
        model(image)
    return tuple(map(crop, whole, joined))


def crop(whole: torch.Tensor, joined: torch.Tensor) -> int:
    """Cells that are cut from every side of ``whole`` to give the first channels of ``joined``. ValueError if it is off."""
    cut = (whole.shape[-1] - joined.shape[-1]) // 2
    if not torch.equal(joined[:, : whole.shape[1]], whole[..., cut:-cut, cut:-cut]):
        raise ValueError("U-Net does not hand the middle of its map across")
    return cut


def unet_facts() -> list[Fact]:
    paper = "arXiv 1505.04597"

    def layers() -> tuple[int, int, int]:
        kinds = [(type(m), m.kernel_size) for m in unet().modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        return len(kinds), kinds.count((nn.Conv2d, (3, 3))), kinds.count((nn.ConvTranspose2d, (2, 2)))

    def channels() -> tuple:
        return tuple(block[0].out_channels for block in unet().contracting)

    def rectified() -> bool:
        """Whether what arrives at the expansive path from below holds no negative number."""
        small, arriving = models.build("unet", 2, width=1 / 16, padding="valid").eval(), []
        small.expansive[0].register_forward_pre_hook(lambda m, inputs: arriving.extend(inputs))
        with torch.no_grad():
            small(torch.rand(1, 3, 188, 188, generator=torch.Generator().manual_seed(0)))
        return bool((arriving[0][:, arriving[0].shape[1] // 2 :] >= 0).all())

    def normalized() -> bool:
        return any(isinstance(m, nn.BatchNorm2d) for m in net("unet", 2).modules())

    def elastic() -> tuple:
        from segbook.data.elastic import displacement_field

        return default(displacement_field, "grid"), default(displacement_field, "sigma")

    return [
        Fact("U-Net", "sides of figure 1, 572 to 388", (568, 280, 136, 64, 28, 56, 104, 200, 392, 388),
             f"{paper}, figure 1",
             unet_walk),
        Fact("U-Net", "cropped on each side, deepest first", (4, 16, 40, 88), f"{paper}, figure 1", unet_crops),
        Fact("U-Net", "convolutions, of them 3×3, up-convolutions", (23, 18, 4), f"{paper}, section 2", layers),
        Fact("U-Net", "channels on the way down", (64, 128, 256, 512, 1024), f"{paper}, figure 1", channels),
        Fact("U-Net", "convolutions a block", 2, f"{paper}, section 2",
             lambda: sum(isinstance(m, nn.Conv2d) for m in unet().contracting[0])),
        Fact("U-Net", "parameters", 31_100_354, "released net phseg_v5, counted",
             lambda: count("unet", 2, in_channels=1, padding="valid"),
             departs="the released net keeps 128 maps in its last up-convolution, figure 1 has 64", known=31_030_658),
        Fact("U-Net", "ReLU after an up-convolution", True, "released net phseg_v5", rectified,
             departs="neither figure 1 nor section 2 has one", known=False),
        Fact("U-Net", "pixels lost on each side", 92, f"{paper}, figure 1 (572 to 388)", lambda: unet().margin),
        Fact("U-Net", "border weights: w0, sigma", (10.0, 5.0), f"{paper}, equation 2",
             lambda: tuple(default(losses.unet_border_weights, n) for n in ("w0", "sigma"))),
        Fact("U-Net", "elastic deformation: grid, sigma", (3, 10.0), f"{paper}, section 3.1", elastic),
        Fact("U-Net", "dropout at the end of the way down", 0.5, "released net phseg_v5",
             lambda: unet().contracting[-1][-1].p),
        Fact("U-Net", "batch norm in the net that the course trains on streets", False, f"{paper}, section 2",
             normalized,
             departs="the padded variant that most people use: output as large as the image", known=True),
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- DeepLab


def nominal_field(field_of_view: str) -> int:
    """8 r (k - 1) + 32: the kernel of fc6 on the stride-8 grid, and one cell of the strided net."""
    fc6 = net("deeplab_v1", field_of_view=field_of_view).classifier[0]
    return 8 * fc6.dilation[0] * (fc6.kernel_size[0] - 1) + 32


def theoretical_field(field_of_view: str) -> int:
    model = net("deeplab_v1", field_of_view=field_of_view)
    return anatomy.receptive_field([*vgg_chain(model), model.pool5a, model.classifier[0]])[-1].field


FIELDS = ("7x7", "4x4", "4x4-wide", "large")


def dilations(stage) -> tuple[int, ...]:
    return tuple(block.conv2.dilation[0] for block in stage)


def dense_is_strided() -> bool:
    """The features at output stride 8, every fourth cell of them, against those at 32, same weights."""
    from segbook.backbones import ResNet

    torch.manual_seed(0)
    strided, dense = ResNet(width=1 / 16).eval(), ResNet(width=1 / 16, output_stride=8).eval()
    dense.load_state_dict(strided.state_dict())
    image = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        return torch.allclose(dense(image)[-1][..., ::4, ::4], strided(image)[-1], rtol=1e-4, atol=1e-4)


def valid_weights(rate: int, side: int = 65) -> int:
    """The most weights of a 3×3 kernel that meet the map and not its padding, over all places."""
    ones = torch.ones(1, 1, side, side)
    return int(F.conv2d(ones, torch.ones(1, 1, 3, 3), padding=rate, dilation=rate).max())


def deeplab_v1_facts() -> list[Fact]:
    paper, table = "arXiv 1412.7062", "arXiv 1412.7062, table 2"
    return [
        Fact("DeepLab v1", "parameters: 7×7, 4×4, 4×4 rate 8, LargeFOV", (134.3, 65.1, 65.1, 20.5), table,
             lambda: tuple(millions("deeplab_v1", field_of_view=f) for f in FIELDS), digits=1, unit="M"),
        Fact("DeepLab v1", "rates of fc6", (4, 4, 8, 12), table,
             lambda: tuple(net("deeplab_v1", field_of_view=f).classifier[0].dilation[0] for f in FIELDS)),
        Fact("DeepLab v1", "field of view, as 8 r (k − 1) + 32", (224, 128, 224, 224), table,
             lambda: tuple(map(nominal_field, FIELDS)), unit="pixels"),
        Fact("DeepLab v1", "receptive field", (224, 128, 224, 224), table,
             lambda: tuple(map(theoretical_field, FIELDS)), unit="pixels",
             departs="the paper's column is nominal; this is what the released layers see", known=(435, 339, 435, 435)),
        Fact("DeepLab v1", "maps of fc6 and fc7, LargeFOV", (1024, 1024), paper,
             lambda: tuple(m.out_channels for m in net("deeplab_v1").classifier if isinstance(m, nn.Conv2d))),
        Fact("DeepLab v1", "scores of an image of 321", (41, 41), "released net vgg128_noup",
             lambda: score_side("deeplab_v1", (321, 321))),
        Fact("DeepLab v1", "scores of an image of 306", (39, 39), paper, lambda: score_side("deeplab_v1", (306, 306))),
        Fact("DeepLab v1", "the same in the released layers", (40, 40), "Caffe's pooling rounds up",
             lambda: score_side("deeplab_v1", (306, 306)),
             departs="rounded down, so that 8 n pixels have n cells; equal at 8 n + 1", known=(39, 39)),
        Fact("DeepLab v1", "what a logit sees lies off its pixel, at 640", 0.0,
             "released net: cell k is scored against pixel 8 k", lambda: logit_shift("deeplab_v1", 640),
             digits=1, unit="pixels", departs=PLACED, known=-3.5),
        Fact("DeepLab v1", "channels that multi-scale adds", 640, paper,
             lambda: net("deeplab_v1", multi_scale=True).fc8.in_channels - 1024),
        Fact("DeepLab v1", "dense features, every fourth, are the strided ones", True, f"{paper}, section 3.1",
             dense_is_strided),
    ]  # fmt: skip


def deeplab_v2_facts() -> list[Fact]:
    paper, port = "arXiv 1606.00915", "kazuto1011/deeplab-pytorch, counted"

    def poly() -> float:
        from segbook.training import Recipe, learning_rate

        return learning_rate(Recipe(steps=20_000, learning_rate=2.5e-4, schedule="poly"), 10_000)

    def stage_rates() -> tuple:
        backbone = net("deeplab_v2").backbone
        return dilations(backbone.layer3)[0], dilations(backbone.layer3)[1], *dilations(backbone.layer4)

    def stride_sits_in() -> str:
        block = net("deeplab_v2").backbone.layer2[0]
        return "1×1" if block.conv1.stride[0] == 2 else "3×3"

    def rates(which) -> tuple:
        return tuple(b[0].dilation[0] for b in net("deeplab_v2", rates=which).classifier.branches)

    return [
        Fact("DeepLab v2", "parameters, ResNet-101", 44_048_532, port, lambda: count("deeplab_v2")),
        Fact("DeepLab v2", "parameters, VGG-16 with four branches", 14_714_688 + 4 * (4_719_616 + 1_049_600 + 21_525),
             f"{paper}, section 3.2: VGG-16 and four times fc6, fc7, fc8",
             lambda: count("deeplab_v2", backbone="vgg16")),
        Fact("DeepLab v2", "rates of ASPP-L", (6, 12, 18, 24), f"{paper}, section 4.1",
             lambda: rates(models.deeplab_v2.ASPP_LARGE)),
        Fact("DeepLab v2", "rates of ASPP-S", (2, 4, 8, 12), f"{paper}, section 4.1",
             lambda: rates(models.deeplab_v2.ASPP_SMALL)),
        Fact("DeepLab v2", "scales of the multi-scale input", (1.0, 0.75, 0.5), f"{paper}, section 4.1",
             lambda: default(models.deeplab_v2.MultiScale.__init__, "scales")),
        Fact("DeepLab v2", "poly: learning rate 2.5e-4 at half of 20,000 steps", 2.5e-4 * 0.5**0.9,
             f"{paper}, section 4.1", poly,
             tolerance=1e-6),
        Fact("DeepLab v2", "rates of conv4's first two blocks, conv5's three", (2, 2, 4, 4, 4), port, stage_rates,
             departs="the first block keeps the rate before it, so that dense and strided net agree", known=(1, 2, 2, 4, 4)),
        Fact("DeepLab v2", "what a logit sees lies off its pixel, at 512", 0.0,
             "released net: cell k is scored against pixel 8 k",
             lambda: logit_shift("deeplab_v2", 512, backbone="resnet50", rates=(1, 1, 1, 1)),
             digits=1, unit="pixels", departs=PLACED, known=-3.5),
        Fact("DeepLab v2", "scores of 360×480", (46, 61), port, lambda: score_side("deeplab_v2", (360, 480)),
             departs="sizes are rounded down, so that 8 n pixels have n cells, exactly 8 apart", known=(45, 60)),
        Fact("DeepLab v2", "stride of a bottleneck sits in its", "1×1", port, stride_sits_in,
             departs="in the 3×3, as in torchvision, whose weights load", known="3×3"),
    ]  # fmt: skip


def deeplab_v3_facts() -> list[Fact]:
    paper = "arXiv 1706.05587"

    def aspp(name: str) -> tuple:
        layer = net("deeplab_v3").neck[0]
        found = {"branches": len(layer.convs), "joined": layer.project[0].in_channels}
        return found[name]

    def rates(output_stride: int) -> tuple:
        return tuple(b[0].dilation[0] for b in net("deeplab_v3", output_stride=output_stride).neck[0].convs[1:4])

    def torchvision_count() -> tuple:
        with torch.device("meta"):
            nets = [models.deeplab_v3.torchvision_form(21, name) for name in ("resnet50", "resnet101")]
        return tuple(map(anatomy.count_parameters, nets))

    def momentum() -> float:
        return next(m.momentum for m in net("deeplab_v3").modules() if isinstance(m, nn.BatchNorm2d))

    return [
        Fact("DeepLab v3", "parameters, ResNet-101", 58_040_661, "kazuto1011/deeplab-pytorch, counted",
             lambda: count("deeplab_v3")),
        Fact("DeepLab v3", "scores of 513: output stride 16, 8", (33, 65), f"{paper}, section 3",
             lambda: tuple(score_side("deeplab_v3", (513, 513), output_stride=s)[0] for s in (16, 8))),
        Fact("DeepLab v3", "rates of the pyramid: 16, 8", (6, 12, 18, 12, 24, 36), f"{paper}, section 3.3",
             lambda: (*rates(16), *rates(8))),
        Fact("DeepLab v3", "rates of block 4 with multi-grid: 16, 8", (2, 4, 8, 4, 8, 16), f"{paper}, section 3.2",
             lambda: tuple(r for s in (16, 8) for r in dilations(net("deeplab_v3", output_stride=s).backbone.layer4))),
        Fact("DeepLab v3", "branches of the pyramid, channels joined", (5, 1280), f"{paper}, figure 5",
             lambda: (aspp("branches"), aspp("joined"))),
        Fact("DeepLab v3", "rates of blocks 5 to 7 at 16, multi-grid (1, 2, 4)", (4, 8, 16, 8, 16, 32, 16, 32, 64),
             f"{paper}, figure 3b, section 3.2", lambda: dilations(net("deeplab_v3_cascade").neck)),
        Fact("DeepLab v3", "valid weights of a 3×3 on a map of 65: rate 1, rate 65", (9, 1), f"{paper}, figure 4",
             lambda: (valid_weights(1), valid_weights(65))),
        Fact("DeepLab v3", "parameters in torchvision: ResNet-50, -101", (42_004_074, 60_996_202),
             "torchvision 0.29, weights' metadata",
             torchvision_count, departs="no auxiliary head (2,365,205); all else loads, logits equal",
             known=(39_638_869, 58_630_997)),
        Fact("DeepLab v3", "output stride 8: rate of conv4's first block", 2, "kazuto1011/deeplab-pytorch",
             lambda: dilations(net("deeplab_v3", output_stride=8).backbone.layer3)[0],
             departs="it keeps the rate before it, as in torchvision, so that nets at 16 and 8 agree", known=1),
        Fact("DeepLab v3", "what a logit sees lies off its pixel, at 512", 0.0, "released code: aligned corners",
             lambda: logit_shift("deeplab_v3", 512, backbone="resnet50", **NARROW),
             digits=1, unit="pixels", departs=f"{PLACED}; align_corners=True repairs it", known=-7.5),
        Fact("DeepLab v3", "the same at 513 with align_corners=True, strides 16 and 8", (0.0, 0.0),
             "released code: aligned corners",
             lambda: tuple(logit_shift("deeplab_v3", 513, backbone="resnet50", align_corners=True, output_stride=s, **NARROW)
                           for s in (16, 8)),
             digits=3, unit="pixels"),
        Fact("DeepLab v3", "batch norm: weight of a new batch in the running mean", 0.0003,
             f"{paper}, section 4 (decay 0.9997)", momentum,
             departs="PyTorch's 0.1: a short training never forgets its first batches at 0.0003", known=0.1),
    ]  # fmt: skip


def deeplab_v3plus_facts() -> list[Fact]:
    paper, table3, table5 = "arXiv 1802.02611", "arXiv 1802.02611, table 3", "arXiv 1802.02611, table 5"
    standard, resnet = {"separable": False}, {"backbone": "resnet101", "separable": False}
    padded = "TensorFlow pads the atrous maps to whole blocks: {} billion more"

    def separable(which: str) -> int:
        return sum(which in dict(m.named_children()) for m in net("deeplab_v3plus").backbone.modules())

    def trunk() -> int:
        return anatomy.count_parameters(net("deeplab_v3plus").backbone)

    def decoder() -> tuple:
        part = net("deeplab_v3plus", separable=False).decoder
        reduce = part.reduce[0]
        return reduce.in_channels, reduce.out_channels, *(layer[0].out_channels for layer in part.refine)

    def branch_weights() -> tuple:
        return tuple(
            sum(
                p.numel()
                for name, p in net("deeplab_v3plus", separable=s).aspp.convs[1].named_parameters()
                if p.dim() == 4
            )
            for s in (False, True)
        )

    return [
        Fact("DeepLab v3+", "MACs at 513: output stride 16, separable", 54.17, table5, lambda: giga_macs(513),
             digits=2, tolerance=0.005, unit="G"),
        Fact("DeepLab v3+", "the same at output stride 8", 177.10, table5, lambda: giga_macs(513, output_stride=8),
             digits=2, tolerance=0.005, unit="G"),
        Fact("DeepLab v3+", "MACs, standard convolutions, 16", 89.76, table5, lambda: giga_macs(513, **standard),
             digits=2, unit="G", departs=padded.format("2.93"), known=86.68),
        Fact("DeepLab v3+", "MACs, standard convolutions, 8", 262.59, table5,
             lambda: giga_macs(513, output_stride=8, **standard),
             digits=2, unit="G", departs=padded.format("13.57"), known=248.78),
        Fact("DeepLab v3+", "MACs without decoder, standard, 16", 68.00, table5,
             lambda: giga_macs(513, decoder=None, **standard),
             digits=2, unit="G", departs=padded.format("2.93"), known=64.92),
        Fact("DeepLab v3+", "MACs, ResNet-101, 16", 101.28, table3, lambda: giga_macs(513, **resnet),
             digits=2, unit="G",
             departs="that ResNet has a stem of three 3×3 and strides in the last unit of a stage", known=92.82),
        Fact("DeepLab v3+", "encoder and score side at 513", (33, 129), f"{paper}, section 3.1",
             lambda: tuple(score_side("deeplab_v3plus", (513, 513), **o)[0] for o in ({"decoder": None}, {}))),
        Fact("DeepLab v3+", "decoder: low-level in, reduced, two 3×3", (256, 48, 256, 256),
             f"{paper}, tables 1 and 2", decoder),
        Fact("DeepLab v3+", "encoder's map lies off the low-level map, at 512", 0.0,
             "released code, model.py: aligned corners, 513 pixels",
             lambda: decoder_shift(512, rates=(1, 1, 1), image_pooling=False),
             digits=1, unit="pixels", departs=f"{PLACED}; a constant that training absorbs", known=-6.0),
        Fact("DeepLab v3+", "the same at 513 with align_corners=True", 0.0, "released code, model.py: aligned corners",
             lambda: decoder_shift(513, rates=(1, 1, 1), image_pooling=False, align_corners=True),
             digits=3, unit="pixels"),
        Fact("DeepLab v3+", "Xception-65: parameters of the trunk", 37_867_312,
             "released code, timm's xception65, counted", trunk),
        Fact("DeepLab v3+", "Xception-65: separable convolutions", 63, "released code, xception_65",
             lambda: separable("depthwise")),
        Fact("DeepLab v3+", "Xception-65: blocks of the middle flow", 16, f"{paper}, figure 4",
             lambda: len(net("deeplab_v3plus").backbone.middle)),
        Fact("DeepLab v3+", "Xception-65: ReLU after the depthwise step, times", 63, f"{paper}, figure 4",
             lambda: separable("depthwise_relu"), departs="in the last block only, as in the released code", known=3),
        Fact("DeepLab v3+", "parameters: 19, 21 classes", (41_054_899, 41_055_413),
             "released code, counted layer by layer",
             lambda: (count("deeplab_v3plus", 19), count("deeplab_v3plus", 21))),
        Fact("DeepLab v3+", "weights of an atrous branch: standard, separable", (9 * 2048 * 256, 9 * 2048 + 2048 * 256),
             f"{paper}, section 3.1", branch_weights),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------- CRF and metrics


def crf_example():
    """An image of 6×8 with an edge in the middle and probabilities of three labels, without random numbers."""
    y, x = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
    logits = [
        2.0 * (x < 4) + 0.5 * ((3 * x + 5 * y) % 7 == 0),
        2.0 * (x >= 4) - 1.5 * ((x + 2 * y) % 5 == 0),
        1.0 * ((x * y) % 4 == 1),
    ]
    image = torch.stack([40 + 10 * y, torch.where(x < 4, 60, 180), 200 - 5 * x]).to(torch.uint8)
    return image, torch.stack(logits).double().softmax(0)


def crf_facts() -> list[Fact]:
    from segbook import crf
    from segbook.gaussian_filters import AllPairs

    paper = "arXiv 1210.5644"

    def after_five() -> tuple:
        near = crf.DenseCRF(crf.Bilateral(0, 1, 1), crf.Gaussian(3, 1), iterations=5)
        return tuple(near(*crf_example())[:, 0, 0].tolist())

    def hears_itself() -> bool:
        one = torch.zeros(4, 1)
        one[0] = 1
        return bool(AllPairs(torch.arange(4.0)[:, None])(one)[0] > 0)

    def weakest_edge() -> float:
        """Potts: how much of the other labels' message counts against a label, with two pixels of one colour."""
        probabilities = torch.tensor([[[0.9, 0.5]], [[0.1, 0.5]]])
        model = crf.DenseCRF(
            crf.Bilateral(0, 1, 1), crf.Gaussian(1, 1e6), iterations=1, normalization="none", method="exact"
        )
        q = model(torch.zeros(3, 1, 2, dtype=torch.uint8), probabilities)
        return (q[0, 0, 1] / q[1, 0, 1]).log().item()

    return [
        Fact("CRF", "Q after five steps, Gaussian kernel, 6×8 example", (0.992077, 0.001435, 0.006488),
             "the authors' code (pydensecrf), run on it", after_five, digits=6),
        Fact("CRF", "iterations of mean field", 10, "arXiv 1412.7062", lambda: default(crf.DenseCRF, "iterations")),
        Fact("CRF", "one step, two pixels, Potts, each hears both: log-odds", 0.9 + 0.5 - 0.1 - 0.5,
             f"{paper}, algorithm 1, by hand", weakest_edge, digits=4),
        Fact("CRF", "a pixel hears itself", False, f"{paper}, algorithm 1 (j ≠ i)", hears_itself,
             departs="kept, as in the authors' code and in DeepLab's", known=True),
        Fact("CRF", "normalisation of the kernel", "after", "DeepLab's released code",
             lambda: default(crf.DenseCRF, "normalization"), departs="the authors' own code has it on both sides",
             known="symmetric"),
    ]  # fmt: skip


EXAMPLE = ((50, 3, 2), (4, 20, 1), (0, 5, 15))


def metric_facts() -> list[Fact]:
    paper = "arXiv 1411.4038, section 5"

    def matrix() -> metrics.ConfusionMatrix:
        confusion = metrics.ConfusionMatrix(3)
        confusion.counts += torch.tensor(EXAMPLE)
        return confusion

    t, p = [sum(r) for r in EXAMPLE], [sum(c) for c in zip(*EXAMPLE)]
    hit = [EXAMPLE[i][i] for i in range(3)]
    iou = [h / (a + b - h) for h, a, b in zip(hit, t, p)]

    def absent() -> bool:
        confusion = metrics.ConfusionMatrix(4)
        confusion.counts[:3, :3] += torch.tensor(EXAMPLE)
        return math.isclose(confusion.mean_iou(), matrix().mean_iou())

    def rim() -> int:
        """Of a class that fills the image: its rim begins at the edge and ends where it leaves the middle row."""
        everywhere = torch.zeros(360, 480, dtype=torch.long)
        pixels = int(metrics.boundary_overlap(everywhere, everywhere, 1)[1])
        return next(n for n in range(180) if pixels == 360 * 480 - (360 - 2 * n) * (480 - 2 * n))

    def doubled_outline_costs() -> bool:
        """A line of one pixel, and the prediction draws it twice, one pixel to the left and one to the right."""
        target, prediction = torch.zeros(2, 200, 200, dtype=torch.long)
        target[:, 100] = prediction[:, 99] = prediction[:, 101] = 1
        return metrics.boundary_f1(prediction, target, 2) < 1

    return [
        Fact("metrics", "pixel accuracy of a 3×3 example", sum(hit) / sum(t), paper,
             lambda: matrix().pixel_accuracy(), digits=6),
        Fact("metrics", "mean accuracy", sum(h / a for h, a in zip(hit, t)) / 3, paper,
             lambda: matrix().mean_accuracy(), digits=6),
        Fact("metrics", "mean IoU", sum(iou) / 3, paper, lambda: matrix().mean_iou(), digits=6),
        Fact("metrics", "frequency-weighted IoU", sum(a * i for a, i in zip(t, iou)) / sum(t), paper,
             lambda: matrix().frequency_weighted_iou(), digits=6),
        Fact("metrics", "a class that never occurs is left out of the mean", True, "released FCN code, score.py",
             absent),
        Fact("metrics", "boundary F1: an outline drawn twice costs precision", True,
             "arXiv 1511.00561, section 4 (one-to-one matching)", doubled_outline_costs,
             departs="outlines are grown by the tolerance instead, never lower: 0.178 for 0.145 on CamVid at 360×480",
             known=False),
        Fact("metrics", "boundary IoU: width of the rim at 360×480", 12,
             "released code of Cheng et al. (2021), boundary_utils.py", rim, unit="pixels"),
    ]  # fmt: skip


def training_facts() -> list[Fact]:
    def optimizer() -> str:
        from segbook.course import profiles

        return profiles.QUICK.recipe_for("*").optimizer

    def pretrained() -> bool:
        classes = (
            models.fcn.FCN,
            models.deeplab_v1.DeepLabV1,
            models.deeplab_v2.DeepLabV2,
            models.deeplab_v3.DeepLabV3,
        )
        return any(default(c.__init__, "backbone_weights") is not None for c in classes)

    return [
        Fact("training", "optimiser", "sgd", "all seven papers, momentum 0.9 or 0.99", optimizer,
             departs="AdamW learns faster in a few hundred steps without ImageNet weights", known="adamw"),
        Fact("training", "starts from ImageNet weights", True, "all but U-Net's", pretrained,
             departs="the course runs offline; backbone_weights= takes torchvision's", known=False),
    ]  # fmt: skip


FACTS: list[Fact] = [
    *fcn_facts(),
    *segnet_facts(),
    *unet_facts(),
    *deeplab_v1_facts(),
    *deeplab_v2_facts(),
    *deeplab_v3_facts(),
    *deeplab_v3plus_facts(),
    *crf_facts(),
    *metric_facts(),
    *training_facts(),
]

#: The systems in the order of the course.
SYSTEMS = list(dict.fromkeys(fact.system for fact in FACTS))


# ------------------------------------------------------------------------------------------------ tables of trained scores


@dataclass(frozen=True)
class Echo:
    """A table of trained scores that a chapter prints beside its own: the numbers cannot be computed here, only quoted."""

    chapter: int
    what: str
    source: str
    numbers: tuple[str, ...]


ECHOES = [
    Echo(6, "mean IoU of 32s, 16s, 8s", "arXiv 1411.4038, table 2", ("59.4", "62.4", "62.7")),
    Echo(6, "only the last layer trained", "arXiv 1411.4038, table 2", ("45.4",)),
    Echo(6, "8s at once and in stages", "released nets voc-fcn8s", ("65.4", "65.5")),
    Echo(7, "decoders: mean IoU", "arXiv 1511.00561, table 1", ("43.8", "45.5", "46.3", "47.7")),
    Echo(7, "decoders: boundary F1", "arXiv 1511.00561, table 1", ("23.08", "33.17", "36.67", "36.27")),
    Echo(7, "class balancing", "arXiv 1511.00561, table 1", ("84.0", "54.6", "82.7", "62.0", "35.78")),
    Echo(9, "LargeFOV without and with the CRF", "arXiv 1412.7062, table 1", ("62.25", "67.64")),
    Echo(10, "ASPP on VGG-16, before the CRF", "arXiv 1606.00915, table 3", ("65.76", "66.98", "68.96")),
    Echo(10, "ResNet-101, step by step", "arXiv 1606.00915, table 4", ("68.72", "71.27", "76.35", "77.69")),
    Echo(
        11,
        "multi-grid, image pooling, output stride 8",
        "arXiv 1706.05587, tables 5 and 6",
        ("76.58", "77.21", "78.51"),
    ),
    Echo(12, "low-level channels", "arXiv 1802.02611, table 1", ("77.61", "77.92", "78.16", "78.21", "77.94")),
    Echo(12, "without and with decoder", "arXiv 1802.02611, table 3", ("77.21", "78.85")),
]
