"""A bound: writes the data of files, and only the data, and waits until it is on disk.

    write_data.py TARGET_DIRECTORY FILE...

The sources are in the page cache, so what remains is what no puller can do without: a copy of the data
into new files with the same holes, and the wait for the disk.
"""
import os
import pathlib
import sys

BUFFER_SIZE = 256 * 1024


def data_extents(descriptor, size):
    """Yields (start, end) of what is not a hole."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole until the end
            return
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position


def copy_data(source, target):
    size = os.fstat(source).st_size
    buffer = memoryview(bytearray(BUFFER_SIZE))
    for start, end in data_extents(source, size):
        while start < end:
            count = os.preadv(source, [buffer[: min(BUFFER_SIZE, end - start)]], start)
            os.pwrite(target, buffer[:count], start)
            start += count
    os.ftruncate(target, size)
    os.fsync(target)


def main():
    directory = pathlib.Path(sys.argv[1])
    for path in map(pathlib.Path, sys.argv[2:]):
        with open(path, "rb") as source, open(directory / path.name, "xb") as target:
            copy_data(source.fileno(), target.fileno())
    folder = os.open(directory, os.O_RDONLY)
    os.fsync(folder)


if __name__ == "__main__":
    main()
