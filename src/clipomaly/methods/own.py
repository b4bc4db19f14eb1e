"""A method that is not ours: `--method package.module:factory` imports the module and calls the factory.

    factory(settings, vocabulary, encoder) → a `Method`, or an `Opened` with its provenance and notices

It takes those of the three that it names, so a class whose `__init__` asks for none will do. `encoder` is a
function that opens the model of `--model` when it is called. Nothing is imported until such a method is asked
for; the working directory is importable then, as under `python -m`.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module, invalidate_caches
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from clipomaly.errors import ConfigError
from clipomaly.methods.seam import Method

__all__ = ["checked", "code_hash", "is_own", "make_own", "safe_name"]

_PAGE = "docs/methods/your-own.md shows a whole one"


def is_own(method: str) -> bool:
    """Whether a method's name leads to code of somebody else: a colon marks it.

    >>> is_own("my_package.my_method:Mine"), is_own("clipomaly")
    (True, False)
    """
    return ":" in method


def safe_name(text: str) -> str:
    """A name for folders and tables: letters, digits, `_` and `-`.

    >>> safe_name("Far from median (v1.2)"), safe_name("max-logit"), safe_name("../..")
    ('Far-from-median-v1-2', 'max-logit', '')
    """
    return re.sub(r"[^\w]+", "-", text).strip("-")[:80]


def make_own(path: str, **given: object) -> object:
    """What the factory at `module:name` returns, called with those of `given` that it names.

    >>> make_own("collections:OrderedDict")
    OrderedDict()
    """
    factory = _find(path)
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # written in C: nothing is known about it
        return factory()
    extra = [
        p.name
        for p in parameters
        if p.default is p.empty and p.name not in given and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if extra:
        raise ConfigError(
            f"method {path} asks for {', '.join(extra)}: it can have {', '.join(given)}; others need defaults"
        )
    return factory(**{p.name: given[p.name] for p in parameters if p.name in given})


def checked(path: str, made: object) -> Method:
    """What a factory returned, if it is a method; else ConfigError with what it lacks."""
    if made is None or isinstance(made, type):
        what = "nothing" if made is None else f"the class {made.__name__} itself, not one of it"
        raise ConfigError(f"method {path} returned {what}: let it return its method; {_PAGE}")
    name = getattr(made, "name", None)
    lacks = [] if isinstance(name, str) and safe_name(name) else ["`name`, a text"]
    if not callable(getattr(made, "predict", None)):
        lacks.append("`predict(images, vocabulary)`")
    if lacks:
        raise ConfigError(
            f"what method {path} returned (of type {type(made).__name__}) is no method: it lacks "
            f"{' and '.join(lacks)}; {_PAGE}"
        )
    return made  # type: ignore[return-value]


def code_hash(path: str) -> str:
    """Hash of the module's own file, by which a run that goes on knows its method again; '' without one."""
    file = getattr(sys.modules.get(path.partition(":")[0]), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file and Path(file).is_file() else ""


def _find(path: str) -> Callable[..., object]:
    module_name, _, name = path.partition(":")
    if not (_is_dotted(module_name) and _is_dotted(name)) or module_name.endswith(".py"):
        dotted = module_name.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
        fits = _is_dotted(dotted) and _is_dotted(name)
        raise ConfigError(
            f"method {path!r} is no package.module:factory"
            + (f": write {dotted}:{name}" if fits else f"; {_PAGE}")
        )
    module = _import(path, module_name)
    try:
        found: Any = attrgetter(name)(module)
    except AttributeError as error:
        home = ((n, getattr(v, "__module__", None)) for n, v in vars(module).items() if callable(v))
        own = [n for n, where in home if where == module_name]
        has = f"it has {', '.join(sorted(own))}" if own else "it defines none"
        raise ConfigError(
            f"method {path}: {getattr(module, '__file__', module_name)} has no {name}; {has}"
        ) from error
    if not callable(found):
        raise ConfigError(
            f"method {path} is of type {type(found).__name__}: name a class, or a function that returns the "
            "method"
        )
    return found  # type: ignore[no-any-return]


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _import(path: str, name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    invalidate_caches()
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != name and not name.startswith(f"{missing}."):
            raise ConfigError(
                f"method {path}: module {name} needs {missing}, which is not installed here: install it"
            ) from error
        raise ConfigError(
            f"method {path}: there is no module {missing}, neither installed nor in {here}: run in the "
            "folder that holds it, or add that to PYTHONPATH"
        ) from error
