"""A training step and an inference of whole nets against torchvision and segmentation-models-pytorch.

Ours run as ``sb.fit`` and ``sb.predict`` run them: channels last, fused AdamW. The peers run as their documentation shows:
the usual layout, ``torch.optim.AdamW(net.parameters())``. Where a peer has the same architecture, our net gets its weights
and the logits are compared first. Where it has not, a net of about the same work stands in; then the times per million
MACs are compared, which the row says. With a GPU: the default recipes, bfloat16 for ours and float32 for theirs.
"""

import time

import torch
import torchvision
from measure import compare
from torch import nn

import segbook as sb
from segbook.models.deeplab_v3 import from_torchvision

CLASSES = 21
SIZES = ((224, 224), (360, 480))
#: Pictures a training step; one more than needed would only take longer.
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


NETS = {"DeepLab v3 R50": deeplab_v3, "DeepLab v3+ R101": deeplab_v3plus, "U-Net": unet, "FCN": fcn}


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
    torch.manual_seed(0)
    ours, theirs, peer, equal = NETS[name]()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = time.perf_counter if device.type == "cuda" else time.process_time
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
            f"per MAC: ours {work / 1e9:.1f} GMAC a picture and {weights[0]:.0f} M weights, "
            f"theirs {other / 1e9:.1f} GMAC and {weights[1]:.0f} M"
        )
    gpu = device.type == "cuda"
    shape = f"{len(images)} × {size[0]}×{size[1]}, {'GPU' if gpu else 'CPU'}"
    rows = []
    if wanted(options, name, "inference", size):
        kinds = answer_of(ours, last), answer_of(theirs, images)
        rows.append(
            compare(
                f"{name}, inference, {shape}", peer, *kinds, runs=options.runs, goal=1.0, checked=checked, clock=clock
            )
        )
    if wanted(options, name, "training", size):
        ours.train(), theirs.train()
        learnt = [p for p in ours.parameters() if p.requires_grad]
        steps = (
            step_of(ours, torch.optim.AdamW(learnt, 1e-5, fused=True), last, target, bfloat16=gpu),
            step_of(theirs, torch.optim.AdamW(theirs.parameters(), 1e-5), images, target),
        )
        rows.append(
            compare(
                f"{name}, training step, {shape}", peer, *steps,
                runs=options.runs, goal=1.5 if gpu else 1.0, checked=checked, clock=clock,
            )
        )  # fmt: skip
    for row in rows:
        row.theirs *= share
    return rows


def wanted(options, name, kind, size) -> bool:
    return options.only in f"{name}, {kind}, {size[0]}×{size[1]}"


def run(options) -> list:
    """``--only "U-Net"`` measures one net, ``--only "U-Net, training, 224×224"`` one row."""
    rows = []
    for name in NETS:
        for size in SIZES:
            if any(wanted(options, name, kind, size) for kind in ("inference", "training")):
                try:
                    rows += rows_of(name, size, options)
                except ImportError as error:
                    print(f"left out: {name}: {error}")
    return rows
