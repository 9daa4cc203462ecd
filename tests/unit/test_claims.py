"""sb.claim: one calm line, an error only where the stored text is tested."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch

import segbook as sb
from segbook.course.claims import ClaimFailed
from segbook.course.kernels import pinned_environment


@pytest.fixture
def free(monkeypatch):
    """A learner's environment, after sb.setup with the stored parameters."""
    monkeypatch.delenv("SEGBOOK_STRICT", raising=False)
    monkeypatch.delenv("SEGBOOK_CLAIMS", raising=False)
    sb.setup("quick", seed=0)


def holds(*arguments) -> bool:
    """What a claim prints, read back."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert sb.claim(*arguments) is None  # the last line of a cell must not print a value
    line = printed.getvalue()
    assert line.startswith(("✓ holds in this run: ", "– does not hold in this run: "))
    return line.startswith("✓")


def test_a_claim_prints_one_line(free, capsys):
    capsys.readouterr()
    sb.claim("FCN-8s beats\n  FCN-16s", 2 > 1, "≈0.48 against ≈0.42")
    assert capsys.readouterr().out == "✓ holds in this run: FCN-8s beats FCN-16s (≈0.48 against ≈0.42)\n"
    sb.claim("FCN-8s beats FCN-16s", np.float64(1) > 2)
    line = capsys.readouterr().out
    assert line.startswith("– does not hold in this run: FCN-8s beats FCN-16s. That is a result too")
    assert line.count("\n") == 1 and "!" not in line


@pytest.mark.parametrize(
    "condition", [True, np.bool_(True), np.array(True), np.array([[True]]), torch.tensor(1) > 0, torch.tensor([True])]
)
def test_a_truth_value_may_be_of_any_library(condition, free):
    assert holds("so it is", condition)
    inverted = not condition if isinstance(condition, bool) else ~condition
    assert not holds("so it is", inverted)


@pytest.mark.parametrize(
    "condition, message",
    [
        (None, "'more data helps' must be true or false; it is a NoneType"),
        (0.3, "it is a float"),
        (1, "it is a int"),
        (lambda: True, "it is a function"),
        (torch.tensor(0.3), "it is a Tensor of torch.float32"),
        (np.array([0, 1]) > 0, r"it is a ndarray of 2 values: say .all\(\) or .any\(\)"),
        (torch.zeros(2, 0) > 0, "it is a Tensor of 0 values"),
    ],
)
def test_what_is_no_truth_value_is_refused(condition, message, free):
    with pytest.raises(TypeError, match=message):
        sb.claim("more data helps", condition)


def test_an_empty_text_is_refused(free):
    with pytest.raises(ValueError, match="a claim needs a text"):
        sb.claim(" ", True)


def test_a_failed_claim_is_an_error_only_where_it_is_strict_and_the_parameters_are_stored(free, monkeypatch, capsys):
    assert not holds("it holds", False)
    monkeypatch.setenv("SEGBOOK_STRICT", "1")
    with pytest.raises(ClaimFailed, match="relies on what does not hold: it holds .0 of 3"):
        sb.claim("it holds", False, "0 of 3")
    assert "does not hold in this run: it holds (0 of 3)" in capsys.readouterr().out  # the line comes first
    assert holds("it holds", True)
    for changed in (dict(seed=1), dict(dataset="camvid"), dict(profile="full")):
        monkeypatch.delenv("SEGBOOK_PROFILE", raising=False)
        sb.setup(**changed)
        assert not holds("it holds", False)
    for stored in ("street", "cells", "folder"):
        sb.setup(dataset=stored)
        with pytest.raises(ClaimFailed):
            sb.claim("it holds", False)


def test_stored_outputs_are_made_and_tested_strictly():
    assert pinned_environment("x")["SEGBOOK_STRICT"] == "1"


def test_claims_are_recorded_line_by_line(free, monkeypatch, tmp_path):
    path = tmp_path / "claims.jsonl"
    monkeypatch.setenv("SEGBOOK_CLAIMS", str(path))
    sb.claim("FCN-8s beats FCN-16s", True, "≈0.48 against ≈0.42", margin=torch.tensor(0.0625))
    sb.claim("FCN-8s beats U-Net", False, margin=float("nan"))
    first, second = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert first == {
        "text": "FCN-8s beats FCN-16s", "held": True, "numbers": "≈0.48 against ≈0.42", "margin": 0.0625
    }  # fmt: skip
    assert second == {"text": "FCN-8s beats U-Net", "held": False, "numbers": "", "margin": None}
