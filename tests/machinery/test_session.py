"""Profiles, sb.setup and the run it returns."""

import pytest
import torch

import segbook as sb
from segbook.course import chapters, course_map, profiles


def test_setup_prints_one_line_and_seeds(capsys, monkeypatch):
    monkeypatch.delenv("SEGBOOK_PROFILE", raising=False)
    sb.setup("quick", seed=3)
    first = torch.rand(1)
    line = capsys.readouterr().out
    assert line.startswith("segbook ") and line.count("\n") == 1 and "quick profile" in line and "seed 3" in line
    sb.setup("quick", seed=3)
    assert torch.equal(torch.rand(1), first)


def test_environment_wins_over_arguments(monkeypatch):
    monkeypatch.setenv("SEGBOOK_PROFILE", "full")
    monkeypatch.setenv("SEGBOOK_DATASET", "camvid")
    run = sb.setup("quick")
    assert run.profile is profiles.FULL and run.dataset == "camvid"


@pytest.mark.parametrize(
    "arguments, environment, message",
    [
        ({"profile": "fast"}, {"SEGBOOK_PROFILE": ""}, "unknown profile 'fast'; choose one of: quick, full"),
        ({"dataset": "kitti"}, {}, "there is no data set 'kitti'; choose one of: street"),
        ({}, {"SEGBOOK_THREADS": "many"}, "SEGBOOK_THREADS must be a positive integer, got 'many'"),
        ({}, {"SEGBOOK_DEVICE": "abacus"}, "abacus"),
    ],
)
def test_bad_input_is_refused(arguments, environment, message, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        sb.setup(**arguments)


def test_a_model_does_not_depend_on_what_ran_before():
    run = sb.setup("quick", seed=3)
    first = run.model("unet", 5).classifier.weight
    torch.rand(100)
    assert torch.equal(run.model("unet", 5).classifier.weight, first)
    assert not torch.equal(run.model("unet", 5, seed=4).classifier.weight, first)


def test_a_model_has_the_profile_s_width_and_options():
    run = sb.setup("quick")
    assert run.model("fcn8s", 5).padding == 1
    assert run.model("fcn8s", 5, padding=100).padding == 100
    assert run.model("unet", 5, width=1 / 16).classifier.in_channels == 4


def test_recipe_takes_changes_and_the_seed():
    run = sb.setup("quick", seed=3)
    recipe = run.recipe("unet", steps=7)
    assert (recipe.steps, recipe.seed, recipe.batch_size) == (7, 3, profiles.QUICK.recipe["unet"].batch_size)
    with pytest.raises(TypeError, match="stepz"):
        run.recipe("unet", stepz=7)


def test_a_changed_recipe_has_another_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGBOOK_RUNS", str(tmp_path))
    run = sb.setup("quick", seed=3)
    one = run.checkpoint("unet", run.recipe("unet"))
    assert one == run.checkpoint("unet", run.recipe("unet"))
    assert one != run.checkpoint("unet", run.recipe("unet", steps=7))
    assert one.is_relative_to(tmp_path) and "quick-street" in str(one)


def test_chapters_are_found_by_number_and_name():
    assert [chapter.number for chapter in chapters.CHAPTERS] == list(range(15))
    assert chapters.find("0") == chapters.find("00_start_here") == chapters.find(0) == chapters.CHAPTERS[0]
    with pytest.raises(ValueError, match="there is no chapter '99'; choose from: 0 .00_start_here"):
        chapters.find("99")


def test_the_map_links_what_is_written_and_only_that():
    text = course_map.markdown("notebooks/")
    for chapter in chapters.CHAPTERS:
        assert (f"(notebooks/{chapter.file}.ipynb)" in text) == chapter.path.exists()
        assert chapter.question in text and chapter.chinese in text
