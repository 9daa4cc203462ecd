import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segbook import training
from segbook.data import Augment, BadData, SegmentationDataset
from segbook.devices import default_device
from segbook.evaluation import evaluate, predict
from segbook.losses import dice
from segbook.training import CheckpointError, History, Recipe, checkpoints, fit, learning_rate, loop
from segbook.training.contents import contents

VOID = 3


class Images:
    """Images whose three classes can be told from the colour, with some noise and some void."""

    def __init__(self, count, seed=0, sizes=((16, 24),)):
        generator = np.random.default_rng(seed)
        self.names = [f"image-{i}" for i in range(count)]
        self.pairs = []
        for i in range(count):
            mask = generator.integers(0, 3, (2, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
            height, width = sizes[i % len(sizes)]
            mask = np.resize(mask, (height, width))
            mask[0, :4] = VOID
            image = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [0, 0, 0]])[mask]
            self.pairs.append(((image + generator.integers(0, 40, image.shape)).astype(np.uint8), mask))

    def where(self, i):
        return self.names[i]

    def read(self, i):
        return self.pairs[i]


def dataset(count=12, split="train", **options):
    palette = np.zeros((4, 3), np.uint8)
    return SegmentationDataset("toy", split, Images(count, **options), ("red", "green", "blue"), palette, VOID)


