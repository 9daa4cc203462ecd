"""Exercise checks: they tell a learner what was expected, what came, and one more hint with each try.

A notebook calls ``sb.check.chapter_05.iou(answer)``. Each chapter's checks live in
``segbook/course/chNN_name/checks.py`` as functions like this one:

    @exercise("Intersection over union", hints=["Which cells of the table are the union?", "Row + column - diagonal."])
    def iou(answer):
        expect_close(answer([[3, 1], [2, 4]]), [3 / 6, 4 / 7], "the IoU of the two classes")

The answer is a value or a function. A check sees a copy of the answer, runs with fixed random seeds, and leaves the
learner's random numbers as they were.
"""

import ast
import contextlib
import copy
import functools
import importlib
import inspect
import linecache
import pkgutil
import random
import re
import sysconfig
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = [
    "Incorrect", "exercise", "expect", "expect_callable", "expect_close", "expect_equal", "expect_shape", "expect_type",
]  # fmt: skip

_MISSING = "Nothing here yet: put your answer where the three dots are, run that cell, then run this one again."
_NO_RETURN = "Your function ran and returned None. Is a `return` missing in front of its result?"
#: What a slip of the pen raises: it costs no try.
_TYPOS = (NameError, AttributeError, ImportError, SyntaxError)
#: Arrays of at most so many elements are printed with a failed check; larger ones wait in ``sb.check.last``.
_SMALL = 40

#: The last call of a learner's function by a check: ``sb.check.last.arguments``, ``.result``, ``.call()`` to run it again.
last: "Case | None" = None


class Incorrect(AssertionError):
    """An answer that is missing or wrong. The message says what was expected, what came, and hints."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook prints: the message alone, because the way through the check teaches nothing."""
        first, *rest = str(self).splitlines() or [""]
        return [f"\x1b[1;31m✗ {first}\x1b[0m", *rest]


class _Missing(Incorrect):
    """An answer that was not given. It costs no try and shows no hint."""


class _NoReturn(_Missing):
    """A function that ran to its end without handing its result back."""


@dataclass
class Case:
    """What a check called the learner's function with, and what came back; for looking at after a failed check."""

    function: Callable
    arguments: tuple
    keywords: dict
    result: object = None

    def call(self):
        """Call the function once more with the same arguments, as often as you like."""
        return self.function(*copy.deepcopy(self.arguments), **copy.deepcopy(self.keywords))

    def describe(self) -> str:
        """The arguments, where they are small enough to read: one line each."""
        given = [(f"argument {i}", value) for i, value in enumerate(self.arguments, 1)] + list(self.keywords.items())
        small = [value for _, value in given if not _is_array(value) or np.size(_array(value)) <= _SMALL]
        if len(small) < len(given) or not given:
            return ""
        return "\n".join(f"    {name} = {_written(value)}" for name, value in given)


class Exercise:
    """One check: call it with the answer. Made by ``@exercise``.

    Attributes: ``name``, ``chapter`` (``"chapter 05"``), ``title``, ``hints``, ``tries`` (failed tries in this kernel).
    """

    def __init__(self, check: Callable, title: str, hints: list[str]):
        self.check, self.title, self.hints, self.tries = check, title, tuple(hints), 0
        self.name = check.__name__
        self.chapter = _chapter_of(check.__module__)
        self.__doc__ = check.__doc__ or title

    def __repr__(self):
        return f"<check: {self.chapter}, {self.name} ({self.title})>"

    def __call__(self, answer=None) -> None:
        """Print one line when ``answer`` is right, raise ``Incorrect`` when it is not."""
        global last
        problem = cause = last = None
        stumbled = False  # the learner's code raised: a typo costs no try
        try:
            if _unanswered(answer):
                raise _Missing(_MISSING)
            with _fixed_seeds():
                self.check(_guarded(answer))
        except Incorrect as error:
            problem, cause = error, error.__cause__
        except AssertionError as error:
            problem = Incorrect(_where(error) or str(error) or "the answer does not fit")
            cause = error
        except Exception as error:
            problem = Incorrect(_where(error) or f"the check cannot work with this answer: {_name(error)}")
            cause, stumbled = error, isinstance(error, _TYPOS) and _where(error) is not None
        if problem is None:
            self.tries = 0
            print(f"✓ {self.chapter}, {self.name}: correct.")
            return
        # Raised out here, so that the notebook does not tell the story of two exceptions.
        raise Incorrect(self._message(problem, stumbled)) from cause

    def _message(self, problem: Incorrect, stumbled: bool) -> str:
        lines = [f"{self.chapter}, {self.name} ({self.title}): not yet.", f"  {problem}"]
        if not isinstance(problem, _Missing):
            if last is not None:
                called = last.describe()
                lines += ["  Your function was called with", called] if called else []
                lines.append("  `case = sb.check.last` holds this call: case.arguments, case.result, case.call().")
            self.tries += not stumbled
            shown = self.hints[: self.tries]
            lines += [f"  Hint {i} of {len(self.hints)}: {hint}" for i, hint in enumerate(shown, start=1)]
            if self.tries > len(self.hints):
                lines.append("  That was the last hint. The solution edition of this chapter shows one way to do it.")
        return "\n".join(lines)


