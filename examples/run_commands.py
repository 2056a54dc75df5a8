#!/usr/bin/env python3
"""Runs two commands at the same time in one machine: run_commands.py NAME"""

import sys
import threading

import pyro_env


def main() -> int:
    try:
        with pyro_env.Machine(sys.argv[1]) as machine:
            print(f"ready after {machine.info['ready_seconds']:.2f} s", file=sys.stderr)
            slow = threading.Thread(
                target=lambda: print(machine.run(["sh", "-c", "sleep 1; echo second"]).stdout)
            )
            slow.start()
            print(machine.run(["echo", "first"]).check().stdout)
            slow.join()
    except pyro_env.PyroError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
