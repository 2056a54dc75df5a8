#!/usr/bin/env python3
"""Makes sure an environment is installed and says what to boot: ensure_installed.py NAME"""

import sys

import pyro_env


def main() -> int:
    store = pyro_env.EnvironmentStore(progress=lambda event: print(event["event"], file=sys.stderr))
    try:
        environment = store.ensure_installed(sys.argv[1])
    except pyro_env.PyroError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    print("kernel", environment.kernel_image)
    print("rootfs", environment.rootfs_image)
    if environment.initrd_image is not None:
        print("initrd", environment.initrd_image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
