"""For authors: run notebooks and store their outputs, bring them into one form, check the rules.

    python tools/notebooks.py refresh notebooks/00_start_here.ipynb     run and store the outputs
    python tools/notebooks.py normalise [NOTEBOOK …]                    one form, nothing is run
    python tools/notebooks.py check [NOTEBOOK …]                        the rules for committed notebooks
    python tools/notebooks.py robust [CHAPTER …]                        which claims hold for other seeds and threads

Without names, all of ``notebooks/*.ipynb`` are meant. ``refresh`` is the only way in which outputs come into the
repository. It runs each notebook in the environment of the tests (quick profile, one CPU thread, no stored checkpoints,
no downloaded data), then normalises it. A notebook that fails is left as it was. ``robust`` takes chapters (06) or files,
``--seeds 0 1 2 --threads 1 2 --jobs N``; its exit code is 1 where a claim failed or a notebook did not come to its end.
"""

import argparse
import ast
import base64
import binascii
import hashlib
import os
import re
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import nbformat
import robust
from glossary import heading_anchor
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from segbook.course import chapters
from segbook.course.editions import marker_problems
from segbook.course.kernels import (
    CELL_TIMEOUT,
    WIDGET_TYPES,
    CourseKernelManager,
    merged_environment,
    pinned_environment,
    scratch_folder,
)

ROOT = Path(__file__).resolve().parents[1]
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
#: Every tag that means something; any other is a typing error.
TAGS = {
    "parameters", "setup", "solution", "check", "solution-only",
    "nbval-ignore-output", "raises-exception", "figure-from-training", "images-from-training",
}  # fmt: skip

MAX_BYTES = 1_000_000
MAX_CELL_LINES = 30
CODE_CELLS = (15, 45)
MAX_MEDIAN_LINES = 8
MAX_WORDS = 3000
MAX_IGNORED_SHARE = 0.10


class RefreshError(Exception):
    """A notebook could not be run to its end; the message shows the cell and what it raised."""


# --- one form ---------------------------------------------------------------------------------------------------------


