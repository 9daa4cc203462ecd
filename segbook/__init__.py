"""segbook: the small package under the semantic-segmentation course.

``import segbook as sb`` gives everything the notebooks use. Parts are imported when first touched, so that
training from the command line needs neither matplotlib nor Jupyter.
"""

from importlib import import_module

__version__ = "0.2.0"

# Name a notebook writes -> module that holds it. A value without a colon is the module itself.
_PUBLIC = {
    "anatomy": "segbook.anatomy",
    "backbones": "segbook.backbones",
    "baselines": "segbook.baselines",
    "check": "segbook.course.check",
    "claim": "segbook.course.claims:claim",
    "course_map": "segbook.course.course_map:course_map",
    "crf": "segbook.crf",
    "data": "segbook.data",
    "evaluation": "segbook.evaluation",
    "frozen": "segbook.frozen",
    "heads": "segbook.heads",
    "layers": "segbook.layers",
    "losses": "segbook.losses",
    "metrics": "segbook.metrics",
    "models": "segbook.models",
    "plots": "segbook.plots",
    "progress": "segbook._bars:progress",
    "showing": "segbook.showing",
    "training": "segbook.training",
    "widgets": "segbook.widgets",
    "setup": "segbook.course.session:setup",
    "Run": "segbook.course.session:Run",
    "Recipe": "segbook.training:Recipe",
    "History": "segbook.training:History",
    "Evaluation": "segbook.evaluation:Evaluation",
    "fit": "segbook.training:fit",
    "evaluate": "segbook.evaluation:evaluate",
    "predict": "segbook.evaluation:predict",
    "show": "segbook.showing:show",
    "show_source": "segbook.showing:show_source",
    "show_table": "segbook.showing:show_table",
    "measured": "segbook.showing:measured",
    "LiveFigure": "segbook.widgets:LiveFigure",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"segbook has no attribute {name!r}; it offers: {', '.join(sorted(_PUBLIC))}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__():
    return __all__
