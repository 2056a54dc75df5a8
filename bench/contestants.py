"""Who is measured: pyro, the tools that people use today, and the bounds that nobody can beat."""
import os
import pathlib
import sys
from dataclasses import dataclass

BENCH = pathlib.Path(__file__).resolve().parent

INSTALLED = "linux-x86_64/debian_12-1.0.0"  # where pyro and its reference install, in a cache
PYRO, PEER, BOUND = "pyro", "peer", "bound"

# Everybody ends with the files on disk: pyro syncs by itself, the others are followed by this. Only the
# artifacts and their directory, so that nobody pays for what else the machine has to write.
SYNC = 'sync "{directory}"/vmlinux "{directory}"/rootfs.ext4 "{directory}"/initrd.img "{directory}"'
DOWNLOAD = 'curl -sSf --noproxy "*" --cacert "$CA" "$LAYER_URL"'


@dataclass
class Contestant:
    """One row: a shell script that sees $OUT, an empty directory, and the variables of `environment`."""

    name: str
    compression: str
    kind: str
    script: str
    artifacts: str | None = None  # where below $OUT the files must then be; None: it keeps nothing

    @property
    def key(self):
        return self.compression, self.name


def environment(image, registry, pyro, work, out):
    """The variables of a contestant's script. Nothing else of ours gets in, so that nobody's own
    configuration or credentials take part."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(work / "home"),
        "LC_ALL": "C",
        "SSL_CERT_FILE": str(registry.authority),
        "CA": str(registry.authority),
        "PYRO": str(pyro),
        "PYRO_CATALOG": str(image.catalog),
        "LAYER": str(image.layer),
        "LAYER_URL": image.layer_url,
        "IMAGE": image.reference,
        "ENVIRONMENT": str(registry.environment),
        "PYTHON": sys.executable,
        "WRITE_DATA": str(BENCH / "write_data.py"),
        "OUT": str(out),
    } | {name: os.environ[name] for name in ("CRANE", "PYRO_REFERENCE") if name in os.environ}


def pyro_pull(compression):
    script = 'exec "$PYRO" --cache-dir "$OUT" env pull -q debian:12'
    return Contestant("pyro env pull", compression, PYRO, script, INSTALLED)


def pipe(name, compression, unpack):
    script = f"{DOWNLOAD} | {unpack} && {SYNC.format(directory='$OUT')}"
    return Contestant(name, compression, PEER, script, ".")


def checked_tar():
    """What a careful script does: unpack while the digest is taken, and wait for both."""
    script = (
        'mkfifo "$OUT/copy" && { sha256sum <"$OUT/copy" >"$OUT/digest" & } && '
        f'{DOWNLOAD} | tee "$OUT/copy" | tar -xzf - -C "$OUT" && wait $! && {SYNC.format(directory="$OUT")}'
    )
    return Contestant("curl | sha256sum + tar -xz", "gzip", PEER, script, ".")


def skopeo_umoci():
    rootless = "" if os.geteuid() == 0 else "--rootless "
    script = (
        'skopeo --insecure-policy copy -q "docker://$IMAGE" "oci:$OUT/image:latest" && '
        f'umoci unpack {rootless}--image "$OUT/image:latest" "$OUT/bundle" && '
        + SYNC.format(directory="$OUT/bundle/rootfs")
    )
    return Contestant("skopeo copy + umoci unpack", "gzip", PEER, script, "bundle/rootfs")


def crane_tar():
    script = f'"$CRANE" export "$IMAGE" - | tar -xf - -C "$OUT" && {SYNC.format(directory="$OUT")}'
    return Contestant("crane export | tar -x", "gzip", PEER, script, ".")


def python_reference():
    script = f'$PYRO_REFERENCE "$OUT" && {SYNC.format(directory=f"$OUT/{INSTALLED}")}'
    return Contestant("Python reference", "gzip", PEER, script, INSTALLED)


def bounds(compression, decoder):
    return [
        Contestant(f"{decoder} alone", compression, BOUND, f'{decoder} -dc "$LAYER" >/dev/null'),
        Contestant("network alone", compression, BOUND, f"{DOWNLOAD} >/dev/null"),
    ]


def write_bound():
    script = 'exec "$PYTHON" -I -S "$WRITE_DATA" "$OUT" "$ENVIRONMENT"/{vmlinux,rootfs.ext4,initrd.img}'
    return Contestant("write and sync alone", "gzip", BOUND, script, ".")


def all_contestants():
    gzip = [
        pyro_pull("gzip"),
        pipe("curl | igzip | bsdtar -xS", "gzip", 'igzip -dc | bsdtar -xSf - -C "$OUT"'),
        skopeo_umoci(),
        checked_tar(),
        *bounds("gzip", "igzip"),
        write_bound(),
    ]
    if os.environ.get("CRANE"):
        gzip.append(crane_tar())
    if os.environ.get("PYRO_REFERENCE"):
        gzip.append(python_reference())
    zstd = [
        pyro_pull("zstd"),
        pipe("curl | zstd | bsdtar -xS", "zstd", 'zstd -dc | bsdtar -xSf - -C "$OUT"'),
        *bounds("zstd", "zstd"),
    ]
    return gzip + zstd
