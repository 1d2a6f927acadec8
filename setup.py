"""The compiled half of the build; everything else stands in pyproject.toml.

Three environment variables change how the kernel is built (see CONTRIBUTING.md):

TCALLOC_SANITIZE=address,undefined   compile and link with these gcc/clang sanitizers
TCALLOC_NO_SIMD=1                    without the AVX2 forms of two loops, as on other machines (_simd.h)
TCALLOC_COVERAGE=1                   line tracing, so that coverage.py sees the .pyx lines
"""

import os
import sys
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = ["_oracle", "_stopping", "_votes"]

# One wheel for Python 3.11 and all later ones: the kernels lose less than 2 % by the stable ABI (CONTRIBUTING.md).
# Python without a GIL has no stable ABI yet, and Cython traces lines only without it.
OLDEST_PYTHON = (3, 11)

sanitize = os.environ.get("TCALLOC_SANITIZE", "")
coverage = os.environ.get("TCALLOC_COVERAGE", "") not in ("", "0")

# NumPy cannot be loaded in a second interpreter of a process, so the kernels need not be; tests/test_interpreters.py.
directives = {"language_level": 3, "linetrace": coverage, "subinterpreters_compatible": "no"}
macros = [("CYTHON_TRACE_NOGIL", "1")] if coverage else []
stable_abi = not coverage and not sysconfig.get_config_var("Py_GIL_DISABLED")
if stable_abi:
    major, minor = OLDEST_PYTHON
    macros += [("CYTHON_LIMITED_API", "1"), ("Py_LIMITED_API", f"0x{major:02X}{minor:02X}0000")]
if os.environ.get("TCALLOC_NO_SIMD", "") not in ("", "0"):
    macros.append(("TCALLOC_NO_SIMD", "1"))

if sys.platform == "win32":
    compile_args, link_args = ["/O2", "/fp:precise"], []
else:
    # -ffp-contract=off: the compensated sums are exact only if no multiply and add are fused behind their back.
    # -g0 shrinks the library to a third. Hidden: nothing but the modules' initialisers can be seen from outside.
    compile_args, link_args = ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"], []
if sanitize:
    flags = [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer", "-g1", "-O1"]
    compile_args, link_args = [*compile_args, *flags], [f"-fsanitize={sanitize}"]

extensions = [
    Extension(
        f"tcalloc.{name}",
        [f"src/tcalloc/{name}.pyx"],
        depends=["src/tcalloc/_simd.h"],
        include_dirs=["src/tcalloc"],  # the generated C lies elsewhere
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        define_macros=macros,
        py_limited_api=stable_abi,
    )
    for name in KERNELS
]

# A source distribution and metadata need no C. build_dir: what is generated stays out of src/, and so out of the sdist.
if not {"sdist", "egg_info", "dist_info"} & set(sys.argv):
    extensions = cythonize(extensions, build_dir="build/cython", compiler_directives=directives)

setup(
    ext_modules=extensions,
    options={"bdist_wheel": {"py_limited_api": "cp{}{}".format(*OLDEST_PYTHON)}} if stable_abi else {},
)
