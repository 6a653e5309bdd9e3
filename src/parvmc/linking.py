"""Of what is compiled into a kernel, machine code for the kernel alone: half the time of a cold start.

numba optimises every function with all that it calls, and turns it into machine code, before it does the same with the
function that calls it: what lies five calls deep is compiled six times, and only the outermost copy ever runs. Here a
function waits, linked with what it calls, until somebody asks for its address. Python does so for what has a wrapper,
as kernels have; row functions and operations have none.
"""

from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target


class LinkedLibrary(JITCodeLibrary):
    """The code of one function and of what it calls, optimised and made machine code when an address is asked for."""

    has_machine_code = False
    _only_links = False

    def finalize(self):
        """Link what the function calls, and inline what is to be inlined."""
        self._only_links = True
        super().finalize()
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


def link_first():
    """Make numba do so in this process from now on."""
    codegen = cpu_target.target_context.codegen()
    set_environment = codegen.set_env

    def set_env(name, environment):
        # where Python finds a function's globals; what is not machine code has none, nor has what a cache gives back
        if codegen._engine.get_global_value_address(name):
            set_environment(name, environment)

    codegen._library_class = LinkedLibrary
    codegen.set_env = set_env
