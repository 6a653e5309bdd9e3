"""Of what is compiled into a kernel, machine code for the kernel alone: half the time of a cold start.

numba optimises every function with all that it calls, and turns it into machine code, before it does the same with the
function that calls it: what lies five calls deep is compiled six times, and only the outermost copy ever runs. Here a
function waits, linked with what it calls, until somebody asks for its address. Python does so for what has a wrapper,
as kernels have; row functions and operations have none.

This leans on numba's code generator, which is its own business and may change; numba's own way is the same but slower.
"""

import contextlib

from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys


class LinkedLibrary(JITCodeLibrary):
    """The code of one function and of what it calls, optimised and made machine code when an address is asked for."""

    has_machine_code = False
    _only_links = False

    def finalize(self):
        """Link what the function calls, and inline what is to be inlined."""
        self._only_links = True
        try:
            super().finalize()
        finally:
            self._only_links = False

    def get_pointer_to_function(self, name):
        """Return the address of a function, 0 where this library has none of that name."""
        self._ensure_finalized()
        if not self.has_machine_code:
            if all(function.name != name for function in self.get_defined_functions()):
                return 0
            self._optimize_final_module()
            self._final_module.verify()
            self._finalize_final_module()
        return super().get_pointer_to_function(name)

    def _optimize_final_module(self):
        if not self._only_links:
            super()._optimize_final_module()
            return
        passes, builder = self._codegen._module_pass_manager(
            opt=0, loop_vectorize=False, slp_vectorize=False, cost="cheap"
        )
        passes.run(self._final_module, builder)

    def _finalize_final_module(self):
        if self._only_links:
            self._finalized = True
            return
        super()._finalize_final_module()
        self.has_machine_code = True


_waiting = {}
"""What Python code in a function needs, a print for example, of functions that are not machine code yet."""


@contextlib.contextmanager
def linked():
    """Let numba compile so while it lasts: what others compile in this process is theirs."""
    rtsys.initialize(cpu_target.target_context)  # numba's run-time system, which is everybody's
    codegen = cpu_target.target_context.codegen()
    library_class, set_env = codegen._library_class, codegen.set_env
    if library_class is LinkedLibrary:  # a row function within a kernel
        yield
        return

    def set_where_it_is(name, environment):
        _waiting[name] = environment
        for each in [each for each in _waiting if codegen._engine.get_global_value_address(each)]:
            set_env(each, _waiting.pop(each))

    codegen._library_class, codegen.set_env = LinkedLibrary, set_where_it_is
    try:
        yield
    finally:
        codegen._library_class, codegen.set_env = library_class, set_env
