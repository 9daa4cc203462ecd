"""The two refusals that most constructors need: a value that is not among the choices, and a number that is not whole."""

from collections.abc import Iterable
from numbers import Integral


def one_of(name: str, value, choices: Iterable) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``; the message names the option, the choices and the value."""
    choices = tuple(choices)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


def whole(name: str, value, lowest: int) -> None:
    """Raise ValueError unless ``value`` is a whole number of at least ``lowest``. True and False are none."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be a whole number of at least {lowest}, got {value!r}")
