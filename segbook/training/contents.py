"""What a thing is, told by its contents: two losses of one name with other weights in them are two losses.

:func:`contents` goes through a value down to numbers, texts, bytes and code, and returns a short digest of all of it.
Where a tensor lies (CPU or GPU, channels last or not) does not matter, nor do comments and docstrings. Code is compared as
the byte code of this Python: another release of Python may tell two equal functions apart.
"""

import dis
import functools
import hashlib
import sys
import sysconfig
import types
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, Path, Enum, np.generic, np.dtype)
_PLAIN += (torch.dtype, torch.layout, torch.memory_format)
_BUILT_IN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, np.ufunc)
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class Unidentifiable(ValueError):
    """Something whose contents cannot be told, such as an open file or a generator."""


def contents(*values, skip_unknown: bool = False) -> str:
    """Eight hexadecimal digits of what the values hold.

    Functions count with their code, defaults, closures and the global names they use; objects and modules with their
    class and attributes; installed packages only by name. An object may say itself what it is with a text attribute
    ``fingerprint``. Raises :class:`Unidentifiable` for what cannot be told, or leaves it out with ``skip_unknown``.
    """
    reader = _Reader(skip_unknown)
    for value in values:
        reader.read(value)
    return reader.hash.hexdigest()[:8]


def in_words(value) -> str:
    """A plain value as it is written, anything else as its type and digest."""
    if isinstance(value, _PLAIN) or (isinstance(value, list | tuple) and all(isinstance(v, _PLAIN) for v in value)):
        return repr(value)
    shape = f" {list(value.shape)}" if isinstance(value, Tensor | np.ndarray) else ""
    return f"{getattr(value, '__qualname__', type(value).__qualname__)}{shape} {contents(value)}"


