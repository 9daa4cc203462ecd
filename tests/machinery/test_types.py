"""A type checker agrees with the public contracts: what goes in, what comes out."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # processes of their own

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "tests" / "typing" / "contracts.py"


def mypy(path: Path, cache: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports", str(path)]
    return subprocess.run([*command, "--cache-dir", str(cache)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_the_public_contracts_hold_and_a_wrong_one_is_noticed(tmp_path):
    result = mypy(CONTRACTS, tmp_path / "cache")
    assert result.returncode == 0, result.stdout + result.stderr
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from segbook import models\n\nnumber: int = models.names()\n")
    result = mypy(wrong, tmp_path / "cache")
    assert result.returncode == 1 and "Incompatible types" in result.stdout
