"""Training a network: the recipe, the loop, and what is kept of a run."""

from segbook.training.checkpoints import (
    Checkpoint,
    CheckpointError,
    History,
    diff_fingerprints,
    fingerprint,
    load_saved,
)
from segbook.training.loop import (
    check_finite,
    compile_net,
    fit,
    isolated_rng,
    make_optimizer,
    set_learning_rate,
    validate,
)
from segbook.training.recipe import (
    CLASS_WEIGHTS,
    OPTIMIZERS,
    SCHEDULES,
    Recipe,
    batch_order,
    class_weights,
    learning_rate,
)

__all__ = [
    "CLASS_WEIGHTS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Checkpoint",
    "CheckpointError",
    "History",
    "Recipe",
    "batch_order",
    "check_finite",
    "class_weights",
    "compile_net",
    "diff_fingerprints",
    "fingerprint",
    "fit",
    "isolated_rng",
    "learning_rate",
    "load_saved",
    "make_optimizer",
    "set_learning_rate",
    "validate",
]
