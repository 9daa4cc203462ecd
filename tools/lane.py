"""The second lane of continuous integration: two chapters on two threads with another seed, to their end.

    python tools/lane.py

Which chapters and which seed goes round with the commit, or with the date where there is no git history. Outputs are not
compared and a claim that does not hold is only told: what fails is a notebook that does not come to its end.
"""

import subprocess
import sys
from datetime import date
from pathlib import Path

import robust

from segbook.course import chapters

ROOT = Path(__file__).resolve().parents[1]
THREADS = 2
SEEDS = (1, 2, 3)
#: Every chapter is in one of them, a long one with a short one: no pair takes longer than three minutes on two cores.
PAIRS = ((0, 11), (1, 6), (2, 8), (3, 13), (4, 7), (5, 9), (10, 14), (3, 12))


def turn(root: Path = ROOT) -> int:
    """A number that another commit changes; where git knows no commit, another day."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        return int(commit.stdout.strip(), 16)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return date.today().toordinal()


def choose(number: int) -> tuple[tuple[int, int], int]:
    """The pair of chapters and the seed whose turn it is."""
    return PAIRS[number % len(PAIRS)], SEEDS[number // len(PAIRS) % len(SEEDS)]


def main() -> int:
    pair, seed = choose(turn())
    setting, crashed = robust.Setting(seed, THREADS), 0
    for chapter in map(chapters.find, pair):
        print(f"{chapter.file} with {setting}", flush=True)
        run = robust.run_once(chapter.path, setting, ROOT / "runs" / "lane")
        print(robust.table(chapter.file, [run], robust.compare([run])), flush=True)
        if run.status != "passed":
            print(run.error, file=sys.stderr)
            crashed += 1
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
