#!/bin/bash
# Installs parvmc with an MPI library of its own and ends in a small run, in a container (parvmc.def) or anywhere else:
#     container-post.sh SOURCE PREFIX        # the checkout; the virtual environment that is made
# Needs Python 3.11 or newer with its venv module as python3, and a package index. The source is not written to.
set -euo pipefail
source=$(realpath "$1")
prefix=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
cp -r "$source"/{pyproject.toml,README.md,LICENSE,src} "$work/source"

python3 -m venv "$prefix"
"$prefix/bin/pip" install --quiet --no-cache-dir "$work/source[mpich]"

# What is compiled here stays here: the processor that runs the image later may be another.
cd "$work"
OMP_NUM_THREADS=1 PARVMC_CACHE_DIR="$work" "$prefix/bin/mpirun" -n 2 "$prefix/bin/python" -m parvmc \
    "$source/inputs/two_electrons_free.toml" --set optimizer.iterations=100 --set production.samples=1048576
"$prefix/bin/python" -c "import parvmc.results as r; print('status:', r.open('two_electrons_free.h5').status)"
