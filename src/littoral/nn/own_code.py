"""What is not littoral's in a network: registered classes and networks of one's own, told apart by their code.

A description names them by their type, so two that are called alike look alike. What is found again by description
(features, finished runs, checkpoints) holds this beside it. Code that they call elsewhere is not looked at.
"""

from __future__ import annotations

import hashlib
from types import CodeType, FunctionType

import torch
from torch import nn

from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.fusion.base import FusionConfig
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.networks import BUILT_IN

VERSIONED = ("littoral", "torch", "builtins")
"""Packages whose code is told by their versions."""


def code_of(module: nn.Module) -> str:
    """A digest of how a module is put together and of the code of its classes that are not littoral's or torch's."""
    digest = hashlib.sha256(repr(module).encode())
    for kind in dict.fromkeys(kind for part in module.modules() for kind in type(part).__mro__):
        if kind.__module__.partition(".")[0] in VERSIONED:
            continue
        digest.update(f"\n{kind.__qualname__}".encode())
        for name, value in sorted(vars(kind).items()):
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if isinstance(function, FunctionType):
                digest.update(f"\n{name} {_whole(function)}".encode())
            elif not name.startswith("__"):
                digest.update(f"\n{name} {_in_order(value)}".encode())
    return digest.hexdigest()


def _whole(function: FunctionType) -> str:
    """A function with its defaults, and where it is wrapped by a decorator, what is wrapped too."""
    told = []
    inner: object = function
    while isinstance(inner, FunctionType):
        told.append(f"{_told(inner.__code__)} {_in_order((inner.__defaults__, inner.__kwdefaults__))}")
        inner = getattr(inner, "__wrapped__", None)
    return " ".join(told)


def own_code(config: FusionNetConfig) -> dict[str, str]:
    """By name, `code_of` each branch that is not littoral's, with the weights of a pretrained one, and of the fusion.

    Pretrained networks that are not littoral's are timm's and those of one's own.
    """
    own = [name for name, branch in config.branches.items() if not _ours(branch)]
    if not own and _ours(config.fusion):
        return {}
    model = seeded_model(config, 0)
    found = {name: code_of(model.branches[name]) for name in own}
    for name in own:
        if isinstance(config.branches[name], BackboneConfig):
            found[name] += state_hash(model.branches[name])
    if model.fusion is not None and not _ours(config.fusion):
        found["fusion"] = code_of(model.fusion)
    return found


def state_hash(module: nn.Module) -> str:
    """Of all weights and buffers of a module that are kept with it: their names, shapes, types and values."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(f"\n{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _ours(described: BranchConfig | FusionConfig) -> bool:
    if isinstance(described, BackboneConfig):
        return described.network in BUILT_IN
    return type(described).__module__.startswith("littoral.")


def _told(code: CodeType) -> str:
    """What a function does, and not in which line of which file it stands."""
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, list(map(_in_order, code.co_consts))))


def _in_order(value: object) -> str:
    """A value in words that are the same in every process; of what is not plain, its type alone."""
    if isinstance(value, CodeType):
        return _told(value)
    if isinstance(value, FunctionType):
        return _told(value.__code__)
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(map(_in_order, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(sorted(f'{_in_order(key)}: {_in_order(kept)}' for key, kept in value.items()))})"
    if isinstance(value, frozenset | set):
        return f"set({', '.join(sorted(map(_in_order, value)))})"
    plain = value is None or value is ... or isinstance(value, bool | int | float | complex | str | bytes)
    return repr(value) if plain else f"of {type(value).__qualname__}"