def exercise(title: str, hints: list[str]) -> Callable[[Callable], Exercise]:
    """Turn a function ``name(answer)`` into an exercise check.

    ``hints``: at least two, from a nudge to nearly the solution; one more is shown with each failed try.
    """
    if isinstance(hints, str) or len(hints) < 2:
        raise ValueError(f"the exercise {title!r} needs a list of at least two hints, each more concrete than the last")
    return lambda check: Exercise(check, title, hints)


# ---------------------------------------------------------------------------------------------- for the checks


def expect(condition, message: str) -> None:
    """Raise ``Incorrect(message)`` unless ``condition`` holds."""
    if not condition:
        raise Incorrect(message)


def expect_callable(answer, what: str = "your answer") -> None:
    """Expect a function or a class (or anything else that can be called)."""
    expect(callable(answer), f"{what}: expected a function, got {_describe(answer)}.")


def expect_type(actual, types, what: str = "your answer") -> None:
    """Expect an instance of ``types`` (a class or a tuple of classes)."""
    _require(actual)
    names = " or ".join(t.__name__ for t in (types if isinstance(types, tuple) else (types,)))
    expect(isinstance(actual, types), f"{what}: expected {names}, got {_describe(actual)}.")


def expect_shape(actual, shape, what: str = "your answer") -> None:
    """Expect a tensor or array of exactly this shape."""
    _require(actual)
    expect(hasattr(actual, "shape"), f"{what}: expected the shape {_shape(shape)}, got {_describe(actual)}.")
    expect(
        tuple(actual.shape) == tuple(shape),
        f"{what}: expected the shape {_shape(shape)}, got {_shape(actual.shape)}.",
    )


def expect_equal(actual, expected, what: str = "your answer") -> None:
    """Expect exactly this value: numbers, texts, lists, dicts, tensors or arrays (shape and every element)."""
    _require(actual)
    if _is_array(actual) or _is_array(expected):
        _compare(actual, expected, what, rtol=0.0, atol=0.0)
    else:
        equal = actual == expected and isinstance(actual, bool) == isinstance(expected, bool)
        expect(equal, f"{what}: expected {_describe(expected)}, got {_describe(actual)}.")


def expect_close(actual, expected, what: str = "your answer", rtol: float = 1e-4, atol: float = 1e-6) -> None:
    """Expect numbers within ``atol + rtol · |expected|``: a number, nested lists, tensors or arrays; nan equals nan."""
    _require(actual)
    _compare(actual, expected, what, rtol, atol)