def used_values(function) -> dict[str, object]:
    """What a Python function reads from outside: closure and global names, by name. Globals of packages are left out."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet
            found[name] = None
    if not _is_installed(function):
        names = sorted(_global_names(function.__code__))
        found |= {name: function.__globals__[name] for name in names if name in function.__globals__}
    return found


class _Reader:
    def __init__(self, skip_unknown: bool):
        self.hash = hashlib.sha256()
        self.skip_unknown = skip_unknown
        self.seen = {}  # keeps what was met alive, so that no id is used twice

    def write(self, *parts) -> None:
        for part in parts:
            data = part if isinstance(part, bytes | memoryview) else str(part).encode()
            self.hash.update(f"{len(data)}:".encode())
            self.hash.update(data)

    def read(self, value) -> None:
        if isinstance(value, _PLAIN):
            self.write(type(value).__name__, repr(value))
            return
        if isinstance(value, torch.device | types.ModuleType):
            self.write(value.__name__ if isinstance(value, types.ModuleType) else "device")
            return
        if id(value) in self.seen:
            self.write("again", self.seen[id(value)][0])
            return
        self.seen[id(value)] = (len(self.seen), value)
        own_word = None if isinstance(value, type) else getattr(value, "fingerprint", None)
        if isinstance(own_word, str):
            self.write("fingerprint", own_word)
        elif isinstance(value, Tensor):
            self.read_tensor(value)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            self.write("array", value.dtype, value.shape, np.ascontiguousarray(value).tobytes())
        elif isinstance(value, dict):
            self.write("dict", len(value))
            for key, item in value.items():
                self.read(key)
                self.read(item)
        elif isinstance(value, list | tuple):
            self.write(type(value).__name__, len(value))
            for item in value:
                self.read(item)
        elif isinstance(value, set | frozenset):
            self.write("set", *sorted(contents(item, skip_unknown=self.skip_unknown) for item in value))
        elif isinstance(value, functools.partial):
            self.write("partial")
            self.read([value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            self.write("method")
            self.read([value.__func__, value.__self__])
        elif isinstance(value, types.FunctionType):
            self.read_function(value)
        elif isinstance(value, _BUILT_IN):
            self.write("built in", getattr(value, "__module__", ""), getattr(value, "__qualname__", repr(value)))
        elif isinstance(value, property | staticmethod | classmethod):
            parts = [value.fget, value.fset] if isinstance(value, property) else [value.__func__]
            self.write(type(value).__name__)
            self.read(parts)
        elif isinstance(value, type):
            self.read_class(value)
        elif isinstance(value, nn.Module):
            self.read_module(value)
        elif hasattr(value, "__dict__") and not isinstance(value, types.GeneratorType):
            self.read(type(value))
            self.read(dict(sorted(vars(value).items())))
        elif self.skip_unknown:
            self.write("unknown", type(value).__qualname__)
        else:
            raise Unidentifiable(f"the contents of a {type(value).__module__}.{type(value).__qualname__}")

    def read_tensor(self, tensor: Tensor) -> None:
        plain = tensor.detach().cpu().contiguous().as_subclass(Tensor)
        self.write("tensor", plain.dtype, tuple(plain.shape))
        self.write(memoryview(plain.reshape(-1).view(torch.uint8).numpy()))

    def read_function(self, function: types.FunctionType) -> None:
        self.write("function", function.__module__, function.__qualname__)
        if not _is_installed(function):
            self.write("code", _code_digest(function.__code__))
        self.read([function.__defaults__, function.__kwdefaults__])
        used, of_the_course = used_values(function), (function.__module__ or "").partition(".")[0] == "segbook"
        for name, value in used.items():
            # The package's own tables and caches are no settings; what its functions call, and their closures, is read.
            closed_over = name in function.__code__.co_freevars
            if closed_over or not of_the_course or isinstance(value, (*_PLAIN, types.FunctionType, type)):
                self.write(name)
                self.read(value)

    def read_class(self, cls: type) -> None:
        self.write("class", cls.__module__, cls.__qualname__)
        if _is_installed(cls):
            return
        for base in cls.__bases__:
            self.read(base)
        for name, value in sorted(vars(cls).items()):
            if isinstance(value, (types.FunctionType, property, staticmethod, classmethod, *_PLAIN)):
                if name not in ("__doc__", "__module__", "__qualname__", "__firstlineno__"):
                    self.write(name)
                    self.read(value)

    def read_module(self, module: nn.Module) -> None:
        """A net: its parts, their settings, weights, and which weights are fixed."""
        self.read(type(module))
        self.read(settings(module))
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            self.write(name, tensor.requires_grad)
            self.read(tensor)
        for name, child in module.named_children():
            self.write(name)
            self.read(child)


def settings(module: nn.Module) -> dict[str, object]:
    """The public attributes of one layer beside its weights and its children, by name; whether it trains is none."""
    return {name: value for name, value in sorted(vars(module).items()) if name[0] != "_" and name != "training"}


def architecture(model: nn.Module) -> str:
    """A digest of the code and the settings of a net, whatever its weights are.

    The printed net does not show these: what a ``forward`` does between the layers, and attributes such as a list of rates.
    """
    parts = []
    for name, module in model.named_modules():
        plain = {k: v for k, v in settings(module).items() if not isinstance(v, nn.Module | types.MethodType)}
        parts.append((name, type(module), plain))
    return contents(parts, skip_unknown=True)


@functools.cache
def _code_digest(code: types.CodeType) -> str:
    """A digest of what the code does; line numbers and docstrings are no part of its instructions."""
    reader = _Reader(skip_unknown=True)
    for instruction in dis.get_instructions(code):
        reader.write(instruction.opname)
        if isinstance(instruction.argval, types.CodeType):
            reader.write(_code_digest(instruction.argval))
        else:
            reader.read(instruction.argval)
    return reader.hash.hexdigest()


def _global_names(code: types.CodeType) -> set[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_global_names(part) for part in code.co_consts if isinstance(part, types.CodeType)))


def _is_installed(thing) -> bool:
    """Whether a function or class comes from Python or an installed package other than this one: its name tells it."""
    package = (getattr(thing, "__module__", None) or "__main__").partition(".")[0]
    if package in ("segbook", "__main__"):
        return False
    if package in ("builtins", "torch", "numpy"):
        return True
    file = getattr(sys.modules.get(package), "__file__", None)
    return file is not None and file.startswith(_INSTALLED)
