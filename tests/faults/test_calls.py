#!/usr/bin/env python3
"""The k-th system call that changes the run directory fails, or the process is killed before it: once for every k."""
import errno
import os
import random
import shutil
import unittest
from concurrent.futures import ThreadPoolExecutor

from job import CODES, FAULTS, SEED, FaultTest, by_tier, fault, main

CALLS = ('create', 'write', 'truncate', 'sync', 'link', 'rename', 'make')
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
KILL = 9


@unittest.skipUnless(os.path.exists(FAULTS), 'THRESHER_FAULTS does not name the library that makes calls fail')
class Calls(FaultTest):
    documents = 12

    def tally(self, call, mode):
        """How often a job makes this call."""
        run, log = self.folder / f'count-{call}-{mode}', self.folder / f'tally-{call}-{mode}'
        done = self.attempt(run, '--output-mode', mode, env=fault(call, f'{run}*', 1 << 30, tally=log))
        self.assertEqual(done.returncode, 0, done.stderr)
        count = log.stat().st_size
        self.assertGreater(count, 0, call)
        return count

    def strike(self, number, mode, call, k, settings):
        """One job with one fault, and its continuation. The words of what does not hold, or nothing."""
        run, log = self.folder / f'run-{number}', self.folder / f'struck-{number}'
        name = f'{mode} {call} {k} {settings}'
        try:
            done = self.attempt(run, '--output-mode', mode, env=fault(call, f'{run}*', k, log=log, **settings))
            if 'signal' in settings:
                self.assertTrue(done.returncode == -KILL or not log.exists(), done.stderr)
            elif done.returncode == 0:
                self.assert_complete(run, mode)
            else:
                self.assertIn(done.returncode, CODES, done.stderr)
                self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)
                self.assertIn(os.strerror(settings['error']) if 'error' in settings else str(run), done.stderr)
                self.assertIn(str(run), done.stderr)
            self.assert_holds(run, mode=mode)
            shutil.rmtree(run)
        except Exception as error:  # pylint: disable=broad-except
            return f'{name}: {error}'
        return ''

    def test_every_call(self):
        cases = []
        for mode in ('gather', 'sharded'):
            for call in CALLS:
                kinds = [{'signal': KILL}]
                kinds += [{'error': error, **once} for error in ERRORS for once in ({}, {'once': 1})]
                kinds += [{'error': errno.EINTR, 'once': 1}]
                if call == 'write':
                    kinds += [{'short': 1}, {'short': 1, 'once': 1}]
                cases += [(mode, call, k, kind) for k in range(self.tally(call, mode)) for kind in kinds]
            self.expected(mode)
        draw = random.Random(SEED)
        draw.shuffle(cases)
        chosen = cases[:by_tier(40, len(cases))]
        with ThreadPoolExecutor(2) as pool:
            wrong = [words for words in pool.map(lambda case: self.strike(case[0], *case[1]), enumerate(chosen)) if words]
        for words in wrong:
            print(words, flush=True)
        print(f'summary: {len(chosen)} of {len(cases)} faults, {len(wrong)} after which something did not hold', flush=True)
        self.assertEqual(len(wrong), 0)


if __name__ == '__main__':
    main()
