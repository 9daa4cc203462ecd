"""Put everything a classroom needs into one folder that installs without a network: ``make offline``.

    python tools/offline.py OUT [--platform win_amd64] [--python 3.12] [--data DATA]

OUT receives ``wheels/`` (every package of requirements.txt, exactly as pinned), ``course/`` (the committed files of this
repository), ``data/`` (real data sets that you pass with --data and may hand on), and an installer for Linux and macOS
(install.sh) and Windows (install.bat). Wheels are for one kind of machine: by default this one. OUT is complete or not
there: it is made under another name and renamed at the end.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SH = """#!/usr/bin/env bash
# Installs the course from this folder alone; no network is used. Usage: bash install.sh [TARGET] (default: ./segbook)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-$PWD/segbook}"
python="${PYTHON:-python@VERSION@}"
if [ -e "$target" ]; then echo "$target is there already; choose another folder" >&2; exit 1; fi
if ! command -v "$python" >/dev/null; then
  echo "Python @VERSION@ is needed ($python was not found); install it or set PYTHON=/path/to/python@VERSION@" >&2; exit 1
fi
partial="$target.partial"; rm -rf "$partial"; mkdir -p "$(dirname "$target")"
cp -R "$here/course" "$partial"
if [ -d "$here/data" ]; then cp -R "$here/data/." "$partial/data/"; fi
mv "$partial" "$target"
cd "$target"
"$python" -m venv .venv
.venv/bin/python -m pip install --no-index --find-links "$here/wheels" --disable-pip-version-check -r requirements.txt
.venv/bin/python -m pip install --no-index --find-links "$here/wheels" --disable-pip-version-check --no-deps -e .
touch .venv/installed
echo "Installed. Begin with: cd $target && make lab   (or .venv/bin/python -m segbook doctor)"
"""

BAT = """@echo off
rem Installs the course from this folder alone; no network is used. Usage: install.bat [TARGET] (default: .\\segbook)
setlocal
set "here=%~dp0"
set "target=%~1"
if "%target%"=="" set "target=%CD%\\segbook"
if exist "%target%" (echo %target% is there already; choose another folder & exit /b 1)
xcopy /e /i /q "%here%course" "%target%" || exit /b 1
if exist "%here%data" xcopy /e /i /q /y "%here%data" "%target%\\data" || exit /b 1
cd /d "%target%" || exit /b 1
py -@VERSION@ -m venv .venv || exit /b 1
.venv\\Scripts\\python -m pip install --no-index --find-links "%here%wheels" -r requirements.txt || exit /b 1
.venv\\Scripts\\python -m pip install --no-index --find-links "%here%wheels" --no-deps -e . || exit /b 1
echo Installed. Begin with: .venv\\Scripts\\jupyter lab notebooks\\00_start_here.ipynb
"""

README = """The segbook course, to be installed without a network.

Linux, macOS:   bash install.sh [TARGET]
Windows:        install.bat [TARGET]

Python @VERSION@ must be on the machine. The wheels here are for: @PLATFORM@.
After the installation `python -m segbook doctor` says whether everything is in place.
"""


class OfflineError(Exception):
    """The folder cannot be made; the message says why."""


def committed_files(target: Path) -> None:
    """The files of the last commit, without history. Raises OfflineError outside a git repository."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True)
    if archive.returncode:
        raise OfflineError(f"git archive failed: {archive.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(target, filter="data")


def download(wheels: Path, platform: str | None, version: str) -> None:
    """All pinned packages and what building the course's own needs (setuptools), as wheels."""
    command = [
        sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--dest", str(wheels),
        "--requirement", str(ROOT / "requirements.txt"), "setuptools>=68", "pip",
    ]  # fmt: skip
    if platform or version != here():
        command += ["--only-binary", ":all:", "--python-version", version, "--implementation", "cp"]
        command += ["--platform", platform] if platform else []
    if subprocess.run(command).returncode:
        raise OfflineError("pip could not download everything (see above); nothing was written")


def here() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def make(out: Path, platform: str | None, version: str, data: Path | None) -> None:
    if out.exists():
        raise OfflineError(f"{out} is there already; choose another folder or remove it")
    if data is not None and not data.is_dir():
        raise OfflineError(f"there is no data folder {data}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".offline-") as temporary:
        folder = Path(temporary) / "offline"
        committed_files(folder / "course")
        download(folder / "wheels", platform, version)
        if data is not None:
            shutil.copytree(data, folder / "data")
        for name, text in (("install.sh", SH), ("install.bat", BAT), ("README.txt", README)):
            text = text.replace("@VERSION@", version).replace(
                "@PLATFORM@", platform or "the kind that made this folder"
            )
            (folder / name).write_text(text, encoding="utf-8", newline="\r\n" if name.endswith("bat") else "\n")
        folder.rename(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--platform", help="pip's name of another kind of machine, such as win_amd64 or macosx_11_0_arm64"
    )
    parser.add_argument("--python", default=here(), help=f"Python of the laptops (default: {here()})")
    parser.add_argument("--data", type=Path, help="folder with real data sets to take along")
    options = parser.parse_args()
    if options.python not in ("3.11", "3.12", "3.13"):
        parser.error(f"--python must be 3.11, 3.12 or 3.13, not {options.python}")
    try:
        make(options.out.resolve(), options.platform, options.python, options.data)
    except OfflineError as error:
        print(f"offline: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: copy this folder to the laptops and run install.sh or install.bat there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
