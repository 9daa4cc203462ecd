"""How cost grows: time and memory against image size, classes and batch, for each net and for the CRF.

Written to results/cost-growth.json, from which ``segbook.course.ch13_side_by_side.cost`` draws the chart of chapter 13's
appendix.
Each point is measured in a process of its own, so that its peak memory is its own: CPU seconds of one training step (the
CRF: one image, lattices included), median of the runs, and the memory above what the process held before.
"""

import json
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from measure import alternate, machine

import segbook as sb
from segbook.crf import Bilateral, DenseCRF, Gaussian, smoothness_kernel

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "cost-growth.json"
#: The nets at a quarter of the paper's width (U-Net at an eighth), so that a large image fits a small machine.
NETS = {
    "fcn8s": {"width": 0.25, "padding": 1},
    "segnet": {"width": 0.25},
    "unet": {"width": 0.125},
    "deeplab_v1": {"width": 0.25, "batch_norm": True},
    "deeplab_v2": {"width": 0.25},
    "deeplab_v3": {"width": 0.25},
    "deeplab_v3plus": {"width": 0.25},
}
HEIGHTS, CLASSES, BATCHES = (96, 144, 192, 288), (2, 11, 21, 64, 150), (2, 4, 8, 16)
#: What stays the same while the other grows; an image of height h is 4/3 h wide.
HEIGHT, CLASS_COUNT, BATCH = 96, 11, 4


def points() -> list[dict]:
    found = []
    for name in (*NETS, "crf"):
        base = {"net": name, "height": HEIGHT, "classes": CLASS_COUNT, "batch": 1 if name == "crf" else BATCH}
        heights = (90, 180, 360, 720) if name == "crf" else HEIGHTS
        found += [base | {"axis": "height", "height": value} for value in heights]
        found += [base | {"axis": "classes", "classes": value} for value in CLASSES]
        found += [base | {"axis": "batch", "batch": value} for value in BATCHES if name != "crf"]
    return found


def peak() -> float:
    """Most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def held() -> float:
    """Memory that this process holds now, in MB (where the system does not tell, the most it has held)."""
    status = Path("/proc/self/status")
    return int(re.search(r"VmRSS:\s*(\d+)", status.read_text())[1]) / 1024 if status.exists() else peak()


def measure_point(point: dict, runs: int) -> dict:
    """One point in this process: seconds and MB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    height, width = point["height"], point["height"] * 4 // 3
    if point["net"] == "crf":
        image = sb.data.load("street", "train", size=(height, width), count=1).tensors()[0][0]
        logits = torch.randn(1, point["classes"], height // 8, width // 8)
        probabilities = torch.nn.functional.interpolate(2 * logits, (height, width), mode="bilinear")[0].softmax(0)
        crf = DenseCRF(Bilateral(4, 67, 3), Gaussian(3, 1))

        def work():
            smoothness_kernel.cache_clear()
            crf(image, probabilities)

    else:
        net = sb.models.build(point["net"], point["classes"], **NETS[point["net"]])
        net = net.train().to(memory_format=torch.channels_last)
        learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learned, 1e-4, fused=True)
        loss = sb.losses.cross_entropy(255)
        images = torch.randn(point["batch"], 3, height, width).contiguous(memory_format=torch.channels_last)
        target = torch.randint(0, point["classes"], (point["batch"], height, width))

        def work():
            value = loss(net(images), target)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    before = held()
    (seconds,) = alternate({"work": work}, runs, time.process_time).values()
    return point | {"seconds": statistics.median(seconds), "memory_mb": peak() - before}


def run(options) -> list:
    """Measure what is not in the file yet, or with ``--only unet,crf`` all points of these. Returns no rows."""
    chosen = options.only.split(",") if options.only else []
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {"points": []}
    known = {key(point): point for point in stored["points"]}
    for point in points():
        if point["net"] in chosen or (not chosen and key(point) not in known):
            command = [sys.executable, __file__, json.dumps(point), str(options.runs)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            known[key(point)] = json.loads(done.stdout.splitlines()[-1])
            print(known[key(point)], flush=True)
            ordered = [known[key(p)] for p in points() if key(p) in known]
            stored = {"machine": machine(), "torch": torch.__version__, "points": ordered}
            STORED.parent.mkdir(parents=True, exist_ok=True)
            STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    return []


def key(point: dict) -> tuple:
    return tuple(point[name] for name in ("net", "axis", "height", "classes", "batch"))


if __name__ == "__main__":
    print(json.dumps(measure_point(json.loads(sys.argv[1]), int(sys.argv[2]))))
