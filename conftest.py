"""pytest for the course: the pinned environment, the figures of notebooks, and a count of executed cells.

``pytest --nbval`` runs every cell of every notebook and compares text and tables with the stored outputs. Added here:

- kernels start in the environment that ``tools/notebooks.py refresh`` made the outputs in, each notebook with an empty
  folder for checkpoints;
- after each cell its figures are compared with the stored ones (nbval passes even when a figure is missing);
- a run in which notebooks were collected but no cell was executed fails; ``--require-cells`` also fails a run
  that found no notebook at all.
"""

import contextlib
import os
from unittest import mock

import pytest
from figure_regression import compare_cell, images

from segbook.course.kernels import merged_environment, pinned_environment, scratch_folder

EXECUTED, COMPARED = "notebook-cell-executed", "figures-compared"


class Count:
    """What the notebooks of a session did, summed up by the process that prints the report."""

    def __init__(self):
        self.collected = self.executed = self.figures = 0


count = pytest.StashKey[Count]()
folders = pytest.StashKey[contextlib.ExitStack]()


def pytest_addoption(parser):
    parser.addoption("--require-cells", action="store_true", help="fail when no notebook cell was executed")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.stash[count] = Count()
    config.stash[folders] = contextlib.ExitStack()
    sanitize = getattr(config.option, "nbval_sanitize_with", None)
    if sanitize and not os.path.isabs(sanitize):
        # nbval opens the path relative to the current folder, pytest may be started anywhere.
        config.option.nbval_sanitize_with = str(config.rootpath / sanitize)
    # For the unit tests. Real data stays where SEGBOOK_DATA says, and a GPU stays visible to the tests that ask for one.
    pinned = pinned_environment(config.stash[folders].enter_context(scratch_folder()))
    for name in ("SEGBOOK_DATA", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED"):
        pinned.pop(name)
    config.stash[folders].enter_context(mock.patch.dict(os.environ, merged_environment(pinned), clear=True))


def pytest_unconfigure(config):
    if folders in config.stash:
        config.stash[folders].close()


def is_notebook_cell(item) -> bool:
    return type(item).__name__ == "IPyNbCell"


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    """Start a notebook's kernel, which nbval does in the set-up of its first cell, in the pinned environment."""
    if not is_notebook_cell(item) or item.parent.kernel is not None:
        yield
        return
    scratch = item.config.stash[folders].enter_context(scratch_folder())
    with mock.patch.dict(os.environ, merged_environment(pinned_environment(scratch)), clear=True):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Compare the figures of a notebook cell that ran with the stored ones."""
    outcome = yield
    if not is_notebook_cell(item) or item.test_outputs is None:
        return
    item.user_properties.append((EXECUTED, 1))
    if outcome.excinfo is not None:
        return
    tags = item.cell.metadata.get("tags", [])
    from_training, chosen = "figure-from-training" in tags, "images-from-training" in tags
    differences = compare_cell(item.cell.outputs, item.test_outputs, from_training, chosen)
    item.user_properties.append((COMPARED, len(images(item.test_outputs))))
    if differences:
        try:
            item.raise_cell_error("Figures differ", "\n".join(differences))
        except Exception as error:
            outcome.force_exception(error)


def pytest_collection_finish(session):
    session.config.stash[count].collected += sum(is_notebook_cell(item) for item in session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    # Every worker collects everything; the controlling process collects nothing itself.
    node.config.stash[count].collected = sum(".ipynb::" in nodeid for nodeid in ids)


class Counter:
    """Adds up the reports; under xdist they arrive in the controlling process, where this is registered too."""

    def __init__(self, config):
        self.config = config

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            for name, value in report.user_properties:
                if name == EXECUTED:
                    self.config.stash[count].executed += value
                elif name == COMPARED:
                    self.config.stash[count].figures += value


def pytest_sessionstart(session):
    session.config.pluginmanager.register(Counter(session.config), "segbook-counter")


def nothing_executed(config) -> bool:
    """Whether the session must fail because no notebook cell was executed. xdist workers leave that to the controller."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return False
    counted = config.stash[count]
    return counted.executed == 0 and (counted.collected > 0 or config.option.require_cells)


def pytest_sessionfinish(session, exitstatus):
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and nothing_executed(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    counted = config.stash[count]
    if nothing_executed(config):
        terminalreporter.write_line("FAILED: no notebook cell was executed", red=True)
    elif counted.executed:
        terminalreporter.write_line(
            f"notebooks: {counted.executed} of {counted.collected} cells executed, {counted.figures} figures compared"
        )
