#!/usr/bin/env python3
"""Keeps jobs/README.md equal to what the program prints: docs.py THRESHER TREE [--write].

A block that begins with '$ thresher ...' is followed by that command's output."""
import re
import subprocess
import sys
from pathlib import Path


def main():
    thresher, tree = sys.argv[1], Path(sys.argv[2])
    page = tree / 'jobs' / 'README.md'
    old = page.read_text(encoding='utf-8')

    def block(match):
        words = match.group(1).split()
        output = subprocess.run([thresher, *words], check=True, capture_output=True, text=True).stdout
        return f'```text\n$ thresher {match.group(1)}\n{output}```'

    new = re.sub(r'```text\n\$ thresher ([^\n]*)\n.*?```', block, old, flags=re.S)
    if '--write' in sys.argv:
        page.write_text(new, encoding='utf-8')
        return 0
    commands = re.findall(r'^  (\w+) ', subprocess.run([thresher, 'help'], check=True, capture_output=True,
                                                       text=True).stdout.split('\nHelp\n')[0], flags=re.M)
    missing = [name for name in commands if f'$ thresher help {name}\n' not in old]
    if missing:
        print(f'jobs/README.md says nothing about: {", ".join(missing)}')
    if new != old:
        print('jobs/README.md does not show what thresher prints; run: python3 tests/app/docs.py THRESHER . --write')
    return 1 if missing or new != old else 0


if __name__ == '__main__':
    sys.exit(main())
