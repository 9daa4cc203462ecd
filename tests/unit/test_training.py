import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segbook import training
from segbook.data import Augment, SegmentationDataset
from segbook.devices import default_device
from segbook.evaluation import evaluate, predict
from segbook.losses import dice
from segbook.training import CheckpointError, History, Recipe, fit, learning_rate, loop

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
    for seed in (0, 0, 1):
        fit(net(), dataset(), None, quick(steps=3, seed=seed, augment=Augment(flip=0.5)), progress=False)
    first, again, other = drawn[:3], drawn[3:6], drawn[6:]
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


def test_a_failed_save_keeps_the_old_checkpoint_and_leaves_no_scraps(checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def full_disk(state, path):
        Path(path).write_bytes(b"half a checkp")
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
        repr(scores) == f"Scores(mean IoU {scores.mean_iou:.3f}, pixel accuracy {scores.pixel_accuracy:.3f}, 5 images)"
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