def _compare(actual, expected, what, rtol, atol) -> None:
    expected = _array(expected)
    try:
        got = _array(actual)
        if got.dtype == object or got.dtype.kind in "US":
            raise ValueError
    except (ValueError, TypeError):
        kind = "a number" if expected.ndim == 0 else f"numbers of shape {_shape(expected.shape)}"
        raise Incorrect(f"{what}: expected {kind}, got {_describe(actual)}.") from None
    if got.shape != expected.shape and expected.ndim == 0:
        raise Incorrect(f"{what}: expected the number {_value(expected)}, got {_describe(actual)}.")
    if got.shape != expected.shape:
        raise Incorrect(f"{what}: expected the shape {_shape(expected.shape)}, got {_shape(got.shape)}.")
    if rtol == atol == 0:
        right = got == expected
    else:
        right = np.isclose(got.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
    if right.all():
        return
    slip = _slip(got, expected, rtol, atol)
    if expected.size <= 12:
        raise Incorrect(f"{what}: expected {_value(expected)}, got {_value(got)}.{slip}")
    place = tuple(int(i) for i in np.argwhere(~right)[0])
    raise Incorrect(
        f"{what}: {int((~right).sum()):,} of {right.size:,} values are wrong; the first at {list(place)}: "
        f"expected {_value(expected[place])}, got {_value(got[place])}.{slip}"
    )


def _slip(got: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> str:
    """The word for a classical slip, where ``got`` is ``expected`` but for one; "" otherwise."""
    if expected.dtype.kind not in "biuf" or got.dtype.kind not in "biuf" or not expected.size:
        return ""
    got, expected = got.astype(np.float64), expected.astype(np.float64)

    def same(candidate) -> bool:
        return candidate.shape == got.shape and np.allclose(candidate, got, rtol or 1e-6, atol, equal_nan=True)

    turned = expected.ndim == 2 and expected.shape[0] == expected.shape[1] and same(expected.T)
    with np.errstate(all="ignore"):
        slips = (
            (turned, "Rows and columns are swapped."),
            (same(expected + 1), "Every value is one too large: off by one?"),
            (same(expected - 1), "Every value is one too small: off by one?"),
            (same(-expected), "Every value has the wrong sign."),
            (same(100 * expected), "These are percent; a share from 0 to 1 is wanted."),
            (same(expected / 100), "This is a share from 0 to 1; percent are wanted."),
            (expected.ndim > 0 and same(expected[::-1]), "The order is reversed."),
            (same(1 / expected), "This is one over the right answer: numerator and denominator are swapped."),
        )
    return next((f" {word}" for found, word in slips if found), "")


# ------------------------------------------------------------------------------------------------------ inside


def _is_array(value) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def _array(value) -> np.ndarray:
    """Numbers of any kind → numpy array (tensors may need gradients or lie on a GPU)."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return value.numpy()
    if isinstance(value, list | tuple):
        return np.array([_array(item) for item in value])  # ragged lists raise ValueError
    return np.asarray(value)


def _value(value: np.ndarray) -> str:
    value = np.asarray(value)
    if value.ndim == 0:
        item = value.item()
        return f"{item:.6g}" if isinstance(item, float) else repr(item)
    return np.array2string(value, separator=", ", precision=4, suppress_small=True).replace("\n", "\n  ")


def _written(value) -> str:
    """A small argument as one could type it: nested lists for arrays, else what Python prints."""
    if _is_array(value):
        return f"{'tensor' if hasattr(value, 'detach') else 'array'}({_array(value).tolist()})"
    return _describe(value)


def _shape(shape) -> str:
    return "[" + ", ".join(str(int(side)) for side in shape) + "]"


def _describe(value) -> str:
    if _is_array(value):
        kind = "a tensor" if hasattr(value, "detach") else "an array"
        return f"{kind} of shape {_shape(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    text = repr(value)
    text = text if len(text) <= 80 else text[:77] + "…"
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict | set):
        return text
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"the {'class' if inspect.isclass(value) else 'function'} {value.__name__}"
    return f"a {type(value).__name__}: {text}"


def _unanswered(answer) -> bool:
    return answer is None or answer is Ellipsis


def _require(actual) -> None:
    if _unanswered(actual):
        raise _Missing(_MISSING)


def _guarded(answer):
    """What the check works with: a watched function, or a copy of a value."""
    if inspect.isroutine(answer):

        @functools.wraps(answer)
        def watched(*args, **kwargs):
            global last
            last = Case(answer, tuple(map(_copied, args)), {name: _copied(value) for name, value in kwargs.items()})
            try:
                result = answer(*args, **kwargs)
            except NotImplementedError as error:
                raise _Missing(_MISSING) from error
            if result is None and not _has_dots(answer):
                raise _NoReturn(_NO_RETURN)
            _require(result)
            last.result = result
            return result

        return watched
    if inspect.isclass(answer):
        return answer
    return _copied(answer)


def _copied(value):
    try:
        return copy.deepcopy(value)
    except Exception:  # a tensor inside a graph, an open file, a generator: what cannot be copied is used as it is
        return value.detach().clone() if hasattr(value, "detach") else value


def _has_dots(function) -> bool:
    """Whether the three dots that stand for an answer are still in the function's source, as far as it can be read."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return True
    return any(
        node.value is Ellipsis
        for node in ast.walk(ast.parse(textwrap.dedent(source)))
        if isinstance(node, ast.Constant)
    )


@contextlib.contextmanager
def _fixed_seeds():
    """Random numbers of a check are the same at every try, and the learner's go on as if there had been no check."""
    import torch

    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(0)
        np.random.seed(0)
        torch.random.default_generator.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


_PACKAGE = str(Path(__file__).resolve().parents[1])
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _name(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: BaseException) -> str | None:
    """Name the exception and the learner's line that led to it; None when no line of the learner took part."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if not path.startswith((_PACKAGE, *_INSTALLED)) and not path.startswith("<frozen"):
            line = (path, trace.tb_lineno, trace.tb_frame.f_code.co_name, trace.tb_frame.f_globals)
        trace = trace.tb_next
    if line is None:
        return None
    path, number, function, module = line
    text = linecache.getline(path, number, module).strip()
    place = f"line {number} of the cell" + (f", in {function}" if function.isidentifier() else "")
    return f"your code stopped at {place}" + (f":\n    {text}" if text else "") + f"\n  {_name(error)}"


# ------------------------------------------------------------------------------------------- sb.check.chapter_NN


class Chapter:
    """The exercises of one chapter, as attributes."""

    def __init__(self, name: str, exercises: dict[str, Exercise]):
        self._name, self._exercises = name, exercises

    def __getattr__(self, name: str) -> Exercise:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._exercises:
            known = ", ".join(self._exercises) or "none"
            raise AttributeError(f"{self._name} has no exercise {name!r}; its exercises: {known}")
        return self._exercises[name]

    def __dir__(self):
        return list(self._exercises)

    def __iter__(self):
        return iter(self._exercises.values())

    def __repr__(self):
        return f"<checks of {self._name}: {', '.join(self._exercises)}>"


def chapters() -> list[str]:
    """Names of the chapters that have checks, for example ``["chapter_00", "chapter_05"]``."""
    return [f"chapter_{number}" for number in sorted(_folders())]


def _folders() -> dict[str, str]:
    """Number of a chapter ("05") -> the package that holds its drawings and checks ("segbook.course.ch05_metrics")."""
    import segbook.course

    found = [module.name for module in pkgutil.iter_modules(segbook.course.__path__)]
    return {name[2:4]: f"segbook.course.{name}" for name in found if re.match(r"ch\d\d_", name)}


def _chapter_of(module: str) -> str:
    """``"segbook.course.ch05_metrics.checks"`` -> ``"chapter 05"``; the module's own name for checks that lie elsewhere."""
    number = re.search(r"\bch(\d\d)_", module)
    return f"chapter {number[1]}" if number else module.rpartition(".")[2].replace("_", " ")


@functools.cache
def _chapter(name: str) -> Chapter:
    module = importlib.import_module(f"{_folders()[name.removeprefix('chapter_')]}.checks")
    own = {k: v for k, v in vars(module).items() if isinstance(v, Exercise) and v.check.__module__ == module.__name__}
    return Chapter(name.replace("_", " "), own)


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    if name.startswith("chapter_"):
        if name in chapters():
            return _chapter(name)
    raise AttributeError(f"sb.check has no {name!r}; there are checks for: {', '.join(chapters()) or 'no chapter yet'}")


def __dir__():
    return [*__all__, *chapters()]
