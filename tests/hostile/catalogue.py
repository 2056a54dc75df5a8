"""The catalogue of faults, and which tests prove each row."""

import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LAST_OF_THE_NOTES = 140

sys.path.insert(0, str(HERE.parent))


@dataclass
class Row:
    area: str
    number: str
    fault: str
    must: str
    patterns: list
    spec: str
    not_applicable: str
    tests: list = field(default_factory=list)
    unmatched: list = field(default_factory=list)

    @property
    def name(self):
        return f"{self.area}.{self.number}"

    @property
    def is_open(self):
        return not self.patterns and not self.not_applicable


def read_rows():
    document = tomllib.loads((HERE / "catalogue.toml").read_text())
    return [
        Row(area, number, entry["fault"], entry.get("must", ""), entry.get("tests", []),
            entry.get("spec", ""), entry.get("n.a.", ""))
        for area, entries in document.items()
        for number, entry in entries.items()
    ]


def match(rows, tests):
    """Finds the tests of each row."""
    names = [test.name for test in tests]
    for row in rows:
        row.tests = []
        row.unmatched = []
        for pattern in row.patterns:
            matching = [name for name in names if re.fullmatch(pattern, name)]
            row.tests += [name for name in matching if name not in row.tests]
            if not matching:
                row.unmatched.append(pattern)


def covered_numbers(rows):
    numbers = set()
    for row in rows:
        parts = re.fullmatch(r"(\d+)[a-z]?(?:-(\d+))?", row.number)
        if parts:
            numbers |= set(range(int(parts[1]), int(parts[2] or parts[1]) + 1))
    return numbers


def complaints(rows):
    """What is wrong with the catalogue itself."""
    missing = sorted(set(range(1, LAST_OF_THE_NOTES + 1)) - covered_numbers(rows))
    found = [f"no row has the number {number}" for number in missing]
    for row in rows:
        found += [f"{row.name}: no test is called {pattern}" for pattern in row.unmatched]
        if row.is_open:
            found.append(f"{row.name} is open: it has no test and no reason")
    return found
