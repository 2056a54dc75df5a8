"""What a tree of files looks like: everything that an image says of them."""

import collections
import contextlib
import hashlib
import os
import stat
import subprocess
from pathlib import Path

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "character device",
         stat.S_IFBLK: "block device", stat.S_IFIFO: "fifo"}
FOREIGN = {"security.selinux"}  # of the host that unpacked
SHOWN = 40  # differences


@contextlib.contextmanager
def mounted(image, directory):
    """The file system in `image`, by a loop device that goes with the mount."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "ext4", "-o", "ro,loop", image, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def describe(root):
    """{path: {what: value}} of everything below `root`, and of itself as b"."."""
    names = collections.defaultdict(list)  # of files with several
    contents, tree = {}, {}
    root = os.fsencode(root)
    for path in paths_of(root):
        place = os.path.join(root, path)
        status = os.lstat(place)
        tree[path] = entry = {
            "type": TYPES[stat.S_IFMT(status.st_mode)],
            "mode": oct(stat.S_IMODE(status.st_mode)),
            "owner": (status.st_uid, status.st_gid),
            "mtime": status.st_mtime_ns,
            "xattrs": xattrs_of(place),
        }
        if status.st_nlink > 1 and entry["type"] != "directory":
            names[status.st_ino].append(path)
        if entry["type"] == "file":
            entry["size"] = status.st_size
            if status.st_ino not in contents:
                contents[status.st_ino] = digest_of(place) if status.st_size > 0 else ""
            entry["content"] = contents[status.st_ino]
        elif entry["type"] == "symlink":
            entry["target"] = os.readlink(place)
        elif entry["type"].endswith("device"):
            entry["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    for group in names.values():
        for path in group:
            tree[path]["names"] = sorted(group)
    return tree


def paths_of(root):
    yield b"."
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            yield os.path.join(folder, name)[len(root) + 1:]


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def xattrs_of(path):
    return {name: os.getxattr(path, name, follow_symlinks=False)
            for name in sorted(os.listxattr(path, follow_symlinks=False)) if name not in FOREIGN}


def differences(expected, found):
    """One line for each."""
    lines = [f"{show(path)}: is missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{show(path)}: is too much" for path in sorted(found.keys() - expected.keys())]
    for path in sorted(expected.keys() & found.keys()):
        one, other = expected[path], found[path]
        lines += [f"{show(path)}: {what} is {other.get(what)}, not {one.get(what)}"
                  for what in sorted(one.keys() | other.keys()) if one.get(what) != other.get(what)]
    return lines


def show(path):
    return repr(os.fsdecode(path))


def e2fsck(image):
    """Throws with its words when it finds anything."""
    done = subprocess.run(["/sbin/e2fsck", "-fn", Path(image)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"e2fsck -fn {image}:\n{done.stdout}{done.stderr}")
