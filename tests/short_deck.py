"""A deck with next to no work, for tests of how a run is started."""

from conftest import TWO_ELECTRONS

DECK = f"""
seed = 5
{TWO_ELECTRONS}hidden = 2

[sampler]
walkers = 256
lanes = 64
equilibration = 20

[optimizer]
iterations = 0

[production]
samples = 25_600
"""


def write(folder):
    """Write it into a folder and return its path; it has 4 batches and needs two kernels."""
    path = folder / "small.toml"
    path.write_text(DECK)
    return path
