"""Makes the container image that is measured: three layers of Debian's packages, the second of which also removes
and changes what the first one brought. It is kept, as two image layouts: gzip and zstd."""
import pathlib
import re
import subprocess
import tempfile

APT = "apt-get -qq -o Dpkg::Options::=--force-unsafe-io"
CONTAINERFILE = f"""\
FROM scratch
ADD lowest.tar /
RUN {APT} update && {APT} install -y build-essential >/dev/null && \
    {APT} install -y --reinstall python3.11 >/dev/null && rm -r /usr/share/doc /usr/share/man && \
    chown -R games:games /usr/lib/python3.11
RUN {APT} install -y nodejs npm >/dev/null && rm -r /var/lib/apt/lists /var/cache/apt
"""


def build(root, directory, say):
    """Fills `directory` with gzip/ and zstd/, unless it is there."""
    if directory.exists():
        return
    say("bench: making a container image from packages")
    with tempfile.TemporaryDirectory(prefix=f"{directory.name}.", dir=directory.parent) as work:
        work = pathlib.Path(work)
        make_lowest(root, work)
        out = work / "out"
        pack(work, out)
        out.rename(directory)


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(map(str, command))}\n{done.stdout[-2000:]}")
    return done.stdout


def make_lowest(root, work):
    sources = work / "sources.list"
    sources.write_text(run(root / "tools/environment/apt-sources"))
    # The machine's own apt configuration, as far as it says how to reach packages.
    options = [f"--aptopt={line}" for line in run("apt-config", "dump").splitlines()
               if re.match(r"Acquire::(https?::|Check-|Retries)", line) and not line.endswith(' "";')]
    run("mmdebstrap", "--quiet", "--variant=minbase", "--include=python3", "--dpkgopt=force-unsafe-io", *options,
        "bookworm", work / "lowest.tar", sources)


def pack(work, out):
    (work / "Containerfile").write_text(CONTAINERFILE)
    storage = ("--root", work / "storage", "--runroot", work / "running")
    out.mkdir()
    run("buildah", *storage, "build", "-q", "--isolation", "chroot", "--network", "host", "--layers", "-t", "image",
        work)
    run("buildah", *storage, "push", "-q", "image", f"oci:{out}/gzip:latest")
    run("skopeo", "--insecure-policy", "copy", "-q", "--dest-compress-format", "zstd", f"oci:{out}/gzip:latest",
        f"oci:{out}/zstd:latest")
