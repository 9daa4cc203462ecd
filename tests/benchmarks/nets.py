"""A training step and an inference of whole nets against torchvision and segmentation-models-pytorch.

Ours run as ``sb.fit`` and ``sb.predict`` run them: channels last, fused AdamW. The peers run as their documentation shows:
the usual layout, ``torch.optim.AdamW(net.parameters())``. Where a peer has the same architecture, our net gets its weights
and the logits are compared first. Where it has not, a net of about the same work stands in; then the times per million
MACs are compared, which the row says. FCN-8s has both: torchvision's FCN, on another backbone, and FCN-8s put together
from torchvision's VGG-16. On the CPU there are two kinds of rows: all cores, where the wall clock runs, as a learner waits
for it; and one thread, where CPU time is counted. Below 16 images PyTorch takes another way through 1×1 convolutions
when it has one thread. With a GPU: the default recipes, bfloat16 for ours and float32 for theirs.
"""

import os
import time

import torch
import torchvision
from measure import compare, explain
from torch import nn

import segbook as sb
from segbook.models.deeplab_v3 import from_torchvision

CLASSES = 21
SIZES = ((224, 224), (360, 480))
#: Images a training step; one more than needed would only take longer.
BATCH = {"cpu": 2, "cuda": 8}


class Logits(nn.Module):
    """torchvision's segmentation nets return a dictionary."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def deeplab_v3():
    theirs = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=CLASSES
    )
    return from_torchvision(theirs.state_dict()), Logits(theirs), "torchvision", True


class UsualFCN8s(nn.Module):
    """FCN-8s as one puts it together from torchvision's VGG-16: our weights, dense bilinear up-sampling, frozen too."""

    def __init__(self, ours):
        super().__init__()
        features = torchvision.models.vgg16(weights=None).features
        pools = [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
        for i in pools:
            features[i] = nn.MaxPool2d(2, ceil_mode=True)
        self.features, self.taps = features, pools[2:]
        self.head = nn.Sequential(
            nn.Conv2d(512, 4096, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Conv2d(4096, 4096, 1), nn.ReLU(inplace=True), nn.Dropout(),
        )  # fmt: skip
        self.score5, self.score4, self.score3 = (nn.Conv2d(channels, CLASSES, 1) for channels in (4096, 512, 256))
        self.up2, self.up4 = (nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1, bias=False) for _ in range(2))
        self.up8 = nn.ConvTranspose2d(CLASSES, CLASSES, 16, 8, 4, bias=False)
        kinds = nn.Conv2d, nn.ConvTranspose2d
        for kind in kinds:
            layers = [[m for m in net.modules() if isinstance(m, kind)] for net in (ours, self)]
            for mine, other in zip(*layers, strict=True):
                other.load_state_dict(mine.state_dict())
                other.weight.requires_grad_(mine.weight.requires_grad)

    def forward(self, x):
        maps, y = [], x
        for i, layer in enumerate(self.features):
            y = layer(y)
            maps += [y] if i in self.taps else []
        pool3, pool4, pool5 = maps
        y = self.up2(self.score5(self.head(pool5)))
        y = self.up4(crop(y, pool4) + self.score4(pool4))
        return crop(self.up8(crop(y, pool3) + self.score3(pool3)), x)


def crop(maps, like):
    return maps[..., : like.shape[-2], : like.shape[-1]]


def fcn_layers():
    ours = sb.models.build("fcn8s", CLASSES, padding=1)
    for score in (ours.score_fr, ours.score_pool4, ours.score_pool3):
        nn.init.normal_(score.weight, std=0.01)  # they start as zero, and nothing would be compared
    return ours, UsualFCN8s(ours), "FCN-8s of torchvision's VGG-16", True


def fcn():
    theirs = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    return sb.models.build("fcn8s", CLASSES, padding=1), Logits(theirs), "torchvision fcn_resnet50", False


def deeplab_v3plus():
    import segmentation_models_pytorch as smp

    theirs = smp.DeepLabV3Plus("resnet101", encoder_weights=None, classes=CLASSES)
    return sb.models.build("deeplab_v3plus", CLASSES, backbone="resnet101"), theirs, "smp", False


def unet():
    import segmentation_models_pytorch as smp

    theirs = smp.Unet("vgg13", encoder_weights=None, classes=CLASSES)
    return sb.models.build("unet", CLASSES), theirs, "smp Unet(vgg13)", False


NETS = {
    "DeepLab v3 R50": deeplab_v3,
    "DeepLab v3+ R101": deeplab_v3plus,
    "U-Net": unet,
    "FCN-8s": fcn_layers,
    "FCN-8s (another net)": fcn,
}


def step_of(model, optimizer, images, target, bfloat16=False):
    loss_function = nn.CrossEntropyLoss()

    def step():
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            loss = loss_function(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if images.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def answer_of(model, images):
    def answer():
        with torch.inference_mode():
            model(images)
        if images.device.type == "cuda":
            torch.cuda.synchronize()

    return answer


def rows_of(name, size, options) -> list:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    if name == "DeepLab v3+ R101":
        size = tuple(-(-n // 16) * 16 for n in size)  # smp takes no other sizes
    turns = {"GPU": (None, time.perf_counter)}
    if not gpu:
        cores = os.cpu_count()
        turns = {f"{cores} threads, wall time": (cores, time.perf_counter)} if cores > 1 else {}
        turns["1 thread, CPU time"] = (1, time.process_time)
    works = [
        (f"{name}, {kind}, {BATCH[device.type]} × {size[0]}×{size[1]}, {turn}", kind, *turns[turn])
        for kind in ("inference", "training")
        for turn in turns
    ]
    works = [work for work in works if options.only in work[0]]
    if not works:
        return []
    torch.manual_seed(0)
    ours, theirs, peer, equal = NETS[name]()
    images = torch.randn(BATCH[device.type], 3, *size, device=device)
    target = torch.randint(0, CLASSES, (len(images), *size), device=device)
    ours, theirs = ours.to(device, memory_format=torch.channels_last).eval(), theirs.to(device).eval()
    last = images.contiguous(memory_format=torch.channels_last)
    share = 1.0
    if equal:
        with torch.inference_mode():
            difference = (ours(last) - theirs(images)).abs().max().item()
        assert difference < 1e-3, f"{name}: logits differ by {difference}"
        checked = f"same weights, logits within {difference:.0e}"
    else:
        work, other = (sb.anatomy.count_macs(net, size) for net in (ours, theirs))
        share = work / other
        weights = [sum(p.numel() for p in net.parameters()) / 1e6 for net in (ours, theirs)]
        checked = (
            f"per MAC: ours {work / 1e9:.1f} GMAC an image and {weights[0]:.0f} M weights, "
            f"theirs {other / 1e9:.1f} GMAC and {weights[1]:.0f} M"
        )
    rows, before = [], torch.get_num_threads()
    for work, kind, threads, clock in works:
        torch.set_num_threads(threads or before)
        if kind == "inference":
            ours.eval(), theirs.eval()
            functions = answer_of(ours, last), answer_of(theirs, images)
        else:
            ours.train(), theirs.train()
            learned = [[p for p in net.parameters() if p.requires_grad] for net in (ours, theirs)]
            functions = (
                step_of(ours, torch.optim.AdamW(learned[0], 1e-5, fused=True), last, target, bfloat16=gpu),
                step_of(theirs, torch.optim.AdamW(learned[1], 1e-5), images, target),
            )
        goal = 1.5 if gpu and kind == "training" else 1.0
        row = compare(work, peer, *functions, runs=options.runs, goal=goal, checked=checked, clock=clock)
        row.theirs *= share
        rows.append(explain(row, *functions))
    torch.set_num_threads(before)
    return rows


def run(options) -> list:
    """``--only "U-Net, training, 2 × 224×224"`` measures the rows whose names hold this."""
    rows = []
    for name in NETS:
        for size in SIZES:
            try:
                rows += rows_of(name, size, options)
            except ImportError as error:
                print(f"left out: {name}: {error}")
    return rows
