"""The training loop: ``fit``.

``fit`` is the whole training loop on one screen; what it calls stands below it, in the order of the calls. Nothing is
hidden in a framework, and no step depends on the one before except through the weights: batch, augmentation and dropout
of step 17 follow from the recipe's seed and the number 17 alone. That is why training that was interrupted can go on from
its checkpoint and end with exactly the weights of training that was not.
"""

import contextlib
import math
import signal
import threading
import time

import torch
from torch import Tensor, nn

from segbook._bars import progress as progress_bar
from segbook.data.augment import normalize
from segbook.data.dataset import check_dataset
from segbook.devices import default_device, explain_out_of_memory, is_out_of_memory
from segbook.evaluation import at_image_size, check_finite_weights, eval_mode, evaluate
from segbook.layers import center_crop
from segbook.losses import cross_entropy
from segbook.training.checkpoints import Checkpoint, History, fingerprint
from segbook.training.recipe import Recipe, batch_order, class_weights, learning_rate


@explain_out_of_memory("recipe.batch_size")
def fit(
    model, train, val, recipe, *, checkpoint=None, save_every=None, device=None, loss=None, compile=False, progress=True
) -> History:
    """Train ``model`` in place on the data set ``train`` and return the :class:`History`; the model ends in eval mode.

    ``val`` (or None) is scored at the end and every ``recipe.validate_every`` steps. ``checkpoint`` (a path) makes this
    load-or-train: a finished run is loaded, an interrupted one goes on, and :class:`CheckpointError` is raised for a file
    that is damaged or belongs to other training: another net, first weights, recipe, loss or pixel. It is saved every
    ``save_every`` steps (by default 50, or twenty times a run if that is rarer), when you interrupt, and at the end.
    ``loss(logits, target)`` replaces the weighted cross-entropy. The model maps images [N, 3, H, W] to logits
    [N, K, H, W]; one that declares ``model.margin`` or ``model.output_stride`` may give fewer
    (:func:`segbook.evaluation.at_image_size`). ``compile`` trains through ``torch.compile``.

    What is wrong with the data, the net or the checkpoint's folder is raised before the first step, and
    FloatingPointError when loss, gradient or weights are no longer finite numbers; the net then keeps its last finite
    weights.
    """
    check_data(train, val)
    device = default_device(device)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout)
    images, masks = (tensor.to(device) for tensor in train.tensors())
    order = batch_order(len(images), recipe).to(device)
    optimizer = make_optimizer(model, recipe)
    keeper = Checkpoint(checkpoint, fingerprint(model, train, recipe, loss) if checkpoint else {})
    history = begin(keeper, model, optimizer, train, val, recipe, device)
    network = compile_net(model, device) if compile else model
    loss = loss or cross_entropy(train.ignore_index, class_weights(train, recipe))
    save_every = save_every or max(50, recipe.steps // 20)
    half = torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda")
    started = time.perf_counter() - history.seconds
    bar = progress_bar(total=recipe.steps, initial=history.steps, description="Training", disable=not progress)

    with in_train_mode(model, device), keeper.saved_when_interrupted(model, optimizer, history), bar:
        for step in range(history.steps, recipe.steps):
            with whole_step(model):
                generator = torch.manual_seed(recipe.seed * 1_000_003 + step)
                batch, target = images[order[step]], masks[order[step]]
                if recipe.augment:
                    batch, target = recipe.augment(batch, target, train.ignore_index, generator)
                batch = normalize(batch).contiguous(memory_format=layout)
                with half:
                    logits = at_image_size(network(batch), batch, model, train.num_classes)
                    value = loss(logits, center_crop(target, logits.shape[-2:]))
                optimizer.zero_grad()
                value.backward()
                number = check_finite(value, model, step, train, order[step])
                rate = set_learning_rate(optimizer, learning_rate(recipe, step))
                optimizer.step()
                history.add(number, rate)
            last = history.steps == recipe.steps
            if not last and history.steps % (recipe.validate_every or recipe.steps) == 0:
                validate(model, val, history, device)
            history.seconds = time.perf_counter() - started
            if last or history.steps % save_every == 0:
                keeper.save(model, optimizer, history)
            bar.set_postfix_str(f"loss {number:.3f}", refresh=False)
            bar.update()
        if validate(model, val, history, device) and history.resumed_from < recipe.steps:
            keeper.save(model, optimizer, history)  # again: a fault in the scoring has not cost the training
    return history


def check_data(train, val) -> None:
    """Refuse what is no data set, bad files, sets without a label, and a validation set of other classes than ``train``."""
    given = {"train": train} | ({} if val is None else {"val": val})
    for name, data in given.items():
        check_dataset(data, name, ("tensors", "names", "classes", "num_classes", "ignore_index"))
        if 0 <= data.ignore_index < data.num_classes:
            raise ValueError(f"the ignore_index of {name} is {data.ignore_index}, which is one of its classes")
    if val is not None and tuple(val.classes) != tuple(train.classes):
        raise ValueError(
            f"val has other classes than train: {len(val.classes)} ({', '.join(map(str, val.classes))}), not "
            f"{len(train.classes)} ({', '.join(map(str, train.classes))})"
        )
    for name, data in given.items():
        with contextlib.suppress(ValueError):  # the sizes may differ; a bad file is named below
            data.tensors()
        if not data.class_counts().any():
            raise ValueError(f"{name} ({data.name} {data.split}) has no labelled pixel, void everywhere")


def begin(keeper: Checkpoint, model, optimizer, train, val, recipe: Recipe, device: torch.device) -> History:
    """Load what is saved; where steps are left to make, first try what they will need."""
    history = keeper.load(model, optimizer)
    if history.steps < recipe.steps:
        keeper.check_writable()
        rehearse(model, train, val, recipe, device)
    return history


def rehearse(model: nn.Module, train, val, recipe: Recipe, device: torch.device) -> None:
    """One image of each size that will come goes through the net, before a step is made that could be lost.

    Raises ValueError with the size that the net does not take, and FloatingPointError for weights that are no numbers.
    """
    check_finite_weights(model, "there is nothing to train on")
    first = tuple(tensor[:1].to(device) for tensor in train.tensors())
    if recipe.augment:  # may cut out a window of another size
        first = recipe.augment(*first, train.ignore_index, torch.Generator().manual_seed(recipe.seed))
    for name, coming in (("train", [first[0]]), ("val", [] if val is None else one_of_each_size(val))):
        for image in coming:
            x = normalize(image.to(device)).contiguous(memory_format=torch.channels_last)
            try:
                with torch.no_grad(), isolated_rng(device), eval_mode(model):
                    logits = model(x)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise ValueError(f"the model cannot take an image of {name}, {list(image.shape)}: {error}") from error
            at_image_size(logits, x, model, train.num_classes)


def one_of_each_size(data):
    """The first image uint8 [1, 3, H, W] of each size."""
    try:
        yield data.tensors()[0][:1]
    except ValueError:  # the sizes differ
        seen = set()
        for image, _ in (data[i] for i in range(len(data))):
            if image.shape not in seen:
                seen.add(image.shape)
                yield image[None].as_subclass(Tensor)


@contextlib.contextmanager
def whole_step(model: nn.Module):
    """A step happens whole or not at all.

    Ctrl-C and the notebook's stop button wait until it is done (a second one does not wait). An error in the middle leaves
    the weights of before, and puts back what the forward pass has changed: batch norm's running averages.
    """
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    handler = signal.getsignal(signal.SIGINT)
    in_charge = callable(handler) and threading.current_thread() is threading.main_thread()
    waiting = []

    def wait(*arguments):
        if waiting:
            handler(*arguments)
        waiting.append(arguments)

    if in_charge:
        signal.signal(signal.SIGINT, wait)
    try:
        yield
    except BaseException as error:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
            raise ValueError(
                "batch norm cannot train on a single value a channel, a batch of one image whose map has one cell: use "
                "batches of two or more, or larger images"
            ) from error
        raise
    finally:
        if in_charge:
            signal.signal(signal.SIGINT, handler)
    if waiting:
        handler(*waiting[0])


@contextlib.contextmanager
def in_train_mode(model: nn.Module, device: torch.device):
    """Train mode inside, with random numbers of its own; eval mode afterwards, whatever happens."""
    model.train()
    try:
        with isolated_rng(device):
            yield
    finally:
        model.eval()


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum, for the parameters that are not fixed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("the model has no parameter to train (all are fixed or there are none)")
    if recipe.optimizer == "adamw":
        # fused: one pass over each weight instead of one for each operation of the formula
        return torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(parameters, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay)


def compile_net(model: nn.Module, device: torch.device) -> nn.Module:
    """``torch.compile(model)``, after a try on something small: what is missing then shows within seconds.

    Raises ValueError with the reason where PyTorch cannot compile here.
    """
    try:
        torch.compile(lambda x: 2 * x + 1)(torch.ones(3, device=device))
    except Exception as error:  # what a missing compiler or an unsupported Python raises differs between releases
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"torch.compile does not work here: {reason} (it needs a C++ compiler for the CPU, Triton for CUDA); "
            "train without it, which gives the same net more slowly"
        ) from error
    return torch.compile(model)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> float:
    """Let the optimizer's next step use this rate; returns it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def check_finite(value: Tensor, model: nn.Module, step: int, train, batch: Tensor) -> float:
    """The loss as a number, after a look at it and at its gradient, whose length over all weights is one number.

    Raises FloatingPointError naming the step and the images if one of them is infinite or nan.
    """
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    number, length = value.item(), torch.nn.utils.get_total_norm(list(gradients.values())).item()
    if math.isfinite(number) and math.isfinite(length):
        return number
    if math.isfinite(number):
        bad = next((name for name, grad in gradients.items() if not grad.isfinite().all()), "all of them together")
        what = f"the loss is {number:.3g}, but its gradient became {length} (first in {bad})"
    else:
        what = f"the loss became {number}"
    names = train.names()
    files = ", ".join(names[i] for i in batch.tolist())
    raise FloatingPointError(
        f"{what} at step {step}, before this step changed the weights; the batch was: {files}. "
        "Lower the learning rate, or look at these images and masks and at the loss (a root or a logarithm of 0)"
    )


def validate(model: nn.Module, val, history: History, device: torch.device) -> bool:
    """Score the validation set, if there is one and this step has no score yet; returns whether it did."""
    if val is None or (history.validation and history.validation[-1][0] == history.steps):
        return False
    started = time.perf_counter()
    history.validation.append((history.steps, evaluate(model, val, device=device).mean_iou))
    took = time.perf_counter() - started
    history.seconds, history.validation_seconds = history.seconds + took, history.validation_seconds + took
    return True


@contextlib.contextmanager
def isolated_rng(device: torch.device):
    """Give training its own random numbers and the caller's back afterwards, so that loading instead of training
    leaves the rest of a notebook the same."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
