"""Layers that have everything a tar of an image may hold, in the form in which Docker writes them."""

import io
import os
import stat
import struct
import tarfile

DAY = 86_400
CAP_NET_RAW = 13


def capability(number):
    return struct.pack("<5I", 0x02000001, 1 << number, 0, 0, 0)


def access_acl(owner, user, group, mask, other):
    """system.posix_acl_access: rwx bits, `user` of the user 4711."""
    none = 0xFFFFFFFF
    entries = [(1, owner, none), (2, user, 4711), (4, group, none), (16, mask, none), (32, other, none)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


class Layer:
    """A tar. Every member has a time of its own."""

    def __init__(self, path):
        self.path = path
        self.members = 0
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tar.close()

    def add(self, name, kind, mode=0o644, content=b"", xattrs=None, **fields):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.size = kind, mode, len(content)
        self.members += 1
        member.mtime = 20 * 365 * DAY + self.members
        member.pax_headers = {f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
                              for key, value in (xattrs or {}).items()}
        member.pax_headers["mtime"] = fields.pop("time", f"{member.mtime}.{self.members:09}")
        for field, value in fields.items():
            setattr(member, field, value)
        self.tar.addfile(member, io.BytesIO(content))
        return self

    def file(self, name, content=b"", mode=0o644, **more):
        return self.add(name, tarfile.REGTYPE, mode, content, **more)

    def directory(self, name, mode=0o755, **more):
        return self.add(name, tarfile.DIRTYPE, mode, **more)

    def symlink(self, name, target, **more):
        return self.add(name, tarfile.SYMTYPE, 0o777, linkname=target, **more)

    def hard_link(self, name, target):
        return self.add(name, tarfile.LNKTYPE, linkname=target)

    def device(self, name, kind, major, minor):
        return self.add(name, kind, 0o660, devmajor=major, devminor=minor)

    def whiteout(self, name):
        folder, _, last = name.rpartition("/")
        return self.file(f"{folder}/.wh.{last}" if folder else f".wh.{last}")

    def opaque(self, name):
        return self.file(f"{name}/.wh..wh..opq")


def write_lowest(path, busybox):
    with Layer(path) as layer:
        layer.directory("./", 0o751, uid=5, gid=6)
        for folder in ("bin", "etc", "usr", "usr/lib", "usr/share", "dev", "old", "old/deep", "hidden", "hidden/deep",
                       "becomes-file", "becomes-link", "kept", "links", "names", "many"):
            layer.directory(folder)
        layer.file("bin/busybox", busybox, 0o755).symlink("bin/sh", "busybox")
        layer.symlink("lib", "usr/lib").symlink("absolute", "/usr/share").symlink("becomes-directory", "kept")
        layer.directory("sticky", 0o1777).directory("group", 0o2770, gid=70_000)
        for size in (0, 1, 4095, 4096, 4097, 70_000):
            layer.file(f"etc/{size}", b"x" * size)
        layer.file("etc/holes", b"a" + bytes(3_000_000) + b"z" + bytes(9_000))
        layer.file("etc/setuid", b"#!", 0o4755).file("etc/nobody", b"", 0o000, uid=2**32 - 2, gid=2**32 - 2)
        layer.file("etc/before-1970", time="-1000000.25").file("etc/1970", time="0")
        layer.file("etc/2100", time="4102444800.999999999")
        layer.file("etc/ping", b"ping", 0o755, xattrs={"security.capability": capability(CAP_NET_RAW)})
        layer.file("etc/attributes", xattrs={"user.text": b"a = \"b\"", "user.bytes": bytes(range(1, 256)),
                                             "user.large": b"x" * 3000, "trusted.own": b"1"})
        layer.file("etc/acl", b"", 0o674,
                   xattrs={"system.posix_acl_access": access_acl(6, 5, 4, 7, 4)})
        layer.directory("etc/attributes.d", xattrs={"user.of-a-directory": b"1"})
        layer.device("dev/null", tarfile.CHRTYPE, 1, 3).device("dev/sda", tarfile.BLKTYPE, 8, 0)
        layer.device("dev/large", tarfile.BLKTYPE, 259, 100_000).add("dev/fifo", tarfile.FIFOTYPE, 0o600)
        for length in (1, 59, 60, 61, 1000, 4095):
            layer.symlink(f"links/{length}", "t" * length)
        layer.symlink("links/nowhere", "../../../nowhere").symlink("links/loop", "loop")
        for name in ("n" * 255, "ä", os.fsdecode(b"\xff\xfe"), "line\nbreak", "Case", "case", " ", "-", "a b"):
            layer.file(f"names/{name}", name.encode("utf-8", "surrogateescape"))
        deep = "names" + "/d" * 150
        for depth in range(1, 151):
            layer.directory("names" + "/d" * depth)
        layer.file(f"{deep}/{'f' * 100}", b"deep")
        for number in range(3000):
            layer.file(f"many/{number:05}")
        layer.file("links/one", b"one").hard_link("links/two", "links/one").hard_link("links/three", "./links/two")
        layer.file("links/linked", b"old").file("old/file", b"old").file("old/deep/file", b"old")
        layer.file("hidden/file", b"old").file("hidden/deep/file", b"old").file("kept/file", b"old")
        layer.file("becomes-file/file", b"old").file("becomes-link/file", b"old").file("becomes-other", b"old")


def write_middle(path):
    with Layer(path) as layer:
        layer.whiteout("old/file").whiteout("old/deep").whiteout("links/three")
        layer.file("hidden/before", b"new").opaque("hidden").file("hidden/after", b"new")
        layer.directory("hidden/deep", 0o700)
        layer.file("becomes-file", b"file").symlink("becomes-link", "kept").directory("becomes-directory", 0o711)
        layer.directory("kept", 0o700, uid=1, xattrs={"user.new": b"1"})
        layer.hard_link("links/upper", "links/linked").file("links/linked", b"new")
        layer.hard_link("links/device", "dev/null").hard_link("links/symlink", "links/61")
        layer.file("lib/through-a-link", b"1").file("absolute/through-another", b"2")
        layer.file("etc/70000", b"short").file("etc/1", b"y" * 9000)
        layer.add("becomes-other", tarfile.FIFOTYPE)


def write_highest(path):
    with Layer(path) as layer:
        layer.file("old/file", b"again", 0o600).hard_link("links/four", "links/one")
        layer.whiteout("etc/0").file("etc/0", b"no longer empty")
        layer.whiteout("becomes-link").whiteout("nothing-there")
        layer.whiteout("dev/sda").directory("hidden", 0o755)
        layer.file("twice", b"first").file("twice", b"second", 0o600)
        layer.directory("many", 0o555)
        for number in range(0, 3000, 2):
            layer.whiteout(f"many/{number:05}")


def write_musl(path, busybox, musl, program):
    """The layout of Alpine's minirootfs."""
    with Layer(path) as layer:
        for folder in ("./", "bin", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "run", "sbin", "srv",
                       "sys", "usr", "usr/bin", "usr/lib", "usr/sbin", "var", "var/lib", "var/log"):
            layer.directory(folder)
        layer.directory("root", 0o700).directory("tmp", 0o1777).directory("var/tmp", 0o1777)
        layer.directory("var/empty", 0o555).directory("home/guest", 0o2755, uid=405, gid=100)
        layer.symlink("var/run", "../run").symlink("var/lock", "/run/lock")
        layer.symlink("etc/os-release", "../usr/lib/os-release")
        layer.file("usr/lib/os-release", b"ID=small\n").file("etc/shadow", b"root:*::0:::::\n", 0o640, gid=42)
        layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nguest:x:405:100:guest:/home/guest:/bin/sh\n")
        layer.file("etc/group", b"root:x:0:root\nshadow:x:42:\nusers:x:100:games\ngames:x:35:\n")
        layer.file("bin/busybox", busybox, 0o755).file("bin/bbsuid", busybox, 0o4111)
        for applet in ("cat", "ls", "sh", "true"):
            layer.symlink(f"bin/{applet}", "/bin/busybox")
        layer.file("lib/ld-musl-x86_64.so.1", musl, 0o755)
        layer.symlink("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1").file("usr/bin/greet", program, 0o755)


def write_many(path, count, busybox):
    """So many files, a hundred in each directory, every tenth of them with content."""
    with Layer(path) as layer:
        layer.directory("./").file("busybox", busybox, 0o755)
        for number in range(count):
            if number % 10_000 == 0:
                layer.directory(f"{number // 10_000:03}")
            folder = f"{number // 10_000:03}/{number // 100 % 100:02}"
            if number % 100 == 0:
                layer.directory(folder)
            layer.file(f"{folder}/{number:07}", b"%d" % number if number % 10 == 0 else b"", uid=number)


def make_tree(top):
    """What archivers write in forms of their own: long names, holes, large numbers, attributes."""
    folder = top / ("d" * 120)
    folder.mkdir(parents=True)
    for name in ("short", "f" * 101, "g" * 255, "\u00e4", os.fsdecode(b"\xff"), "line\nbreak"):
        (folder / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    os.link(folder / "short", folder / ("l" * 150))
    for length in (99, 100, 101, 300):
        (folder / f"link-{length}").symlink_to("t" * length)
    for blocks in ([], [0], [1], [0, 5, 9], list(range(0, 200, 2))):
        with open(folder / f"holes-{len(blocks)}-{sum(blocks)}", "wb") as file:
            for block in blocks:
                file.seek(block * 65_536)
                file.write(b"data" * 1024)
            file.truncate(201 * 65_536 + 77)
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "device", 0o600 | stat.S_IFBLK, os.makedev(259, 70_000))
    os.setxattr(folder / "short", "user.text", b"a\0b\xff")
    os.setxattr(folder / "short", "security.capability", capability(CAP_NET_RAW))
    for number, name in enumerate(sorted(os.listdir(folder))):
        os.chown(folder / name, 3_000_000 + number, 4_000_000_000 + number, follow_symlinks=False)
        os.utime(folder / name, ns=(0, (number * 400_000_000 - 2**31) * 10**9 + number), follow_symlinks=False)