def normalize(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in the one form that is committed: what the notebook says, and nothing about how it was run."""
    result = nbformat.from_dict(notebook)
    cells, seen, executed = [], {}, 0
    for cell in result.cells:
        key = f"{cell.cell_type}\n{cell.source}"
        seen[key] = seen.get(key, -1) + 1
        identity = hashlib.sha256(f"{key}\n{seen[key]}".encode()).hexdigest()[:12]
        tags = cell.metadata.get("tags", [])
        clean = {"id": identity, "cell_type": cell.cell_type, "source": cell.source, "metadata": {}}
        if tags:
            clean["metadata"] = {"tags": list(dict.fromkeys(tags))}
        if cell.get("attachments"):
            clean["attachments"] = cell.attachments
        if cell.cell_type == "code":
            ran = cell.execution_count is not None
            executed += ran
            number = executed if ran else None
            clean |= {"execution_count": number, "outputs": _normal_outputs(cell.outputs, number)}
        cells.append(nbformat.from_dict(clean))
    result.cells = cells
    result.metadata = nbformat.from_dict({"kernelspec": dict(KERNELSPEC), "language_info": dict(LANGUAGE)})
    result.nbformat, result.nbformat_minor = 4, 5
    nbformat.validate(result)
    return result


def _normal_outputs(outputs: list[NotebookNode], execution_count: int | None) -> list[dict]:
    normal = []
    for output in outputs:
        output = dict(output)
        if output["output_type"] == "stream":
            # How the kernel cut a text into messages depends on timing.
            if normal and normal[-1]["output_type"] == "stream" and normal[-1]["name"] == output["name"]:
                normal[-1]["text"] += output["text"]
                continue
        elif output["output_type"] in ("display_data", "execute_result"):
            # A stored view has no kernel behind it and would show an error box; the image beside it stays.
            output["data"] = {kind: data for kind, data in output["data"].items() if kind not in WIDGET_TYPES}
            if "image/png" in output["data"]:
                output["data"]["image/png"] = output["data"]["image/png"].strip()
            output["metadata"] = {kind: about for kind, about in output["metadata"].items() if kind in output["data"]}
            output.pop("transient", None)
            if output["output_type"] == "execute_result":
                output["execution_count"] = execution_count
        normal.append(output)
    return normal


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook under a temporary name and rename it, so that the file is never half there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# --- run --------------------------------------------------------------------------------------------------------------


def refresh(path: Path, cell_timeout: int = CELL_TIMEOUT) -> float:
    """Run a notebook in its folder, store its outputs in the file, and return the seconds it took.

    Raises RefreshError, with the file untouched, when a cell fails, takes longer than ``cell_timeout`` seconds or
    kills its kernel.
    """
    notebook = nbformat.read(path, as_version=4)
    position = {"cell": 0}

    def remember(cell, cell_index):
        position["cell"] = cell_index

    stored = normalize(notebook)
    client = NotebookClient(
        notebook,
        timeout=cell_timeout,
        kernel_name="python3",
        kernel_manager_class=CourseKernelManager,
        on_cell_start=remember,
        resources={"metadata": {"path": str(path.resolve().parent)}},
        ipython_hist_file=":memory:",
    )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    start = time.perf_counter()
    with scratch_folder() as scratch:
        try:
            client.execute(env=merged_environment(pinned_environment(scratch)))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise RefreshError(_describe_failure(path, notebook, position["cell"], error)) from None
    write(keep_stored_times(stored, normalize(notebook)), path)
    return time.perf_counter() - start


TIME = re.compile(r"≈\s*([0-9][0-9.,]*)(?=\s*(?:s|ms|µs|min|seconds|minutes|images/s|images/s)\b)")


def keep_stored_times(stored: NotebookNode, new: NotebookNode) -> NotebookNode:
    """Return ``stored`` outputs in ``new`` if the two differ in nothing but times within a factor of two.

    A time is a number after ``≈`` with a unit of time behind it. It comes out differently on every run, and two
    refreshes of one notebook are to give the same file. All cells keep their stored outputs or none does: a table and
    the figure drawn from it belong to one run.
    """
    before = {cell.id: cell for cell in stored.cells if cell.cell_type == "code"}
    code = [cell for cell in new.cells if cell.cell_type == "code"]
    if all(cell.id in before and _same_but_for_times(before[cell.id], cell) for cell in code):
        for cell in code:
            kept = nbformat.from_dict(before[cell.id].outputs)
            cell.outputs = [nbformat.from_dict(o) for o in _normal_outputs(kept, cell.execution_count)]
    return new


def _same_but_for_times(old: NotebookNode, new: NotebookNode) -> bool:
    old_text, new_text = (nbformat.v4.writes(nbformat.v4.new_notebook(cells=[cell])) for cell in (old, new))
    old_text, new_text = (re.sub(r'"execution_count": \w+', "", text) for text in (old_text, new_text))
    same_pace = all(map(_same_pace, TIME.findall(old_text), TIME.findall(new_text)))
    return TIME.sub("", old_text) == TIME.sub("", new_text) and same_pace


def _same_pace(old: str, new: str) -> bool:
    a, b = (float(number.replace(",", "").rstrip(".")) for number in (old, new))
    return a <= 2 * b and b <= 2 * a


def _describe_failure(path: Path, notebook: NotebookNode, index: int, error: Exception) -> str:
    source = "\n".join(f"    {line}" for line in notebook.cells[index].source.splitlines())
    if isinstance(error, CellExecutionError):
        trace = next((o.traceback for o in notebook.cells[index].outputs if o.output_type == "error"), [])
        reason = "\n".join(trace) or f"{error.ename}: {error.evalue}"
        if not sys.stderr.isatty():
            reason = re.sub(r"\x1b\[[0-9;]*m", "", reason)
    elif isinstance(error, DeadKernelError):
        reason = "The kernel died (out of memory, or a crash in compiled code)."
    else:
        reason = str(error).splitlines()[0]
    return f"{path}: cell {index} failed, the file was not changed.\n{source}\n{reason}"


# --- the rules --------------------------------------------------------------------------------------------------------


def problems(path: Path) -> list[str]:
    """Return what a committed notebook does against the rules of the course, one line each; empty when it keeps them."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises whatever the JSON parser or the schema raised
        return [f"is not a readable notebook: {error}"]
    found = []
    if path.stat().st_size >= MAX_BYTES:
        found.append(f"is {path.stat().st_size / 1e6:.2f} MB, at most {MAX_BYTES / 1e6:g} MB: fewer or smaller figures")
    code = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    prose = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "markdown"]
    found += _shape(path, code, prose)
    for number, (index, cell) in enumerate(code, start=1):
        found += [f"cell {index}: {problem}" for problem in _code_cell(cell, number)]
    for index, cell in prose:
        found += [f"cell {index}: {problem}" for problem in _prose_cell(cell, path, notebook)]
    found = list(dict.fromkeys(found + marker_problems(notebook)))
    found += _exercises(code)
    if notebook.metadata.get("widgets"):
        found.append("stores widget state: run `python tools/notebooks.py normalise`")
    if not found and nbformat.writes(normalize(notebook)).rstrip("\n") + "\n" != path.read_text(encoding="utf-8"):
        found.append("is not in normal form: run `python tools/notebooks.py normalise`")
    return found


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _lines(cell: NotebookNode) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def _shape(path: Path, code: list, prose: list) -> list[str]:
    """Rules about the notebook as a whole: how much code and prose, the card, the parameters, the ignored cells."""
    found = []
    start_here = path.name.startswith("00_")  # the tour at the beginning is shorter than a chapter
    low, high = (1 if start_here else CODE_CELLS[0]), CODE_CELLS[1]
    if not low <= len(code) <= high:
        found.append(f"has {len(code)} code cells, a chapter has {low} to {high}")
    if code and statistics.median(_lines(cell) for _, cell in code) > MAX_MEDIAN_LINES:
        found.append(f"the median code cell is longer than {MAX_MEDIAN_LINES} lines")
    words = sum(
        len(re.findall(r"\w+", re.sub(r"\$[^$]*\$|\([^()\s]*\)|<[^>]*>", " ", cell.source))) for _, cell in prose
    )
    if words > MAX_WORDS:
        found.append(f"has {words} words of prose, at most {MAX_WORDS}")
    if not prose or prose[0][0] != 0 or not prose[0][1].source.startswith("# "):
        found.append("does not begin with a card: a markdown cell with the title as `# …`")
    parameters = [cell for _, cell in code if "parameters" in _tags(cell)]
    if len(parameters) != 1:
        found.append(f"has {len(parameters)} cells tagged parameters, needs one")
    elif not re.search(r"^PROFILE\s*=\s*[\"']quick[\"']", parameters[0].source, re.MULTILINE):
        found.append('the parameters cell does not set PROFILE = "quick"')
    if not any("setup" in _tags(cell) and "sb.setup(" in cell.source for _, cell in code):
        found.append("has no cell tagged setup that calls sb.setup(…)")
    if not any("LiveFigure(" in cell.source for _, cell in code):
        found.append("has no live figure")
    ignored = sum("nbval-ignore-output" in _tags(cell) for _, cell in code)
    if ignored > MAX_IGNORED_SHARE * len(code):
        found.append(
            f"{ignored} of {len(code)} code cells are tagged nbval-ignore-output, at most {MAX_IGNORED_SHARE:.0%}"
        )
    return found