def net(seed=0, channels=6, classes=3, **conv):
    """A small net with everything whose state a checkpoint must keep: batch norm's averages and dropout."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, **({"padding": 1} | conv)),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Dropout2d(0.3),
        nn.Conv2d(channels, classes, 1),
    )


def quick(**changes):
    return replace(Recipe(steps=12, batch_size=4), **changes)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------- the recipe


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0}, {"steps": 1.5}, {"steps": True}, {"batch_size": -1}, {"optimizer": "adam"}, {"learning_rate": 0},
        {"learning_rate": math.nan}, {"learning_rate": "fast"}, {"weight_decay": -1e-3}, {"momentum": 1.0},
        {"schedule": "cosine"}, {"class_weights": "none"}, {"augment": True}, {"mixed_precision": "yes"},
        {"channels_last": None}, {"validate_every": -5}, {"seed": -1},
    ],
    ids=str,
)  # fmt: skip
def test_recipe_names_the_field_it_refuses(changes):
    (name,) = changes
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Recipe(**changes)


def test_one_cycle_is_pytorchs():
    recipe = Recipe(steps=400, learning_rate=0.01, schedule="one_cycle")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.01)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, 400, pct_start=0.25, cycle_momentum=False)
    for step in range(400):
        # PyTorch places the peak one step earlier and stops one step earlier.
        assert learning_rate(recipe, step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-4)
        optimizer.step()
        theirs.step()
    assert learning_rate(recipe, 0) == pytest.approx(0.01 / 25)
    assert learning_rate(recipe, 100) == 0.01


def test_poly_is_deeplabs():
    recipe = Recipe(steps=30_000, learning_rate=0.007, schedule="poly")
    expected = {0: 0.007, 5_000: 0.0059407, 15_000: 0.0037512, 25_000: 0.0013956, 29_000: 0.00032786}
    assert {step: learning_rate(recipe, step) for step in expected} == pytest.approx(expected, rel=2e-5)


def test_step_and_constant():
    recipe = Recipe(steps=6000, learning_rate=1e-3, schedule="step")
    rates = [learning_rate(recipe, step) for step in (0, 1999, 2000, 3999, 4000, 5999)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    assert learning_rate(replace(recipe, schedule="constant"), 5999) == 1e-3


def test_batches_run_through_whole_permutations():
    order = training.batch_order(10, quick(steps=7, batch_size=4))
    assert order.shape == (7, 4)
    flat = order.flatten().tolist()
    assert sorted(flat[:10]) == sorted(flat[10:20]) == list(range(10))
    assert flat[:10] != flat[10:20]
    assert torch.equal(order, training.batch_order(10, quick(steps=7, batch_size=4)))
    assert not torch.equal(order, training.batch_order(10, quick(steps=7, batch_size=4, seed=1)))
    assert training.batch_order(2, quick(steps=3, batch_size=5)).shape == (3, 5)


# ---------------------------------------------------------------- fit


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd", "schedule": "poly", "learning_rate": 0.1}], ids=str)
def test_a_net_learns_what_can_be_learned(changes):
    model, val = net(), dataset(6, "val", seed=1)
    untrained = evaluate(model, val).mean_iou
    history = fit(model, dataset(), val, quick(steps=60, validate_every=20, **changes))
    assert [step for step, _ in history.validation] == [20, 40, 60]
    assert untrained < 0.7 < 0.95 < history.validation[-1][1]
    assert history.best[1] == max(score for _, score in history.validation)
    assert history.steps == len(history.loss) == len(history.learning_rate) == 60
    assert sum(history.loss[-10:]) < sum(history.loss[:10]) / 2
    assert history.resumed_from == 0 and history.seconds > 0
    assert not model.training
    assert evaluate(model, val).mean_iou == history.validation[-1][1]


def test_the_same_seed_gives_the_same_weights_whatever_ran_before():
    models = [net(), net(), net()]
    fit(models[0], dataset(), None, quick())
    torch.rand(77)
    fit(models[1], dataset(), dataset(3, "val"), quick(validate_every=5))
    assert same_weights(*models[:2]), "neither outside randomness nor validation may change training"
    fit(models[2], dataset(), None, quick(seed=1))
    assert not same_weights(models[0], models[2])


def test_each_step_draws_its_own_augmentation_and_dropout(monkeypatch):
    drawn = []

    def spy(self, images, masks, ignore_index, generator):
        drawn.append(torch.rand(4, generator=generator).tolist() + torch.rand(4).tolist())
        return images, masks

    monkeypatch.setattr(Augment, "__call__", spy)
    runs = []
    for seed in (0, 0, 1):
        drawn.clear()
        fit(net(), dataset(), None, quick(steps=3, seed=seed, augment=Augment(flip=0.5)), progress=False)
        runs.append(drawn[-3:])  # before the first step one batch is tried
    first, again, other = runs
    assert first == again
    assert len({tuple(step) for step in first + other}) == 6, "two steps drew the same"


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = net()
    torch.manual_seed(5)
    fit(model, dataset(), None, quick())
    assert torch.equal(torch.rand(3), expected)


def test_the_loop_is_the_plain_one():
    """Without augmentation, dropout and momentum the steps are those of a loop written by hand."""
    recipe = quick(steps=5, optimizer="sgd", momentum=0.0, weight_decay=0.0, schedule="constant", learning_rate=0.1,
                   augment=None, class_weights=None, channels_last=False)  # fmt: skip
    ours, theirs, data = net(), net(), dataset()
    ours[3].p = theirs[3].p = 0
    history = fit(ours, data, None, recipe)
    images, masks = data.tensors()
    losses = []
    theirs.train()
    for index in training.batch_order(len(images), recipe):
        x = (images[index].float() / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
            [0.229, 0.224, 0.225]
        ).view(3, 1, 1)
        value = nn.functional.cross_entropy(theirs(x), masks[index].long(), ignore_index=VOID)
        losses.append(value.item())
        theirs.zero_grad()
        value.backward()
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter -= 0.1 * parameter.grad
    assert history.loss == pytest.approx(losses, rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_the_logits_of_a_declared_margin_meet_the_center_of_the_mask():
    # The first convolution cuts off five pixels on each side; the mask there must not matter.
    data, other = dataset(), dataset()
    images, masks = (tensor.clone() for tensor in other.tensors())
    frame = torch.ones(masks.shape[1:], dtype=torch.bool)
    frame[5:-5, 5:-5] = False
    masks[:, frame] = VOID
    other._tensors = images, masks
    nets = [net(), net()]
    for model, part in zip(nets, (data, other)):
        torch.manual_seed(1)
        model[0] = nn.Conv2d(3, 6, 11)
        model.margin = 5
        fit(model, part, None, quick(augment=None, class_weights=None))
    assert same_weights(*nets)
    assert predict(nets[0], images[:2]).shape == (2, 6, 14)
    assert torch.equal(evaluate(nets[0], data).confusion.counts, evaluate(nets[0], other).confusion.counts)


def test_another_loss_and_fixed_parameters():
    model = net()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    history = fit(model, dataset(), None, quick(steps=40), loss=dice(VOID))
    assert history.loss[-1] < history.loss[0] < 1
    assert torch.equal(model[0].weight, before)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match="4 output channels, but the data set has 3 classes"):
        fit(net(classes=4), dataset(), None, quick())
    with pytest.raises(ValueError, match="no parameter to train"):
        fit(net().requires_grad_(False), dataset(), None, quick())
    with pytest.raises(ValueError, match=r"logits \[18, 26\] are larger than the images \[16, 24\]"):
        fit(net(padding=2), dataset(), None, quick())

    class Dictionary(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = net()

        def forward(self, x):
            return {"out": self.body(x)}

    with pytest.raises(ValueError, match=r"must return logits \[N, K, H, W\], not dict"):
        fit(Dictionary(), dataset(), None, quick())
    with pytest.raises(ValueError, match="no image"):
        training.batch_order(0, quick())


def test_a_loss_that_is_not_finite_stops_with_step_and_files():
    calls = []

    def breaks(logits, target):
        calls.append(None)
        return logits.sum() * (math.nan if len(calls) == 3 else 0.0)

    model = net()
    with pytest.raises(FloatingPointError, match=r"became nan at step 2.*image-\d+, image-\d+") as caught:
        fit(model, dataset(), None, quick(batch_size=2), loss=breaks)
    named = training.batch_order(12, quick(batch_size=2))[2].tolist()
    assert all(f"image-{i}" in str(caught.value) for i in named)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("at", [0, 4, 11])
@pytest.mark.parametrize("rate", [0.01, 1e-4])
def test_a_gradient_that_is_not_finite_stops_at_its_own_step(at, rate):
    """A root of 0: the loss is fine, its gradient is not; the weights and averages stay those of the step before."""
    calls, states = [], []
    model = net()

    def loss(logits, target):
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        calls.append(1)
        p = logits.softmax(1)[:, 1]
        extra = torch.sqrt((p - p.detach()) ** 2).mean() if len(calls) == at + 1 else 0
        return nn.functional.cross_entropy(logits, target.long(), ignore_index=VOID) + extra

    with pytest.raises(
        FloatingPointError, match=rf"its gradient became nan \(first in 0.weight\) at step {at}, before"
    ) as caught:
        fit(model, dataset(), None, quick(learning_rate=rate, batch_size=2), loss=loss)
    named = training.batch_order(12, quick(batch_size=2))[at].tolist()
    assert all(f"image-{i}" in str(caught.value) for i in named)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, states[-1][name])
    assert int(model[1].num_batches_tracked) == at, "batch norm's averages are those of the steps that were made"


def test_weights_that_a_step_ruins_are_not_kept(tmp_path):
    def steep(logits, target):
        return 1e6 * nn.functional.cross_entropy(logits, target.long(), ignore_index=VOID)

    recipe = quick(steps=1, optimizer="sgd", learning_rate=1e38, schedule="constant")
    with pytest.raises(
        FloatingPointError, match=r"numbers in the weight 0.weight are nan or infinite: step 0 ruined them"
    ):
        fit(net(), dataset(), None, recipe, loss=steep, checkpoint=tmp_path / "net.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "message", ["MPS backend out of memory (MPS allocated: 9 GB)", "can't allocate memory: 12 bytes"]
)
def test_out_of_memory_says_what_to_lower(message):
    class Greedy(nn.Conv2d):
        def forward(self, x):
            raise RuntimeError(message)

    with pytest.raises(torch.OutOfMemoryError, match="lower recipe.batch_size, the size"):
        fit(Greedy(3, 3, 1), dataset(), None, quick())
    with pytest.raises(torch.OutOfMemoryError, match="lower batch_size, the size"):
        evaluate(Greedy(3, 3, 1), dataset())


def test_images_that_the_net_does_not_take_are_named():
    with pytest.raises(ValueError, match=r"cannot take an image of train, \[1, 3, 16, 24\].*to have 1 channels"):
        fit(nn.Conv2d(1, 3, 1), dataset(), None, quick())


# ---------------------------------------------------------------- checkpoints


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path):
    path = tmp_path / "new folder" / "net.pt"
    trained, loaded = net(), net()
    first = fit(trained, dataset(), dataset(4, "val"), quick(), checkpoint=path)

    written = path.stat().st_mtime_ns
    second = fit(loaded, dataset(), dataset(4, "val"), quick(), checkpoint=path)
    assert same_weights(trained, loaded)
    assert second.resumed_from == second.steps == 12
    assert (second.loss, second.validation, second.seconds) == (first.loss, first.validation, first.seconds)
    assert path.stat().st_mtime_ns == written
    assert not loaded.training
    assert [file.name for file in path.parent.iterdir()] == ["net.pt"]


def test_a_validation_set_given_later_is_still_scored(tmp_path):
    fit(net(), dataset(), None, quick(), checkpoint=tmp_path / "net.pt")
    history = fit(net(), dataset(), dataset(4, "val"), quick(), checkpoint=tmp_path / "net.pt")
    assert history.resumed_from == 12 and [step for step, _ in history.validation] == [12]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stop_at", [1, 4, 7, 11])
def test_an_interrupted_run_ends_with_the_weights_of_an_unbroken_one(tmp_path, monkeypatch, optimizer, stop_at):
    recipe = quick(optimizer=optimizer, schedule="poly", validate_every=4)
    unbroken, broken = net(), net()
    expected = fit(unbroken, dataset(), dataset(4, "val"), recipe)
    rate = loop.learning_rate

    def interrupt(recipe, step):
        if step == stop_at:
            raise Interrupted
        return rate(recipe, step)

    monkeypatch.setattr(loop, "learning_rate", interrupt)
    path = tmp_path / "net.pt"
    with pytest.raises(Interrupted):
        fit(broken, dataset(), dataset(4, "val"), recipe, checkpoint=path, save_every=3)
    monkeypatch.undo()
    again = net()
    history = fit(again, dataset(), dataset(4, "val"), recipe, checkpoint=path)
    assert history.resumed_from == stop_at // 3 * 3
    assert same_weights(again, unbroken)
    assert (history.loss, history.learning_rate) == (expected.loss, expected.learning_rate)
    assert history.validation == expected.validation


KILLED = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from test_training import dataset, net, quick
from segbook.training import fit
fit(net(), dataset(), None, quick(steps=100_000), checkpoint={path!r}, save_every=1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_a_whole_checkpoint_that_resumes_bit_for_bit(tmp_path):
    path = tmp_path / "net.pt"
    script = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    environment = os.environ | {"SEGBOOK_PROGRESS": "0", "SEGBOOK_DEVICE": "cpu"}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)  # a few more steps; it saves after every one, so the kill hits anywhere in a save
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    saved = torch.load(path, weights_only=True)
    steps = len(saved["history"]["loss"])
    assert steps >= 1

    # The run of 100,000 steps is too long to finish here: compare after eight more steps. What is broken off at a given
    # step must not depend on whether it was killed before, so both runs get the same end.
    def run(model, checkpoint):
        rate = loop.learning_rate

        def stop(recipe, step):
            if step == steps + 8:
                raise Interrupted
            return rate(recipe, step)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "learning_rate", stop)
            with pytest.raises(Interrupted):
                fit(model, dataset(), None, quick(steps=100_000), checkpoint=checkpoint, save_every=10**6)
        return model

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert same_weights(run(net(), path), run(net(), None))
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "net.pt"
    fit(net(), dataset(), None, quick(), checkpoint=path)
    return path


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped", "image"])
def test_a_damaged_checkpoint_is_refused_by_name(checkpoint, damage):
    content = checkpoint.read_bytes()
    if damage == "flipped":
        weights = torch.load(checkpoint, weights_only=True)["model"]["0.weight"].contiguous()
        stored = weights.permute(0, 2, 3, 1).contiguous().numpy().tobytes()  # channels last
        place = content.index(stored[:32])
        content = content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
    damaged = {"cut": content[: len(content) // 2], "empty": b"", "text": b"hello", "flipped": content,
               "image": b"\x89PNG\r\n\x1a\n" + content[:200]}[damage]  # fmt: skip
    checkpoint.write_bytes(damaged)
    model = net(seed=4)
    with pytest.raises(CheckpointError, match=r"net\.pt is damaged or is no checkpoint.*Delete it.*another"):
        fit(model, dataset(), None, quick(), checkpoint=checkpoint)
    assert same_weights(model, net(seed=4).to(memory_format=torch.channels_last))
    assert checkpoint.read_bytes() == damaged, "it is the reader who decides what to delete"


class Payload:
    def __reduce__(self):
        return (os.system, ("touch hacked",))


@pytest.mark.parametrize(
    "content",
    [{"weights": torch.zeros(3)}, [1, 2], {"format": Payload()}, torch.zeros(2)],
    ids=["state dict", "list", "code", "tensor"],
)
def test_a_foreign_file_is_refused_and_runs_no_code(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "net.pt")
    with pytest.raises(CheckpointError, match=r"net\.pt is (damaged or is )?no checkpoint"):
        fit(net(), dataset(), None, quick(), checkpoint="net.pt")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": quick(steps=13)}, "recipe.steps: 12 in the file, 13 now"),
        ({"recipe": quick(augment=Augment(flip=0.1))}, r"recipe.augment: .*'flip': 0.5.* now"),
        ({"model": net(channels=7)}, r"model.0.weight: shape \[6, 3, 3, 3\] in the file, shape \[7, 3, 3, 3\] now"),
        ({"model": net(padding=2, dilation=2)}, r"dilation=\(2, 2\)"),
        ({"train": dataset(11)}, "data: toy train, 12 images of 16x24 in the file, toy train, 11 images"),
        ({"train": dataset(seed=8)}, "data.class_counts"),
        ({"loss": dice(VOID)}, "loss: weighted cross-entropy in the file, dice"),
    ],
    ids=["steps", "augment", "width", "dilation", "count", "other images", "loss"],
)
def test_a_checkpoint_of_other_training_is_refused_saying_what_differs(checkpoint, change, says):
    given = {"model": net(), "train": dataset(), "recipe": quick(), "loss": None} | change
    with pytest.raises(CheckpointError, match=r"(?s)net\.pt belongs to other training.*" + says + ".*Delete it"):
        fit(given["model"], given["train"], None, given["recipe"], loss=given["loss"], checkpoint=checkpoint)


def weighted(weights):
    def loss(logits, target):
        return nn.functional.cross_entropy(logits, target.long(), weights, ignore_index=VOID)

    return loss


SCALE = 1.0


def scaled_loss(logits, target):
    return SCALE * nn.functional.cross_entropy(logits, target.long(), ignore_index=VOID)


class Focal:
    def __init__(self, gamma):
        self.gamma = gamma

    def __call__(self, logits, target):
        value = nn.functional.cross_entropy(logits, target.long(), ignore_index=VOID, reduction="none")
        return ((1 - (-value).exp()) ** self.gamma * value).mean()


def module_loss(**options):
    return nn.CrossEntropyLoss(ignore_index=VOID, **options)


def long(loss):
    return lambda logits, target: loss(logits, target.long())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: weighted(torch.ones(3)), lambda: weighted(torch.tensor([1.0, 1.0, 2.0]))),
        (lambda: Focal(2.0), lambda: Focal(3.0)),
        (lambda: partial(weighted_by, factor=1.0), lambda: partial(weighted_by, factor=2.0)),
        (lambda: long(module_loss()), lambda: long(module_loss(label_smoothing=0.1))),
        (lambda: long(module_loss(weight=torch.ones(3))), lambda: long(module_loss(weight=torch.zeros(3)))),
        (lambda: lambda x, t: x.mean(), lambda: lambda x, t: 2 * x.mean()),
        (lambda: Focal(2.0).__call__, lambda: Focal(3.0).__call__),
    ],
    ids=["closure", "object", "partial", "module", "weights of a module", "code", "method"],
)
def test_two_losses_of_one_name_are_told_apart(tmp_path, one, other):
    path = tmp_path / "net.pt"
    fit(net(), dataset(), None, quick(), loss=one(), checkpoint=path)
    assert fit(net(), dataset(), None, quick(), loss=one(), checkpoint=path).resumed_from == 12, "the same one loads"
    with pytest.raises(CheckpointError, match=r"(?s)belongs to other training:.*loss"):
        fit(net(), dataset(), None, quick(), loss=other(), checkpoint=path)


def weighted_by(logits, target, factor):
    return factor * nn.functional.cross_entropy(logits, target.long(), ignore_index=VOID)


def test_a_global_that_the_loss_reads_counts(tmp_path, monkeypatch):
    fit(net(), dataset(), None, quick(), loss=scaled_loss, checkpoint=tmp_path / "net.pt")
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    with pytest.raises(CheckpointError, match=r"loss.SCALE: 1.0 in the file, 2.0 now"):
        fit(net(), dataset(), None, quick(), loss=scaled_loss, checkpoint=tmp_path / "net.pt")


def test_a_loss_that_cannot_be_told_needs_a_name(tmp_path):
    numbers = (i for i in range(1000))

    def loss(logits, target):
        next(numbers)
        return logits.mean()

    with pytest.raises(ValueError, match="contents of a builtins.generator.*attribute `fingerprint`"):
        fit(net(), dataset(), None, quick(), loss=loss, checkpoint=tmp_path / "net.pt")
    fit(net(), dataset(), None, quick(), loss=loss)  # without a checkpoint nothing needs to be told
    loss.fingerprint = "the mean"
    fit(net(), dataset(), None, quick(), loss=loss, checkpoint=tmp_path / "net.pt")
    loss.fingerprint = "twice the mean"
    with pytest.raises(CheckpointError, match="loss: the mean in the file, twice the mean now"):
        fit(net(), dataset(), None, quick(), loss=loss, checkpoint=tmp_path / "net.pt")


def changed_pixel(part):
    data = dataset()
    tensors = [tensor.clone() for tensor in data.tensors()]
    if part == "images":
        tensors[0][5, 1, 3, 3] += 1
    else:  # two labels change places: every class keeps its number of pixels
        labels = tensors[1][2].flatten()
        a, b = (labels == 0).nonzero()[0], (labels == 1).nonzero()[0]
        labels[a], labels[b] = 1, 0
    data._tensors = tuple(tensors)
    return data


def frozen():
    model = net()
    model[0].weight.requires_grad_(False)
    return model


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


class Halved(nn.Sequential):
    def forward(self, x):
        return super().forward(x) / 2


Halved.__name__ = Halved.__qualname__ = "Doubled"  # a class that was edited and defined again


def with_rates(*rates):
    model = net()
    model.rates = rates
    return model


@pytest.mark.parametrize(
    ("first", "change", "says"),
    [
        ({}, {"model": net(seed=1)}, "initial weights: [0-9a-f]{8} in the file, [0-9a-f]{8} now"),
        ({}, {"train": changed_pixel("images")}, "data.images"),
        ({}, {"train": changed_pixel("labels")}, "data.labels"),
        ({}, {"model": frozen()}, r"model.0.weight: shape \[6, 3, 3, 3\] in the file, shape \[6, 3, 3, 3\], fixed now"),
        ({"model": Doubled(*net())}, {"model": Halved(*net())}, "model's code and settings"),
        ({"model": with_rates(6, 12)}, {"model": with_rates(6, 18)}, "model's code and settings"),
    ],
    ids=["first weights", "a pixel", "a label", "frozen", "code of forward", "an attribute"],
)
def test_a_checkpoint_knows_contents(tmp_path, first, change, says):
    given = {"model": net(), "train": dataset()} | first
    fit(given["model"], given["train"], None, quick(), checkpoint=tmp_path / "net.pt")
    given |= change
    with pytest.raises(CheckpointError, match=f"(?s)belongs to other training.*{says}"):
        fit(given["model"], given["train"], None, quick(), checkpoint=tmp_path / "net.pt")


def test_another_version_of_the_recipe_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr(checkpoints, "RECIPE_VERSION", checkpoints.RECIPE_VERSION + 1)
    with pytest.raises(CheckpointError, match="recipe version: 2 in the file, 3 now"):
        fit(net(), dataset(), None, quick(), checkpoint=checkpoint)


def test_the_recipe_version_is_that_of_these_weights():
    """Whoever changes what training computes sees this fail: then RECIPE_VERSION goes up, and these numbers with it."""
    model = net()
    history = fit(model, dataset(), None, quick(steps=3, channels_last=False))
    assert checkpoints.RECIPE_VERSION == 2
    assert history.loss == pytest.approx(LOSSES, rel=1e-3)


LOSSES = [1.06025, 0.99415, 1.09162]


def test_contents_do_not_depend_on_layout_or_comments():
    weight = torch.rand(4, 3, 2, 2)
    assert contents(weight) == contents(weight.to(memory_format=torch.channels_last))
    assert contents(weight) != contents(weight + 1e-6) and contents(weight) != contents(weight.double())
    assert contents(weight) != contents(weight.flatten()) and contents([1]) != contents([1.0]) != contents([True])

    def make(source):
        found = {}
        exec(source, found)
        return found["f"]

    plain = contents(make("def f(x):\n    return x + 1"))
    assert plain == contents(make("def f(x):\n    'What it does.'\n    # and why\n\n    return x + 1"))
    assert plain != contents(make("def f(x):\n    return x + 2"))
    loop = []
    loop.append(loop)
    assert contents(loop) == contents(loop)


def test_an_optimizer_that_does_not_fit_is_named(checkpoint):
    saved = torch.load(checkpoint, weights_only=True)
    state = next(iter(saved["optimizer"]["state"].values()))
    state["exp_avg"] = state["exp_avg"][:2]
    torch.save(saved, checkpoint)
    with pytest.raises(CheckpointError, match=r"net\.pt does not fit this net and its optimizer: exp_avg of \[2, 3"):
        fit(net(), dataset(), None, quick(), checkpoint=checkpoint)
    saved["optimizer"]["param_groups"].append(saved["optimizer"]["param_groups"][0])
    torch.save(saved, checkpoint)
    with pytest.raises(CheckpointError, match="does not fit this net and its optimizer.*Delete it"):
        fit(net(), dataset(), None, quick(), checkpoint=checkpoint)


def test_a_checkpoint_of_ruined_weights_is_refused(checkpoint):
    saved = torch.load(checkpoint, weights_only=True)
    saved["model"]["4.bias"][0] = math.nan
    torch.save(saved, checkpoint)
    with pytest.raises(CheckpointError, match=r"weights that are not numbers \(4.bias\)"):
        fit(net(), dataset(), None, quick(), checkpoint=checkpoint)


@pytest.mark.parametrize("where", ["loss", "signal"])
def test_an_interrupt_keeps_the_steps_done_and_the_cell_may_run_again(tmp_path, where):
    unbroken, model, path, done = net(), net(), tmp_path / "net.pt", []
    loss = long(module_loss())
    expected = fit(unbroken, dataset(), None, quick(), loss=loss)

    def stops(logits, target):
        done.append(1)
        if len(done) == 6 and where == "signal":
            signal.raise_signal(signal.SIGINT)  # waits for the end of the step
        elif len(done) == 6:
            raise KeyboardInterrupt
        return loss(logits, target)

    stops.fingerprint = "cross-entropy"
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(model, dataset(), None, quick(), loss=stops, checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is handler and not model.training
    history = fit(model, dataset(), None, quick(), loss=stops, checkpoint=path)  # the same net, half trained
    assert history.resumed_from == (6 if where == "signal" else 5)
    assert same_weights(model, unbroken) and history.loss == expected.loss
    again = fit(model, dataset(), None, quick(), loss=stops, checkpoint=path)
    assert again.resumed_from == 12 and same_weights(model, unbroken)
    with pytest.raises(CheckpointError, match="initial weights"):
        fit(net(seed=1), dataset(), None, quick(), loss=stops, checkpoint=path)


# ---------------------------------------------------------------- told before the first step


class Unreadable(Images):
    def read(self, i):
        raise BadData("image-0.png: cannot be read")


def broken():
    data = dataset(4, "val")
    data.source = Unreadable(4)
    return data


def void_everywhere():
    data = dataset(4, "val")
    data._tensors = data.tensors()[0], torch.full_like(data.tensors()[1], VOID)
    return data


def of_other_classes(names):
    palette = np.zeros((len(names) + 1, 3))
    return SegmentationDataset("toy", "val", Images(4), names, palette, max(VOID, len(names)))


def void_is_a_class():
    data = dataset(4, "val")
    data.ignore_index = 1
    return data


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (void_everywhere, r"val \(toy val\) has no labelled pixel"),
        (lambda: of_other_classes(("red", "green")), r"val has other classes than train: 2 \(red, green\), not 3"),
        (lambda: of_other_classes(("red", "blue", "green")), r"other classes than train: 3 \(red, blue, green\)"),
        (broken, "image-0.png: cannot be read"),
        (void_is_a_class, "ignore_index of val is 1, which is one of its classes"),
        (lambda: dataset(4, "val", sizes=((16, 24), (12, 24))), "no map of 12 rows"),
        (lambda: torch.utils.data.Subset(dataset(), [0]), r"val must be a SegmentationDataset.*not Subset.*subset\("),
    ],
    ids=["void", "fewer classes", "other order", "damaged", "void is a class", "size", "Subset"],
)
def test_what_is_wrong_with_val_is_told_before_the_first_step(tmp_path, make, says):
    class Picky(nn.Conv2d):
        def forward(self, x):
            if x.shape[-2] == 12:
                raise ValueError("no map of 12 rows")
            return super().forward(x)

    steps = []

    def loss(logits, target):
        steps.append(1)
        return logits.mean()

    loss.fingerprint = "mean"
    with pytest.raises((ValueError, TypeError), match=says):
        fit(Picky(3, 3, 1), dataset(), make(), quick(), loss=loss, checkpoint=tmp_path / "net.pt")
    assert steps == [] and list(tmp_path.iterdir()) == []


def test_a_training_set_without_labels_is_refused():
    data = dataset()
    data._tensors = data.tensors()[0], torch.full_like(data.tensors()[1], VOID)
    with pytest.raises(ValueError, match=r"train \(toy train\) has no labelled pixel"):
        fit(net(), data, None, quick(class_weights=None))


def test_a_fault_in_the_scoring_does_not_cost_the_training(tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("scoring fails")

    model = net()
    monkeypatch.setattr(loop, "evaluate", fails)
    with pytest.raises(RuntimeError, match="scoring fails"):
        fit(model, dataset(), dataset(4, "val"), quick(), checkpoint=tmp_path / "net.pt")
    assert not model.training
    monkeypatch.undo()
    history = fit(net(), dataset(), dataset(4, "val"), quick(), checkpoint=tmp_path / "net.pt")
    assert history.resumed_from == 12 and len(history.validation) == 1


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    steps = []

    def loss(logits, target):
        steps.append(1)
        return logits.mean()

    loss.fingerprint = "mean"
    with pytest.raises(OSError, match=r"file is a file, and a folder is needed there"):
        fit(net(), dataset(), None, quick(), loss=loss, checkpoint=tmp_path / "file" / "net.pt")
    assert steps == []


def test_the_window_of_the_augmentation_is_what_the_net_must_take():
    class Wide(nn.Conv2d):
        def forward(self, x):
            if x.shape[-1] != 16:
                raise ValueError("16 columns only")
            return super().forward(x)

    fit(Wide(3, 3, 1), dataset(), None, quick(steps=2, augment=Augment(crop=(16, 16))))


def test_batch_norm_on_one_value_says_what_to_do():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Upsample((16, 24)))
    with pytest.raises(ValueError, match="batches of two or more, or larger images"):
        fit(model, dataset(), None, quick(batch_size=1, augment=None))


def test_a_failed_save_keeps_the_old_checkpoint_and_leaves_no_scraps(checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def full_disk(state, path):
        path.write(b"half a checkp")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    keeper = training.Checkpoint(checkpoint, {})
    with pytest.raises(OSError, match="no space left"):
        keeper.save(net(), torch.optim.SGD(net().parameters()), History())
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


# ---------------------------------------------------------------- evaluate, predict, device


class Color(nn.Module):
    """Red is class 0, green 1, blue 2: right on every image of the toy set."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x) * 1.0


