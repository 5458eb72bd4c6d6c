"""The program under test, and texts for it."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
MODEL = TREE / 'data' / 'model'
TIME_FACTOR = int(os.environ.get('THRESHER_TIME_FACTOR', '1'))  # times as long is what programs may take
THRESHER = os.environ.get('THRESHER', str(TREE / 'build' / 'release' / 'thresher'))


def run(*words, ranks=0, timeout=300, env=None, **more):
    """Runs `thresher WORDS`, under mpirun when `ranks` is given; the finished process with its output as text."""
    command = [THRESHER, *map(str, words)]
    if ranks:
        command = ['mpirun', '-n', str(ranks), *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIME_FACTOR * timeout, check=False,
                          env={**os.environ, **(env or {})}, **more)


class ProgramTest(unittest.TestCase):
    """A test with a folder of its own, and a program that has to succeed unless told otherwise."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix='thresher-test-'))
        self.addCleanup(shutil.rmtree, self.folder)

    def succeed(self, *words, **options):
        done = run(*words, **options)
        self.assertEqual(done.returncode, 0, f'{words}\n{done.stdout}\n{done.stderr}')
        return done

    def refuse(self, code, message, *words, **options):
        done = run(*words, **options)
        self.assertEqual(done.returncode, code, f'{words}\n{done.stdout}\n{done.stderr}')
        self.assertIn(message, done.stderr)
        errors = 0 if code == 75 else 1  # 75 is no error: give the command again
        self.assertEqual(done.stderr.count('thresher: error:'), errors, done.stderr)
        return done

    def write_jsonl(self, name, records):
        path = self.folder / name
        path.write_text(''.join(json.dumps(record, ensure_ascii=False) + '\n' for record in records), encoding='utf-8')
        return path


def documents(count, seed, longest=120):
    """Records with ids and texts of very different lengths: words of the licence, some other scripts, some empty."""
    draw = random.Random(seed)
    words = (TREE / 'LICENSE').read_text(encoding='utf-8').split()
    rare = ['Größe', 'naïve', '数据', 'мир', '🙂', '\t', '\n\n', '  ']
    records = []
    for i in range(count):
        length = min(longest, int(draw.expovariate(1 / 25)))
        if i % 97 == 5:
            length = 20 * longest
        text = ' '.join(draw.choice(rare) if draw.random() < 0.03 else draw.choice(words) for _ in range(length))
        records.append({'id': f'doc-{i}', 'text': text})
    return records


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[1:], verbosity=1)
