"""What ``import segbook as sb`` offers: every name is there, and training needs neither matplotlib nor Jupyter."""

import subprocess
import sys

import segbook


def run_python(code: str) -> None:
    """Run code in a fresh interpreter, where nothing of the package is loaded yet."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_public_name_is_found():
    for name in segbook.__all__:
        assert getattr(segbook, name) is not None


def test_progress_stays_a_function_when_its_module_was_imported_first():
    run_python("import segbook.training, segbook as sb; assert list(sb.progress([1, 2], disable=True)) == [1, 2]")


def test_training_loads_no_figures():
    run_python("import sys, segbook.training; assert not {'matplotlib', 'ipywidgets', 'IPython'} & set(sys.modules)")
