"""The training loop: ``fit``.

``fit`` is the whole training loop on one screen; what it calls stands below it, in the order of the calls. Nothing is
hidden in a framework, and no step depends on the one before except through the weights: batch, augmentation and dropout
of step 17 follow from the recipe's seed and the number 17 alone. That is why training that was interrupted can go on from
its checkpoint and end with exactly the weights of training that was not.
"""

import contextlib
import math
import time

import torch
from torch import Tensor, nn

from segbook import parallel
from segbook._bars import progress as progress_bar
from segbook.data.augment import normalize
from segbook.devices import default_device, explain_out_of_memory
from segbook.evaluation import evaluate, validate_logits
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
    that is damaged or belongs to another model, recipe or data set. It is saved every ``save_every`` steps (by default
    50, or twenty times a run if that is rarer). ``loss(logits, target)`` replaces the weighted cross-entropy. The model
    maps images [N, 3, H, W] to logits [N, K, h, w]; where h, w are smaller than H, W (unpadded convolutions), the target
    is cropped to its centre. ``compile`` trains through ``torch.compile``. Where ``torchrun`` started several processes,
    each of them takes its share of every batch. Raises FloatingPointError when the loss is no longer a finite number.
    """
    device = default_device(device)
    team = parallel.team()  # this process alone, unless torchrun started several
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout)
    images, masks = (tensor.to(device) for tensor in train.tensors())
    order = batch_order(len(images), recipe).to(device)
    optimizer = make_optimizer(model, recipe)
    keeper = Checkpoint(checkpoint, fingerprint(model, train, recipe, loss))
    loss = loss or cross_entropy(train.ignore_index, class_weights(train, recipe), team.mean)
    save_every = save_every or max(50, recipe.steps // 20)
    history = keeper.load(model, optimizer)
    network = team.spread(compile_net(model, device) if compile else model)
    started = time.perf_counter() - history.seconds
    bar = progress_bar(total=recipe.steps, initial=history.steps, description="Training", disable=not progress)

    with isolated_rng(device), bar:
        model.train()
        for step in range(history.steps, recipe.steps):
            generator = torch.manual_seed(recipe.seed * 1_000_003 + step)
            batch, target = images[order[step]], masks[order[step]]
            if recipe.augment:
                batch, target = recipe.augment(batch, target, train.ignore_index, generator)
            batch, target = team.share(batch, target)
            batch = normalize(batch).contiguous(memory_format=layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda"):
                logits = validate_logits(network(batch), batch, train.num_classes)
                value = loss(logits, center_crop(target, logits.shape[-2:]))
            history.loss.append(check_finite_loss(team.mean(value), step, train, order[step]))
            history.learning_rate.append(set_learning_rate(optimizer, learning_rate(recipe, step)))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if recipe.validate_every and history.steps % recipe.validate_every == 0:
                validate(model, val, history, device)
            history.seconds = time.perf_counter() - started
            if history.steps % save_every == 0:
                keeper.save(model, optimizer, history)
            bar.set_postfix_str(f"loss {history.loss[-1]:.3f}", refresh=False)
            bar.update()
        validate(model, val, history, device)
    if history.resumed_from < recipe.steps:
        history.seconds = time.perf_counter() - started
        keeper.save(model, optimizer, history)
    model.eval()
    return history


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


def check_finite_loss(value: Tensor, step: int, train, batch: Tensor) -> float:
    """The loss as a number. Raises FloatingPointError naming the step and the images if it is infinite or nan."""
    number = value.item()
    if not math.isfinite(number):
        names = train.names()
        files = ", ".join(names[i] for i in batch.tolist())
        raise FloatingPointError(
            f"the loss became {number} at step {step}, before this step changed the weights; the batch was: {files}. "
            "Lower the learning rate, or look at these images and masks"
        )
    return number


def validate(model: nn.Module, val, history: History, device: torch.device) -> None:
    """Score the validation set, if there is one and this step has no score yet; in a team the first process does it."""
    if val is None or not parallel.team().leads or (history.validation and history.validation[-1][0] == history.steps):
        return
    started = time.perf_counter()
    history.validation.append((history.steps, evaluate(model, val, device=device).mean_iou))
    history.validation_seconds += time.perf_counter() - started


@contextlib.contextmanager
def isolated_rng(device: torch.device):
    """Give training its own random numbers and the caller's back afterwards, so that loading instead of training
    leaves the rest of a notebook the same."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
