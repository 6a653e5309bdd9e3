"""A checksum of a whole HDF5 file, as bytes after its end, which HDF5 passes over.

HDF5 keeps checksums of its own structure alone: a flipped bit in values goes unnoticed, and one in text of variable
length can make its reader run in circles. A program that writes to such a file drops the bytes after the end with that.
"""

import errno
import hashlib
import os
import stat
import struct

MAGIC = b"parvmc blake2b 1"
TRAILER = struct.Struct("<16sQ64s")  # MAGIC, bytes before it, their digest
SUPERBLOCK = struct.Struct("<8sB19xQ")  # an HDF5 file's signature, the version of its first block, where its data end
SIGNATURE, VERSIONS = b"\x89HDF\r\n\x1a\n", (2, 3)
LARGEST = 1 << 30  # hashed each time that it is opened: a second or so
BYTES_PER_READ = 1 << 24


class Wrong(Exception):
    """The bytes of a file are not those that were written; the message is the reason in a few words."""


def _digest(file, length):
    found = hashlib.blake2b()
    while length and (block := file.read(min(length, BYTES_PER_READ))):
        found.update(block)
        length -= len(block)
    return found.digest()


def append(path):
    """Add the checksum to a file that was just written."""
    with open(path, "r+b") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        digest = _digest(file, length)
        file.write(TRAILER.pack(MAGIC, length, digest))


def require_file(path):
    """Raise OSError where a path is no regular file: to open a pipe would wait for its other end."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        code = errno.EISDIR if stat.S_ISDIR(mode) else None
        raise OSError(code, os.strerror(code)) if code else OSError("it is a pipe or a device, not a file")


def check(path, largest=LARGEST):
    """Return whether a file has a checksum and was found to be right; False also where it is larger than `largest`.

    Raises Wrong where the file has changed since, or has lost its end; OSError where it cannot be read.
    """
    require_file(path)
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TRAILER.size))
        magic, length, digest = TRAILER.unpack(file.read(TRAILER.size).ljust(TRAILER.size, b"\0"))
        file.seek(0)
        signature, version, end = SUPERBLOCK.unpack(file.read(SUPERBLOCK.size).ljust(SUPERBLOCK.size, b"\0"))
        has_end = signature == SIGNATURE and version in VERSIONS
        if magic != MAGIC and not (has_end and end < size):
            return False  # of an older version, or written to by another program
        if magic != MAGIC or length != size - TRAILER.size:
            raise Wrong("what follows its end is not its checksum, or not all of it")
        if size > largest:
            return False
        file.seek(0)
        if _digest(file, length) != digest:
            raise Wrong("its checksum is wrong: its bytes have changed since it was written")
    return True
