"""handan: does a language model that learns to reason learn when to think hard?

    >>> import handan
    >>> handan.align("costs.csv")        # or a data frame, or records

``docs/python.md`` has all of it. What these names need is imported when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handan import norms
    from handan.api import Alignment, Charts, align, compare, evaluate
    from handan.errors import UserError

__version__ = "0.1.0"
__all__ = ["Alignment", "Charts", "UserError", "align", "compare", "evaluate", "norms"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'handan' has no attribute '{name}'")
    if name == "norms":
        return import_module("handan.norms")
    return getattr(import_module("handan.errors" if name == "UserError" else "handan.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
