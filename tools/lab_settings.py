"""Let the JupyterLab of this environment keep the state of widgets when a notebook is saved.

Without it a live figure that was saved, closed and opened again shows an error message instead of its last image. Written
beside JupyterLab itself, so that it holds for whoever uses this environment; other settings there are left alone.
"""

import json
import sys
from pathlib import Path

PLACE = Path(sys.prefix) / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
SETTINGS = {"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}


def merge(path: Path) -> None:
    """Write the settings into ``path``, with what it says already. Raises SystemExit for a file that is no JSON."""
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for plugin, values in SETTINGS.items():
            known.setdefault(plugin, {}).update(values)
    except (ValueError, AttributeError) as error:
        raise SystemExit(f"{path} is not a file of JupyterLab settings ({error}); repair or remove it") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    merge(PLACE)