def test_scores_of_a_known_answer():
    data = dataset(5)
    images, masks = (tensor.clone() for tensor in data.tensors())
    masks[3][masks[3] != VOID] = (masks[3][masks[3] != VOID] + 1) % 3  # image 3 has wrong labels
    masks[1] = VOID
    data._tensors = images, masks
    scores = evaluate(Color(), data, batch_size=2)
    wrong, right = (masks[3] != VOID).sum().item(), sum((masks[i] != VOID).sum().item() for i in (0, 2, 4))
    assert scores.pixel_accuracy == pytest.approx(right / (right + wrong))
    assert scores.per_image.tolist() == pytest.approx([1, math.nan, 1, 0, 1], nan_ok=True)
    assert scores.worst(1) == [3] and scores.worst() == [3, 0, 2, 4]
    assert scores.classes == ("red", "green", "blue") and scores.iou.shape == (3,)
    assert scores.mean_iou == scores.confusion.mean_iou() != pytest.approx(3 / 4)
    assert (
        repr(scores)
        == f"Evaluation(mean IoU {scores.mean_iou:.3f}, pixel accuracy {scores.pixel_accuracy:.3f}, 5 images)"
    )


def test_images_of_different_sizes_are_scored_one_by_one():
    data = dataset(4, sizes=((16, 24), (20, 30)))
    scores = evaluate(Color(), data)
    assert scores.pixel_accuracy == 1
    assert scores.confusion.counts.sum() == sum((data[i][1] != VOID).sum() for i in range(4))


