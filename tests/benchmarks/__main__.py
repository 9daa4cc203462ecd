"""Side by side with other libraries: ``python tests/benchmarks [TOPIC …] [--runs N] [--threads N] [--output FILE]``.

    make bench                            everything, with the peers of the extra `bench` installed
    python tests/benchmarks crf confusion     these topics only; others keep what the file says of them

Peers that are missing are reported and left out. Times are CPU seconds on one thread where nothing else is said, so
that a busy machine does little harm; ratios are theirs / ours: above 1 ours is faster. The table goes to the screen and
results/bench-<processor>.json. What needs a GPU runs where there is one.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

import measure
import torch

ROOT = Path(__file__).resolve().parents[2]
TOPICS = ("confusion", "crf", "nets", "epoch", "drawing", "chapters", "growth")


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}; all when none is named")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each side (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of PyTorch (default 1)")
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--output", type=Path, help="default: results/bench-<processor>.json")
    options = parser.parse_args(arguments)
    unknown = set(options.topics) - set(TOPICS)
    if unknown:
        parser.error(f"there is no topic {', '.join(sorted(unknown))}; choose from {', '.join(TOPICS)}")
    torch.set_num_threads(options.threads)
    output = options.output or ROOT / "results" / measure.file_name()
    stored = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    stored |= {"machine": measure.machine(), "torch": torch.__version__}
    missed = 0
    for topic in options.topics or TOPICS:
        print(f"\n== {topic} ==", flush=True)
        try:
            rows = importlib.import_module(topic).run(options)
        except ImportError as error:  # a peer that is not installed
            print(f"left out: {error}. Peers: the extra `bench` of pyproject.toml")
            continue
        print(measure.table(rows) if rows else "nothing to measure here")
        missed += sum(row.reached is False for row in rows)
        records = {row.work + row.peer: row.record() for row in rows}
        kept = stored.get(topic, []) if options.only else []  # part of a topic leaves the rest as it was
        kept = [record for record in kept if record["work"] + record["peer"] not in records]
        stored[topic] = [*kept, *records.values()]
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if not torch.cuda.is_available():
        print(
            "\nNo GPU here: its goals (training >= 1.5 times as fast as the peers' documented loop) were not measured."
        )
    print(f"\n{missed} goals missed; written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
