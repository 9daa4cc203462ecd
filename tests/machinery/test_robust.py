"""``tools/notebooks.py robust``: claims of tiny notebooks over seeds and thread counts."""

import json
import math

import pytest
import robust
import tiny

import notebooks as tool

pytestmark = pytest.mark.slow

CELLS = (
    ('PROFILE = "quick"\nSEED = 0', ["parameters"]),
    ("import os\nimport segbook as sb\nrun = sb.setup(PROFILE, seed=SEED)", ["setup"]),
    'threads = int(os.environ["OMP_NUM_THREADS"])',
    'sb.claim("more is better", True, margin=(0.1, 0.2, 0.3)[SEED])',
    'sb.claim("less is worse", threads == 1 and SEED != 1, f"at {sb.measured(SEED)}")',
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two notebooks: one with a claim that fails, one that crashes with seed 1 after its claim."""
    folder = tmp_path_factory.mktemp("robust")
    kinds = {"02_failing": CELLS, "03_crashing": (*CELLS[:4], "1 / (SEED - 1)")}
    paths = [tiny.save(tiny.notebook(*cells), folder / f"{name}.ipynb") for name, cells in kinds.items()]
    arguments = ["robust", *map(str, paths), "--seeds", "0", "1", "--threads", "1", "2", "--jobs", "2"]
    code = tool.main([*arguments, "--out", str(folder / "out")])
    told = {name: json.loads((folder / "out" / f"{name}.json").read_text(encoding="utf-8")) for name in kinds}
    return folder, code, told


def test_every_seed_runs_on_the_first_threads_and_the_first_seed_on_the_others():
    assert list(map(str, robust.settings([0, 1, 2], [1, 2]))) == [
        "seed 0, 1 thread", "seed 1, 1 thread", "seed 2, 1 thread", "seed 0, 2 threads"
    ]  # fmt: skip
    assert list(map(str, robust.settings([3, 3], [2]))) == ["seed 3, 2 threads"]


def test_claims_are_counted_over_the_runs(compared):
    _, code, told = compared
    assert code == 1
    better, worse = told["02_failing"]["claims"]
    assert (better["text"], better["held"], better["made"], better["failed"]) == ("more is better", 3, 3, [])
    assert better["margins"] == [0.1, 0.2, 0.1] and better["least"] == 0.1
    assert math.isclose(better["over_spread"], (0.4 / 3) / (0.01 / 3) ** 0.5)
    assert (worse["held"], worse["made"], worse["over_spread"]) == (1, 3, None)
    assert worse["failed"] == ["seed 1, 1 thread (at ≈1.00)", "seed 0, 2 threads (at ≈0.00)"]


def test_a_notebook_that_does_not_come_to_its_end_is_told(compared):
    _, _, told = compared
    ended = {(run["setting"]["seed"], run["setting"]["threads"]): run["status"] for run in told["03_crashing"]["runs"]}
    assert ended == {(0, 1): "passed", (1, 1): "failed", (0, 2): "passed"}
    assert told["03_crashing"]["claims"][0]["made"] == 3  # what came before the crash counts


def test_the_executed_copies_stay_and_the_notebook_is_untouched(compared):
    folder, _, _ = compared
    assert (folder / "out" / "seed1-threads1" / "02_failing.ipynb").is_file()
    assert 'outputs": []' in (folder / "02_failing.ipynb").read_text(encoding="utf-8")


def test_the_table_names_what_failed(compared):
    _, _, told = compared
    for name, expected in (
        ("02_failing", ["02_failing: 3 of 3 runs to the end", "1/3", "FAILED with seed 1, 1 thread (at ≈1.00)"]),
        (
            "03_crashing",
            ["2 of 3 runs to the end", "CRASHED with seed 1, 1 thread: ZeroDivisionError: division by zero"],
        ),
    ):
        runs = [robust.Run(**run | {"setting": robust.Setting(**run["setting"])}) for run in told[name]["runs"]]
        text = robust.table(name, runs, robust.compare(runs))
        assert all(part in text for part in expected), text


def test_all_claims_that_hold_end_with_zero(tmp_path, capsys):
    path = tiny.save(tiny.notebook(*CELLS[:4]), tmp_path / "01_good.ipynb")
    assert tool.main(["robust", str(path), "--seeds", "2", "--threads", "1", "--out", str(tmp_path / "out")]) == 0
    assert "1 of 1 notebooks hold in all 1 runs" in capsys.readouterr().out


def test_a_claim_that_one_run_does_not_make_is_told():
    made = {"text": "it holds", "held": True, "numbers": "", "margin": None}
    run, without = (
        robust.Run(robust.Setting(seed, 1), "passed", 1.0, "", claims)
        for seed, claims in ((0, [made, made]), (1, [made]))
    )
    first, second = robust.compare([run, without])
    assert (first.made, first.missing) == (2, []) and (second.made, second.missing) == (1, ["seed 1, 1 thread"])


@pytest.mark.parametrize(
    "arguments", [["robust", "99"], ["robust", "05", "--threads", "0"], ["robust", "nowhere.ipynb"]]
)
def test_bad_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        tool.main(arguments)
    error = capsys.readouterr().err
    assert any(part in error for part in ("no chapter '99'", "'0' is not a whole number", "is not a notebook file")), (
        error
    )
