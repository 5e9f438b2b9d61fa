"""Extras: packages that only some features need, imported when one of these is used."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["extra"]


def extra(module: str, name: str, feature: str) -> Any:
    """Import a module of an optional package, or say how to install it.

    Args:
        module: the module's full name.
        name: the extra of this package that brings it.
        feature: who needs it, for the error.

    Returns:
        the module.

    Raises:
        ModuleNotFoundError: the package is not installed. An error inside of an installed one stays as it is.

    >>> extra("a_package.part", "plots", "plot_values")
    Traceback (most recent call last):
    ModuleNotFoundError: plot_values needs a_package, which is not installed: pip install 'ignite_signals[plots]'
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f"{feature} needs {package}, which is not installed: pip install 'ignite_signals[{name}]'", name=package
        ) from error
