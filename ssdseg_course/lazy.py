"""Modules that are imported when something in them is asked for: TensorFlow takes seconds, and most commands do not
need it."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from ssdseg_course.quiet import import_keras


class LazyModule(ModuleType):
    """Stands for a module that imports Keras, until one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if "keras" not in sys.modules:
            import_keras()
        module = sys.modules.get(self.__name__) or import_module(self.__name__)
        return getattr(module, name)
