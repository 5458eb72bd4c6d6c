#!/usr/bin/env python3
"""texts.py TREE COUNT: at most COUNT documents of many lengths as JSON lines, from the project's own pages."""
import json
import sys
from pathlib import Path


def main():
    tree, count = Path(sys.argv[1]), int(sys.argv[2])
    files = [file for file in (tree / 'README.md', tree / 'LICENSE', *sorted((tree / 'data').glob('**/*.md')),
                               *sorted((tree / 'jobs').glob('*.md')), *sorted((tree / 'tests').glob('*.md'))) if file.is_file()]
    number = 0
    for file in files:
        text = file.read_text(encoding='utf-8')
        for size in (40, 400, 3000):
            for at in range(0, min(len(text), 12 * size), size):
                if number < count:
                    print(json.dumps({'id': f'{file.name}-{number}', 'text': text[at:at + size]}))
                number += 1


if __name__ == '__main__':
    main()
