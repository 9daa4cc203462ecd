"""Which claims of the notebooks hold for other seeds and thread counts: ``python tools/notebooks.py robust``.

Every chapter is run several times in the environment of the tests, except that a claim that does not hold is no error:
with every seed on the first thread count, and with the first seed on the others. ``sb.claim`` writes down what it found.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from segbook.course import runner
from segbook.course.kernels import merged_environment, pinned_environment, scratch_folder, thread_variables
from segbook.data.files import write_text


@dataclass(frozen=True)
class Setting:
    """The seed and the number of threads of one run."""

    seed: int
    threads: int

    def __str__(self):
        return f"seed {self.seed}, {self.threads} thread{'s' * (self.threads != 1)}"


@dataclass
class Run:
    """One run of a chapter: whether it came to its end, and what its claims found, in order."""

    setting: Setting
    status: str
    seconds: float
    error: str
    claims: list[dict]


@dataclass
class Claim:
    """One claim over all runs. ``margins`` has one number for each run whose notebook gave a margin."""

    text: str
    held: int = 0
    made: int = 0
    margins: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # runs that came to their end without making it

    @property
    def least(self) -> float | None:
        return min(self.margins, default=None)

    @property
    def over_spread(self) -> float | None:
        """Mean margin over the standard deviation of the margins, as far as it can be computed."""
        spread = statistics.stdev(self.margins) if len(self.margins) > 1 else 0
        return statistics.mean(self.margins) / spread if spread else None


def settings(seeds: Sequence[int], threads: Sequence[int]) -> list[Setting]:
    """Every seed on the first thread count, and the first seed on the others."""
    seeds, threads = list(dict.fromkeys(seeds)), list(dict.fromkeys(threads))
    return [Setting(seed, threads[0]) for seed in seeds] + [Setting(seeds[0], number) for number in threads[1:]]


def run_once(notebook: Path, setting: Setting, out: Path) -> Run:
    """Run a notebook once in a process of its own; its executed copy goes to a folder of the setting in ``out``."""
    folder = out / f"seed{setting.seed}-threads{setting.threads}"
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{notebook.stem}.json"
    record.unlink(missing_ok=True)
    job = runner.Job(str(notebook), notebook.stem, str(folder), {"SEED": setting.seed})
    with scratch_folder() as scratch:
        noted = scratch / "claims.jsonl"
        changes = pinned_environment(scratch) | thread_variables(setting.threads)
        changes |= {"SEGBOOK_STRICT": None, "SEGBOOK_CLAIMS": str(noted)}
        done = subprocess.run(
            [sys.executable, "-m", "segbook.course.runner"], env=merged_environment(changes),
            input=json.dumps(asdict(job)), capture_output=True, text=True,
        )  # fmt: skip
        claims = [json.loads(line) for line in noted.read_text(encoding="utf-8").splitlines()] if noted.exists() else []
    if not record.exists():
        return Run(
            setting, "failed", 0.0, f"its process ended with code {done.returncode}\n{done.stderr[-2000:]}", claims
        )
    ended = runner.Record(**json.loads(record.read_text(encoding="utf-8")))
    return Run(setting, ended.status, ended.seconds, runner.ANSI.sub("", ended.error), claims)


def compare(runs: Sequence[Run]) -> list[Claim]:
    """The claims of all runs of one chapter, in the order of the notebook; equal texts count by their position."""
    found: dict[tuple[str, int], Claim] = {}
    seen_in = []
    for run in runs:
        times: dict[str, int] = {}
        for made in run.claims:
            text = made["text"]
            times[text] = times.get(text, 0) + 1
            claim = found.setdefault((text, times[text]), Claim(text))
            claim.made += 1
            claim.held += made["held"]
            if made["margin"] is not None:
                claim.margins.append(made["margin"])
            if not made["held"]:
                numbers = f" ({made['numbers']})" if made["numbers"] else ""
                claim.failed.append(f"{run.setting}{numbers}")
        seen_in.append({(text, n) for text, count in times.items() for n in range(1, count + 1)})
    for key, claim in found.items():
        claim.missing = [str(r.setting) for r, seen in zip(runs, seen_in) if r.status == "passed" and key not in seen]
    return list(found.values())


def table(name: str, runs: Sequence[Run], claims: Sequence[Claim]) -> str:
    """What came out for one chapter, as text."""
    crashed = [run for run in runs if run.status != "passed"]
    lines = [f"{name}: {len(runs) - len(crashed)} of {len(runs)} runs to the end"]
    for run in crashed:
        last = run.error.strip().splitlines()[-1] if run.error.strip() else "no error was reported"
        lines.append(f"  CRASHED with {run.setting}: {last}")
    if claims:
        lines.append(f"  {'held':>5}  {'least margin':>12}  {'mean/spread':>11}  claim")
    for claim in claims:
        least, ratio = (f"{v:.3g}" if v is not None else "–" for v in (claim.least, claim.over_spread))
        lines.append(f"  {claim.held:>3}/{claim.made}  {least:>12}  {ratio:>11}  {claim.text}")
        lines += [f"{'':>36}FAILED with {failed}" for failed in claim.failed]
        lines += [f"{'':>36}was not made with {missing}" for missing in claim.missing]
    return "\n".join(lines)


def robust(notebooks: Sequence[Path], seeds: Sequence[int], threads: Sequence[int], jobs: int | None, out: Path) -> int:
    """Run the notebooks, print a table for each, store ``out/NOTEBOOK.json``; how many of them have something to mend.

    Something is to be mended where a run did not come to its end or a claim failed or was not made in one of the runs.
    """
    out.mkdir(parents=True, exist_ok=True)
    chosen = settings(seeds, threads)
    broken = 0
    with ThreadPoolExecutor(jobs or runner.affordable_jobs()) as pool:
        waiting = [(path, [pool.submit(run_once, path, setting, out) for setting in chosen]) for path in notebooks]
        for path, futures in waiting:
            runs = [future.result() for future in futures]
            claims = compare(runs)
            broken += any(run.status != "passed" for run in runs) or any(c.failed or c.missing for c in claims)
            print(table(path.stem, runs, claims), flush=True)
            told = {
                "notebook": path.stem,
                "runs": [asdict(run) for run in runs],
                "claims": [asdict(c) | {"least": c.least, "over_spread": c.over_spread} for c in claims],
            }
            write_text(out / f"{path.stem}.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    print(
        f"{len(notebooks) - broken} of {len(notebooks)} notebooks hold in all {len(chosen)} runs; see {os.path.relpath(out)}"
    )
    return broken