def test_predict_gives_labels_or_probabilities_and_restores_modes():
    model = net()
    model.train()
    model[1].eval()
    averages = model[1].running_mean.clone()
    images, _ = dataset(5).tensors()
    labels = predict(model, images, batch_size=2)
    assert labels.shape == (5, 16, 24) and labels.dtype == torch.uint8
    probabilities = predict(model, images, probabilities=True)
    assert probabilities.shape == (5, 3, 16, 24) and probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5, 16, 24))
    assert torch.equal(probabilities.argmax(1), labels.long())
    assert torch.equal(predict(model, images), labels), "dropout must be off"
    assert model.training and model[3].training and not model[1].training
    assert torch.equal(model[1].running_mean, averages)
    assert not labels.requires_grad


def test_predict_refuses_other_input():
    images, _ = dataset(2).tensors()
    for wrong in (images.float(), images[0], images[:, :1], images[:0]):
        with pytest.raises(ValueError, match=r"predict needs images uint8 \[N, 3, H, W\], not"):
            predict(net(), wrong)


def test_device(monkeypatch):
    assert default_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("SEGBOOK_DEVICE", "cpu")
    assert default_device() == torch.device("cpu")
    for wrong in ("gpu", "xpu", "cuda:x"):
        monkeypatch.setenv("SEGBOOK_DEVICE", wrong)
        with pytest.raises(ValueError, match=f"unknown device '{wrong}'.*choose cpu, cuda"):
            default_device()
    monkeypatch.setenv("SEGBOOK_DEVICE", "cuda:99")
    with pytest.raises(ValueError, match="PyTorch sees"):
        default_device()
    monkeypatch.delenv("SEGBOOK_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert default_device() == torch.device("cpu")
    with pytest.raises(ValueError, match="no Apple GPU"):
        default_device("mps")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_trains_in_mixed_precision_and_goes_on_from_a_checkpoint(tmp_path):
    recipe, val = quick(steps=60, mixed_precision=True), dataset(6, "val", seed=1)
    model = net()
    history = fit(model, dataset(), val, recipe, checkpoint=tmp_path / "net.pt", device="cuda")
    assert history.validation[-1][1] > 0.95
    loaded = net()
    assert fit(loaded, dataset(), val, recipe, checkpoint=tmp_path / "net.pt", device="cuda").resumed_from == 60
    assert same_weights(model, loaded)


def test_the_loop_fits_on_one_screen():
    import inspect

    source = inspect.getsource(fit)
    body = source[source.index('"""', source.index('"""') + 3) :]
    assert len(body.splitlines()) <= 46
