"""One environment, pulled into a cache of its own, for what needs one that is there."""
import os

import measure


class Installed:
    def __init__(self, registry, pyro, work):
        self.registry, self.pyro = registry, pyro
        self.cache = work / "installed"
        self.log = work / "log"
        self.temporary = work / "tmp"
        self.temporary.mkdir()
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(work / "home"),
            "TMPDIR": str(self.temporary),
            "LC_ALL": "C",
            "SSL_CERT_FILE": str(registry.authority),
        } | {name: os.environ[name] for name in ("PYRO_KVM",) if name in os.environ}
        self.seconds(self.command("env", "pull", "-q", "debian:12"))

    def command(self, *arguments):
        catalog = self.registry.images["zstd"].catalog
        return [self.pyro, "--cache-dir", self.cache, "--catalog", catalog, *arguments]

    def seconds(self, command, **variables):
        """How long a command takes, which must end well."""
        with open(self.log, "wb") as log:
            try:
                return measure.run(command, self.environment | variables, log).seconds
            except measure.CommandFailed as failure:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"bench: {failure}\n{tail}") from None
