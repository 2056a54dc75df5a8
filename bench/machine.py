"""Describes the machine, so that a figure can be judged."""
import datetime
import os
import pathlib
import platform
import subprocess

LIBRARIES = ("libcurl4", "libssl3", "libisal2", "libzstd1", "libarchive13")
TOOLS = ("docker-registry", "curl", "isal", "zstd", "libarchive-tools", "tar", "skopeo", "umoci", "podman",
         "e2fsprogs", "qemu-system-x86")


def output(*command, otherwise="unknown"):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return result.stdout.strip() or otherwise


def proc_field(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def versions(packages):
    listed = output("dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages)
    return listed.rstrip(", ")


def debian_version():
    return pathlib.Path("/etc/debian_version").read_text().strip()


def description(pyro, work, load):
    """Pairs of (what, value)."""
    memory_gib = int(proc_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    model = proc_field("/proc/cpuinfo", "model name")
    family, number = (proc_field("/proc/cpuinfo", name) for name in ("cpu family", "model\t"))
    commit = output("git", "-C", str(pathlib.Path(__file__).parent), "rev-parse", "--short", "HEAD")
    return [
        ("date", datetime.date.today().isoformat()),
        ("pyro", f"{output(str(pyro), '--version')}, commit {commit}"),
        ("processor", f"{model} (family {family}, model {number}), {os.cpu_count()} cores"),
        ("memory", f"{memory_gib:.0f} GiB"),
        ("system", f"Debian {debian_version()}, Linux {platform.release()}"),
        ("file system", output("findmnt", "-no", "FSTYPE", "-T", str(work))),
        ("load before", f"{load:.2f}"),
        ("libraries", versions(LIBRARIES)),
        ("tools", versions(TOOLS)),
    ]
