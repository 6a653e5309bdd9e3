"""A file for HDF5 to write that takes whatever it is given, and tells afterwards whether it was kept."""

import io


class Sink(io.RawIOBase):
    """A new file. Once a write has failed, as on a full disk, all that follows is dropped; `check` then raises.

    The C library of HDF5 never lets go of a file that it could not write: it tries again when Python ends, and crashes.
    """

    def __init__(self, path):
        super().__init__()
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - open until close()
        self._error = None

    def check(self):
        """Raise the OSError that kept the file from being written, if there was one."""
        if self._error is not None:
            raise self._error

    def close(self):
        """Close the file."""
        self._file.close()
        super().close()

    def seekable(self):
        return True

    def readable(self):
        return True

    def writable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def readinto(self, buffer):
        return self._file.readinto(buffer)

    def write(self, data):
        rest = size = memoryview(data).nbytes
        view = memoryview(data).cast("B")
        try:
            while rest and self._error is None:
                rest -= self._file.write(view[size - rest :])
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size=None):
        try:
            return self._file.truncate(size) if self._error is None else size
        except OSError as error:
            self._error = error
            return size
