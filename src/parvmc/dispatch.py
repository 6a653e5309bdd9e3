"""One operation, many packs, chosen by type: the glue between components, inside kernels and outside.

A *pack* is a NamedTuple of arrays and numbers that a compiled kernel can use. An *operation* is a generic function that
is documented in operations.py and empty there. `implements(operation, Pack)` registers one implementation for both
worlds: `functools.singledispatch` for Python and `numba.extending.overload` inside kernels. Composition by type is what
a disk cache can find again; closures over jitted functions, or jitted functions as arguments, are compiled anew
by every process.
"""

import functools
import importlib
import pkgutil
from dataclasses import dataclass

import numba
from numba.core.registry import CPUDispatcher
from numba.extending import overload

from parvmc.kernel_cache import KernelCache
from parvmc.linking import linked

KERNEL_OPTIONS = {
    # numpy's error model: with Python's each division is a branch and the loop is not vectorised
    "error_model": "numpy",
    # no reassociation: it destroys the arithmetic that relies on rounding (exponentials, order-independent sums)
    "fastmath": {"contract", "nsz", "arcp"},
}

# a row function takes seven arguments for each row, which cost a call as much as the loop over 128 lanes that it is for
INLINED = {"forceinline": True}

INSIDE = INLINED | {"no_cfunc_wrapper": True, "_nrt": False}
"""Of what is only ever called inside of kernels: arrays are borrowed from the caller, without counts of references.

A pack has many arrays; to count each of them in every function is a third of all compiling. What is compiled so must
neither allocate an array (numba refuses) nor return one, nor call what returns one (nobody would ever free it).
"""


class Kernel(CPUDispatcher):
    """A compiled function, of which what it calls has no machine code of its own."""

    def compile(self, signature):
        """Compile for the types of a signature and return what Python calls."""
        with linked():
            return super().compile(signature)


class RowFunction(Kernel):
    """A function that kernels call, without machine code of its own; for a call from Python there is a twin with it.

    Two of them cannot call each other: numba would ask for the address of one.
    """

    @functools.cached_property
    def twin(self):
        """The same, compiled with the wrapper that Python needs."""
        return _dispatcher(Kernel, self.py_func, INSIDE)

    def __call__(self, *arguments):
        """Return what the twin returns."""
        return self.twin(*arguments)


def _dispatcher(kind, function, options):
    """Return what `numba.njit` would, of that kind; the function itself where there is to be no compiling."""
    if numba.config.DISABLE_JIT:
        return function
    return kind(function, targetoptions=KERNEL_OPTIONS | options | {"nopython": True, "boundscheck": None})


def row_function(function):
    """Decorate what kernels call."""
    return _dispatcher(RowFunction, function, INSIDE | {"no_cpython_wrapper": True})


def compiled(function):
    """Decorate what Python calls: it is compiled when it is first called with packs of some types."""
    return _dispatcher(Kernel, function, {"no_cfunc_wrapper": True})


def kernel(function):
    """Decorate an entry kernel: it is compiled when it is first called with packs of some types, and kept on the
    disk."""
    dispatcher = compiled(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = KernelCache(function)  # where numba's own would be
    return dispatcher


def operation(function, options=None):
    """Make an empty, documented function an operation that packs can implement; options: of numba, INSIDE if None."""
    dispatcher = functools.singledispatch(function)
    table = {}
    dispatcher.packs = table

    def resolve(*arguments):
        pack = getattr(arguments[0], "instance_class", None)
        return table.get(pack, table.get(object))

    if not numba.config.DISABLE_JIT:
        # Python has the implementation itself, and needs no wrapper of what is compiled
        options = KERNEL_OPTIONS | (INSIDE if options is None else options) | {"no_cpython_wrapper": True}
        overload(dispatcher, strict=False, jit_options=options)(resolve)
    return dispatcher


def allocating_operation(function):
    """Make an operation of a function that may allocate arrays and return them, or call those that do."""
    return operation(function, INLINED | {"no_cfunc_wrapper": True})


def implements(operation, *packs):
    """Register the decorated function as what `operation` does when its first argument is one of `packs`."""

    def register(function):
        for pack in packs:
            operation.register(pack)(function)
            operation.packs[pack] = function
        return function

    return register


def otherwise(operation):
    """Register the decorated function as what `operation` does for every pack that does not implement it."""
    return implements(operation, object)


settings = dataclass(frozen=True, kw_only=True)
"""Decorator for the settings of a component: annotated fields with defaults, filled by config.py from the deck."""


@dataclass(frozen=True)
class Kinds:
    """Annotation of a settings field that holds a component (or a tuple of them): the known ones by their `kind`."""

    known: dict
    many: bool = False


def discover(package):
    """Import every module of a package and return {kind: Settings} of the components found there.

    A component is one file with a class `Settings` that has a field `kind`; adding a file adds the component.
    """
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        component = importlib.import_module(f"{package.__name__}.{module.name}")
        if hasattr(component, "Settings"):
            found[component.Settings.kind] = component.Settings
    return found