NETWORK = re.compile(
    r"^\s*[!%]|\bpip3? install\b|\burlopen\b|\burlretrieve\b|^\s*(?:import|from) (?:requests|urllib)\b", re.M
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|var|opt|usr|mnt|private|work)/[\w./-]+")
SCREEN_ONLY = re.compile(r"\binteract(?:ive)?\(|\bOutput\(\)|\bclear_output\(|\bplt\.show\(|\.update_display\(")


def _code_cell(cell: NotebookNode, number: int) -> list[str]:
    found = []
    lines = len(cell.source.splitlines())
    if not cell.source.strip():
        found.append("is empty")
    if lines > MAX_CELL_LINES:
        found.append(f"has {lines} lines, at most {MAX_CELL_LINES}")
    if cell.execution_count is None:
        found.append("was not executed")
    elif cell.execution_count != number:
        found.append(f"has execution count {cell.execution_count}, expected {number}: cells were run out of order")
    if NETWORK.search(cell.source):
        found.append("uses a shell command, a magic, pip or the network")
    if SCREEN_ONLY.search(cell.source):
        found.append(
            "draws with interact, Output, clear_output, plt.show or a display update: use sb.show or sb.LiveFigure"
        )
    if re.search(r"#\s*(?:NBVAL_|PYTEST_VALIDATE_)", cell.source):
        found.append("has an nbval comment: use a tag")
    if not {"solution", "check", "solution-only"} & set(_tags(cell)):
        found += _asserts(cell.source)
    if cell.source.rstrip().endswith(";"):
        found.append("ends with a semicolon, which the tests do not honour: assign the value to _ instead")
    unknown = set(_tags(cell)) - TAGS
    if unknown:
        found.append(f"has an unknown tag: {', '.join(sorted(unknown))}")
    raised = [output for output in cell.outputs if output.output_type == "error"]
    if raised and "raises-exception" not in _tags(cell):
        found.append(f"stores an error: {raised[0].ename}: {raised[0].evalue}")
    if "raises-exception" in _tags(cell) and cell.execution_count is not None and not raised:
        found.append("is tagged raises-exception and raised nothing")
    for output in cell.outputs:
        found += _output(output)
    return found


