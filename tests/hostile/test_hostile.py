#!/usr/bin/env python3
"""Bad files: each ends with its exit code and one message that says what is wrong, in little memory and time.

Hand-shaped cases, and valid files changed at random: THRESHER_HOSTILE=N of them (120), from THRESHER_SEED on (printed).
HOSTILE_ONLY=PART takes the cases with PART in their names, and keeps their files.
"""
import concurrent.futures
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import config
import corpus
import jobs
import mutate
import plugins
import texts
import tokenizer
import weights
from case import problems_of, report, run

ONLY = os.environ.get('HOSTILE_ONLY', '')
WORKERS = min(2, os.cpu_count() or 1)


class Hostile(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix='thresher-hostile-'))
        if ONLY:
            print(f'files: {self.folder}', file=sys.stderr)
        else:
            self.addCleanup(shutil.rmtree, self.folder)

    def check(self, cases):
        """All files are written before the first program starts: it would inherit what h5py has open."""
        cases = [case for case in cases if ONLY in case.name]
        failed = []
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for case, outcome in zip(cases, pool.map(run, cases)):
                found = problems_of(case, outcome)
                if found:
                    failed.append(report(case, outcome, found))
        print(f'{len(cases)} cases, {len(failed)} failed', file=sys.stderr)
        self.assertEqual(failed, [], '\n' + '\n'.join(failed))

    def test_safetensors_and_index(self):
        self.check(weights.cases(self.folder))

    def test_config(self):
        self.check(config.cases(self.folder))

    def test_tokenizer(self):
        self.check(tokenizer.cases(self.folder))

    def test_texts(self):
        self.check(texts.cases(self.folder))

    def test_corpus(self):
        self.check(corpus.cases(self.folder))

    def test_jobs(self):
        self.check(jobs.cases(self.folder))

    def test_plugins(self):
        self.check(plugins.cases(self.folder))

    def test_mutants(self):
        count, seed = int(os.environ.get('THRESHER_HOSTILE', 120)), os.environ.get('THRESHER_SEED', '1')
        print(f'seed {seed}, {count} files', file=sys.stderr)
        self.check(mutate.cases(self.folder, seed, count))


if __name__ == '__main__':
    unittest.main()
