"""The leaderboard: our records and the literature in one table, and what is refused."""

import json

import pytest

from segbook import cli
from segbook.course import leaderboard
from segbook.data import DRIVING_CLASSES


def record(**changes) -> dict:
    """What `segbook train` writes, as far as the leaderboard reads it."""
    return {
        "format": leaderboard.FORMAT,
        "model": "unet",
        "dataset": "camvid",
        "split": "test",
        "mean_iou": 0.612,
        "pixel_accuracy": 0.9,
        "iou": dict.fromkeys(DRIVING_CLASSES, 0.5) | {"pole": None},
        "size": [360, 480],
        "width": 1.0,
        "parameters": 31_038_283,
        "steps": 4000,
        "seconds": 400.0,
        "overrides": [],
    } | changes


def write(folder, name="camvid-unet.json", content=None, **changes):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(record(**changes)) if content is None else content)
    return path


def test_published_scores_are_sorted_shares_with_a_source():
    rows = leaderboard.published()
    assert len({row.system for row in rows}) == len(rows) > 25
    assert [row.mean_iou for row in rows] == sorted((row.mean_iou for row in rows), reverse=True)
    for row in rows:
        assert 0.4 < row.mean_iou < 0.9 and row.source and not row.ours
        assert row.pixel_accuracy is None or 0.8 < row.pixel_accuracy < 1
        if row.iou:
            assert tuple(row.iou) == DRIVING_CLASSES
            # the mean of the printed classes is the printed mean, up to rounding
            assert sum(row.iou.values()) / len(row.iou) == pytest.approx(row.mean_iou, abs=0.0015)
    assert leaderboard.published("street") == []


def test_scores_that_could_not_be_confirmed_stay_out():
    named = " ".join(row.system for row in leaderboard.published())
    for system in ("BiSeNet", "ICNet", "PSPNet", "DFANet", "STDC", "SwiftNet", "CGNet", "VPLR", "LinkNet"):
        assert system not in named
    by_name = {row.system: row for row in leaderboard.published()}
    assert by_name["SegNet (2015)"].pixel_accuracy is None and by_name["Dilation8"].pixel_accuracy is None


def test_ours_and_theirs_in_one_order(tmp_path):
    write(tmp_path)
    write(tmp_path, "camvid-fcn8s.json", model="fcn8s", mean_iou=0.5, overrides=["width 0.1 instead of 1"])
    write(tmp_path, "street-unet.json", dataset="street")
    write(tmp_path, "bench-machine.json", content="[]")
    ours = leaderboard.committed("camvid", tmp_path)
    assert [(row.system, row.mean_iou) for row in ours] == [("unet", 0.612), ("fcn8s", 0.5)]
    assert ours[0].record["seconds"] == 400 and ours[0].size == (360, 480) and ours[0].pretraining == "none"
    together = leaderboard.leaderboard("camvid", tmp_path)
    assert len(together) == 2 + len(leaderboard.published())
    assert [row.mean_iou for row in together] == sorted((row.mean_iou for row in together), reverse=True)
    assert [row.system for row in leaderboard.leaderboard("street", tmp_path)] == ["unet"]


def test_a_missing_folder_is_an_empty_leaderboard(tmp_path):
    assert leaderboard.committed("camvid", tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged, it is not JSON"),
        ("", "is damaged, it is not JSON"),
        ("[1, 2]", "is no result of `segbook train`: its format is 'list'"),
        ('{"format": "something else"}', "its format is 'something else', not 'segbook result 1'"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, content, message):
    path = write(tmp_path, content=content)
    with pytest.raises(leaderboard.BadResult, match="camvid-unet.json.*") as caught:
        leaderboard.committed("camvid", tmp_path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "delete the file" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"mean_iou": None}, {"mean_iou": 61.2}, {"mean_iou": True}, {"pixel_accuracy": "0.9"}, {"iou": {"sky": 2}},
        {"iou": [0.5]}, {"size": [360]}, {"parameters": 0}, {"split": ""}, {"seconds": -1}, {"overrides": "none"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(tmp_path, changes):
    write(tmp_path, **changes)
    (name,) = changes
    with pytest.raises(leaderboard.BadResult, match=f"camvid-unet.json is damaged: '{name}' must be"):
        leaderboard.committed("camvid", tmp_path)


def test_a_missing_value_is_refused_by_name(tmp_path):
    content = record()
    del content["width"]
    write(tmp_path, content=json.dumps(content))
    with pytest.raises(leaderboard.BadResult, match="'width' is missing"):
        leaderboard.committed("camvid", tmp_path)


def test_the_table_marks_ours_and_gives_the_rules(tmp_path):
    write(tmp_path, overrides=["width 0.1 instead of 1"])
    text = leaderboard.text("camvid", tmp_path)
    (ours,) = [line for line in text.splitlines() if line.startswith("→")]
    assert "unet" in ours and "0.612" in ours and "360×480" in ours and ours.endswith("]")
    assert "width 0.1 instead of 1" in text and "FC-DenseNet103" in text and "1. Resolution" in text
    assert max(map(len, text.splitlines())) < 230
    assert "No run of ours" not in text and "No run of ours" in leaderboard.text("camvid", tmp_path / "nowhere")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(leaderboard, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_the_command_prints_it(in_folder, capsys):
    write(in_folder)
    assert cli.main(["leaderboard"]) == 0
    assert "FC-DenseNet103" in capsys.readouterr().out
    assert cli.main(["leaderboard", "--dataset", "street"]) == 0
    assert "FC-DenseNet103" not in capsys.readouterr().out
    assert cli.main(["leaderboard", "--dataset", "kitti"]) == 2
    assert "there is no data set 'kitti'" in capsys.readouterr().err
    write(in_folder, content="{")
    assert cli.main(["leaderboard"]) == 1
    assert "camvid-unet.json is damaged" in capsys.readouterr().err