def _asserts(source: str) -> list[str]:
    """An assertion says what it means, and comes, as a claim does, after the figure that would explain its failure."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return []
    run_here = [s for s in statements if not isinstance(s, ast.FunctionDef | ast.ClassDef)]
    nodes = [node for statement in run_here for node in ast.walk(statement)]
    calls = [(ast.unparse(node.func), node.lineno) for node in nodes if isinstance(node, ast.Call)]
    asserts = [node for node in nodes if isinstance(node, ast.Assert)]
    judged = [node.lineno for node in asserts] + [line for name, line in calls if name == "sb.claim"]
    drawn = [line for name, line in calls if name in ("sb.show", "sb.LiveFigure")]
    found = []
    if any(node.msg is None for node in asserts):
        found.append("asserts without a message")
    if judged and drawn and min(judged) < max(drawn):
        found.append("asserts or claims something before its figure is shown")
    return found


def _output(output: NotebookNode) -> list[str]:
    found = []
    texts = [output.text] if output.output_type == "stream" else []
    if output.output_type == "stream" and output.name == "stderr":
        found.append(f"stores text on stderr: {output.text.strip().splitlines()[0][:100]!r}")
    data = output.get("data", {})
    if any(kind in data for kind in WIDGET_TYPES):
        found.append("stores a widget view: run `python tools/notebooks.py normalise`")
    texts += [data[kind] for kind in ("text/plain", "text/html", "text/markdown") if kind in data]
    if "image/png" in data:
        try:
            base64.b64decode(data["image/png"], validate=False)
        except binascii.Error:
            found.append("stores a figure that is no PNG")
        alt = output.metadata.get("image/png", {}).get("alt") or re.match(
            r"<?Figure:\s*(\S[^>]*)", data.get("text/plain", "")
        )
        if not alt:
            found.append("stores a figure without a text that describes it: use sb.show(fig, alt=…)")
    for text in texts:
        if re.search(r"\b0x[0-9a-f]{8,}", text):
            found.append("stores a memory address")
        for match in MACHINE_PATH.findall(text):
            found.append(f"stores a path of one machine: {match}")
    return found


LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?([^)\s>]*)>?(?:\s+\"[^\"]*\")?\s*\)")


def _prose_cell(cell: NotebookNode, path: Path, notebook: NotebookNode) -> list[str]:
    found = []
    text = re.sub(r"```.*?```|`[^`\n]*`", " ", cell.source, flags=re.DOTALL)
    for image, label, target in LINK.findall(text):
        if image and not label.strip():
            found.append(f"shows an image without alt text: {target}")
        target = unquote(target)
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", target) or target.startswith("attachment:"):
            continue
        other = path if not file else path.parent / file
        if not other.exists():
            found.append(f"links to {file}, which does not exist")
        elif anchor and other.suffix == ".ipynb":
            headings = _headings(notebook if not file else nbformat.read(other, as_version=4))
            if anchor not in headings:
                found.append(f"links to #{anchor}, and no heading has this name")
    for tag in re.findall(r"<img\b[^>]*>", text):
        if not re.search(r"\balt=[\"'][^\"']+", tag):
            found.append("shows an image without alt text: " + tag[:80])
    return found


def _headings(notebook: NotebookNode) -> set[str]:
    """The anchors of a notebook as JupyterLab makes them: the heading with its capitals, spaces turned to hyphens."""
    names = set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^#+\s+(.+?)\s*$", cell.source, re.MULTILINE):
                names.add(heading_anchor(heading))
            names |= set(re.findall(r"<a\b[^>]*\b(?:id|name)=[\"']([^\"']+)", cell.source))
    return names


def _exercises(code: list) -> list[str]:
    """Every solution is followed by a check before the next solution comes."""
    found, unchecked = [], None
    for index, cell in code:
        if "solution" in _tags(cell):
            if unchecked is not None:
                found.append(f"cell {unchecked}: no check follows this solution")
            unchecked = index
        elif "check" in _tags(cell):
            if "sb.check." not in cell.source:
                found.append(f"cell {index}: is tagged check and calls no sb.check.…")
            unchecked = None
    if unchecked is not None:
        found.append(f"cell {unchecked}: no check follows this solution")
    return found


# --- command line -----------------------------------------------------------------------------------------------------


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _chapter(path: Path, parser: argparse.ArgumentParser) -> Path:
    """The notebook of a chapter that may be named by its number."""
    if path.suffix == ".ipynb":
        return path
    try:
        return chapters.find(str(path)).path
    except ValueError as error:
        parser.error(str(error))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/notebooks.py", description="Run, normalise and check notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("refresh", "normalise", "check", "robust"):
        sub = commands.add_parser(name)
        sub.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: notebooks/*.ipynb")
    sub.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    sub.add_argument("--threads", nargs="+", type=_positive, default=[1, 2], help="default: 1 2")
    sub.add_argument("--jobs", type=_positive, help="runs at the same time (default: by cores and memory)")
    sub.add_argument("--out", type=Path, default=ROOT / "runs" / "robust", help="default: runs/robust")
    options = parser.parse_args(arguments)
    paths = options.notebooks or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if options.command == "robust":
        paths = [_chapter(path, parser) for path in paths]
    if not paths:
        parser.error("there is no notebook in notebooks/")
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            parser.error(f"{path} is not a notebook file")
    if options.command == "robust":
        return 1 if robust.robust(paths, options.seeds, options.threads, options.jobs, options.out) else 0
    failed = 0
    for path in paths:
        try:
            if options.command == "refresh":
                seconds = refresh(path)
                print(f"{path}: run in {seconds:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)
            elif options.command == "normalise":
                write(normalize(nbformat.read(path, as_version=4)), path)
            if options.command != "normalise":
                broken = problems(path)
                for problem in broken:
                    print(f"{path}: {problem}", file=sys.stderr)
                # After a refresh the rules are a reminder; only `check` fails on them.
                failed += bool(broken) and options.command == "check"
        except (RefreshError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
            failed += 1
            print(error, file=sys.stderr)
    if options.command == "check" and not failed:
        print("1 notebook keeps the rules" if len(paths) == 1 else f"{len(paths)} notebooks keep the rules")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
