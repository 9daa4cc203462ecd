"""Data-parallel training: two processes on the CPU (gloo) train like one process with the batch of both."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import team
import torch
from PIL import Image

from segbook import parallel

pytestmark = pytest.mark.slow  # processes of their own

HERE = Path(__file__).resolve().parent


def torchrun(processes: int, *arguments, folder: Path, code=0) -> str:
    """Run under torchrun with so many processes, as a learner would; returns what was printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SEGBOOK_DEVICE": "cpu"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process, with the batch of both."""
    return results(team.train, tmp_path_factory.mktemp("alone"))[0]


def results(train, folder) -> list[dict]:
    train(folder / "net.pt", folder / "result")
    return [json.loads(path.read_text()) for path in sorted(folder.glob("result.*"))]


def together(checkpoint, result) -> None:
    torchrun(2, HERE / "team.py", checkpoint, result, folder=HERE)


def test_two_processes_train_like_one_with_the_batch_of_both(alone, tmp_path):
    first, second = results(together, tmp_path)
    assert (alone["size"], first["size"]) == (1, 2)
    assert alone["loss"][0] - alone["loss"][-1] > 0.1, "there is something to be learnt"
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    assert first["loss"] == second["loss"] and first["weights"] == second["weights"]
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-3, abs=1e-4)
    # the first process alone scores and writes
    assert len(first["validation"]) == 2 and second["validation"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.pt", "result.0", "result.1"]


def test_what_one_process_began_two_can_finish(alone, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        team.train(tmp_path / "net.pt", tmp_path / "result", stop_at=7)
    both = results(together, tmp_path)
    assert [part["resumed"] for part in both] == [7, 7], "an interrupt keeps the steps done so far"
    assert both[0]["weights"] == both[1]["weights"] == pytest.approx(alone["weights"], rel=1e-3, abs=1e-4)


def test_alone_nothing_changes():
    lonely = parallel.team()
    assert (lonely.rank, lonely.size, lonely.leads) == (0, 1, True)
    model, batch = torch.nn.Conv2d(3, 3, 1), torch.rand(5, 3, 4, 4)
    plain, state = model(batch), torch.get_rng_state()
    with parallel.shared(model, lonely):
        assert torch.equal(model(batch), plain) and not model._forward_hooks
    assert torch.equal(torch.get_rng_state(), state)


def test_shares_are_equal_and_have_random_numbers_of_their_own(monkeypatch):
    """Three processes one after the other: the gathering is left out, so that each shows its own share."""
    monkeypatch.setattr(parallel._Gather, "apply", lambda share, team: share)
    net, batch, parts, drawn = torch.nn.Sequential(torch.nn.Identity()), torch.rand(6, 3, 4, 4), [], []
    net.register_parameter("weight", torch.nn.Parameter(torch.zeros(1)))
    for rank in range(3):
        torch.manual_seed(5)
        with parallel.shared(net, parallel.Team(rank, 3)):
            parts.append(net(batch))
            drawn.append(torch.rand(1).item())
            assert torch.equal(net.eval()(batch), batch), "evaluation is not shared"
            net.train()
    assert torch.equal(torch.cat(parts), batch) and len(set(drawn)) == 3
    with parallel.shared(net, parallel.Team(0, 2)), pytest.raises(ValueError, match="a batch of 5 cannot be divided"):
        net(batch[:5])
    assert torch.equal(net(batch), batch), "the hooks are gone"


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"RANK": "2", "LOCAL_RANK": "2", "WORLD_SIZE": "3", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="more processes than the 2 GPUs"), parallel.joined(torch.device("cuda")):
        pass
    with pytest.raises(ValueError, match="Apple GPU"), parallel.joined(torch.device("mps")):
        pass


def test_the_command_line_under_torchrun(tmp_path):
    """`torchrun -m segbook train` on six images in CamVid's layout: one record, one net, and the batch of both."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for folder, high in ((split, 255), (f"{split}annot", 12)):
            (tmp_path / "data" / "camvid" / folder).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, high, (32, 48), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / "camvid" / folder / f"{i}.png")
    asked = ["--model", "unet", "--dataset", "camvid", "--profile", "full", "--steps", "2", "--batch-size", "2"]
    small = ["--width", "0.06", "--size", "32x48", "--out", tmp_path / "out", "--results", tmp_path / "results"]
    with mock.patch.dict(os.environ, SEGBOOK_DATA=str(tmp_path / "data")):
        printed = torchrun(2, "-m", "segbook", "train", *asked, *small, folder=HERE.parents[1])
    assert printed.count("full profile") == printed.count("val mIoU") == 1
    record = json.loads((tmp_path / "results" / "camvid-unet.json").read_text())
    assert record["processes"] == 2 and record["recipe"]["batch_size"] == 4 and record["steps"] == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["checkpoint.pt", "model.pt", "scores.json"]
