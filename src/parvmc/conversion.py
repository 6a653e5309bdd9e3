"""Result files as xarray and ArviZ have them, where those are installed. Nothing here is needed to read a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parvmc.stored import LazyArray, StoredFile

if TYPE_CHECKING:
    import arviz
    import xarray

NEEDED = "{0} is not installed: pip install 'parvmc[{0}]'"


def to_xarray(file: StoredFile) -> xarray.DataTree:
    """Return all groups of a result file as an xarray.DataTree; arrays stay in the file until they are needed.

    Dimensions have the names of the file's coordinates (step, batch, iteration, r, ...); `level` is the row of a
    blocking table, and axes without coordinates have names such as w_0 and w_1.
    """
    xarray = _xarray()
    found = {f"/{group}": _dataset(file, group) for group in _groups(file, "")}
    attributes = file.attributes("/") | ({"input": file.value("input")} if "input" in file else {})
    return xarray.DataTree.from_dict({**found, "/": xarray.Dataset(attrs=attributes)})


def to_arviz(file: StoredFile, names: tuple[str, ...]) -> arviz.InferenceData | xarray.DataTree:
    """Return production series as ArviZ wants them: group `posterior`, chains are batches, draws are rows.

    Group `sample_stats` has the acceptance of the whole run, a single number, where the run is finished. ArviZ before
    1.0 has InferenceData, later it takes xarray's DataTree. names: of the series, all of them read into memory. Raises
    ValueError before production.
    """
    try:
        import arviz
    except ImportError:
        raise ImportError(NEEDED.format("arviz")) from None
    xarray = _xarray()
    if not names:
        raise ValueError(f"{file.path}: production has not begun")
    axes = {"chain": file.value("production/batch"), "draw": np.arange(len(file.value("production/step")))}
    posterior = xarray.Dataset(
        {name: _turned(file, f"production/{name}") for name in names},
        {**axes, "step": ("draw", file.value("production/step"))},
        {"inference_library": "parvmc", **file.attributes("/")},
    )
    groups = {"posterior": posterior}
    if "result/acceptance" in file:
        found = {"acceptance_rate": ((), file.value("result/acceptance"), file.attributes("result/acceptance"))}
        groups["sample_stats"] = xarray.Dataset(found)
    own = getattr(arviz, "InferenceData", xarray.DataTree)  # since 1.0 another name of DataTree
    return xarray.DataTree.from_dict(groups) if issubclass(own, xarray.DataTree) else own(**groups)


def _xarray() -> Any:
    try:
        import xarray
    except ImportError:
        raise ImportError(NEEDED.format("xarray")) from None
    return xarray


def _turned(file: StoredFile, path: str) -> tuple[tuple[str, str], np.ndarray, dict[str, Any]]:
    return ("chain", "draw"), np.ascontiguousarray(file.value(path).T), file.attributes(path)


def _groups(file: StoredFile, above: str) -> list[str]:
    """Paths of all groups below one, without a slash at the front."""
    found = []
    for name in file.names(above or "/"):
        path = f"{above}/{name}" if above else name
        if file.is_group(path):
            found += [path, *_groups(file, path)]
    return found


def _dataset(file: StoredFile, group: str) -> xarray.Dataset:
    """Return the datasets of one group; the one-dimensional ones that axes are named after become coordinates."""
    variables = {}
    for name in file.names(group):
        path = f"{group}/{name}"
        if not file.is_group(path):
            shape, _, axes = file.layout(path)
            own = [f"{name}_{number}" for number in range(len(shape))]
            if group.startswith("blocking/"):
                own = ["level"]
            elif any(path in file.layout(f"{group}/{other}")[2] for other in file.names(group)):
                own = [name]  # a coordinate itself
            dimensions = [axis.rpartition("/")[2] or other for axis, other in zip(axes, own, strict=True)]
            values = _lazy(file.array(path)) if shape else file.value(path)
            variables[name] = (dimensions, values, file.attributes(path))
    return _xarray().Dataset(variables, attrs=file.attributes(group))


def _lazy(array: LazyArray) -> Any:
    """Return an array that xarray reads from the file when its values are needed."""
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class InFile(BackendArray):
        shape, dtype = array.shape, array.dtype

        def __getitem__(self, key: Any) -> np.ndarray:
            support = indexing.IndexingSupport.BASIC
            return indexing.explicit_indexing_adapter(key, self.shape, support, array.__getitem__)

    return indexing.LazilyIndexedArray(InFile())
