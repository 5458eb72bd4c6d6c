#!/usr/bin/env python3
"""Little memory, few descriptors, small files, no home, closed streams, clocks that jump: the job ends well, or with one
message and a documented code, and another run goes on."""
import glob
import os
import shutil
import subprocess
import unittest

from job import CODES, LIMIT, FaultTest, by_tier, main

CLOCK = next(iter(glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')), '')


class Surroundings(FaultTest):
    def limited(self, run, limits, ranks=0, **options):
        """A run under bash's `ulimit` words."""
        command = ' '.join(f"'{word}'" for word in self.command(run, ranks=ranks))
        return subprocess.run(['bash', '-c', f'{limits}; exec {command}'], capture_output=True, text=True, check=False,
                              timeout=LIMIT, **options)

    def check(self, done, run):
        # MPI itself may be what lacks something, before the program has a say.
        if 'orte_init failed' in done.stderr or 'MPI_Init_thread' in done.stderr:
            self.assertFalse(run.exists())
            return
        if done.returncode:
            self.assertIn(done.returncode, CODES, done.stderr)
            self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)
        self.assert_holds(run)
        shutil.rmtree(run)

    def test_memory(self):
        """From too little to start with up to enough."""
        steps = by_tier(4, 20, 100)
        failed = 0
        for step in range(steps):
            size = 260_000 + 600_000 * step // (steps - 1)
            with self.subTest(kib=size):
                run = self.folder / 'run'
                done = self.limited(run, f'ulimit -v {size}')
                if done.returncode == 127 and not run.exists():  # the loader's
                    continue
                failed += done.returncode != 0
                self.check(done, run)
        print(f'summary: {failed} of {steps} address space limits had too little memory', flush=True)

    def test_descriptors(self):
        for count in by_tier((16, 64), range(8, 65, 4)):
            with self.subTest(count=count):
                run = self.folder / 'run'
                self.check(self.limited(run, f'ulimit -n {count}'), run)

    def test_file_size(self):
        for kib in by_tier((1, 40), range(0, 120, 5)):
            with self.subTest(kib=kib):
                run = self.folder / 'run'
                done = self.limited(run, f'ulimit -f {kib}')
                self.check(done, run)

    def test_environment(self):
        empty = {'PATH': os.environ['PATH']}
        for name, settings in {'nothing': empty, 'home': {**os.environ, 'HOME': '/nowhere', 'TMPDIR': '/nowhere'},
                               'turkish': {**os.environ, 'LC_ALL': 'tr_TR.UTF-8', 'LANG': 'tr_TR.UTF-8'}}.items():
            with self.subTest(name):
                run = self.folder / 'run'
                done = subprocess.run(self.command(run), capture_output=True, text=True, check=False, timeout=LIMIT,
                                      env=settings)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.check(done, run)

    def test_streams(self):
        for name, redirection in {'stdout': '>&-', 'stderr': '2>&-', 'all': '<&- >&- 2>&-', 'full': '>/dev/full 2>/dev/full',
                                  'reader': '| head -c 1'}.items():
            with self.subTest(name):
                run = self.folder / 'run'
                command = ' '.join(f"'{word}'" for word in self.command(run))
                subprocess.run(['bash', '-c', f'{command} {redirection}'], check=False, timeout=LIMIT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.assert_complete(run)
                shutil.rmtree(run)

    @unittest.skipUnless(CLOCK, 'no libfaketime here')
    def test_clocks(self):
        """A wall clock that is wrong, or jumps by hours during the job."""
        for time in by_tier(('@2038-01-19 03:14:00', '+0 x7200'),
                            ('@2038-01-19 03:14:00', '@2100-01-01 00:00:00', '@1970-01-02 00:00:00', '+1h', '-1h', '+0 x7200')):
            with self.subTest(time):
                run = self.folder / 'run'
                done = self.attempt(run, '--max-time', '50', env={
                    'LD_PRELOAD': CLOCK, 'FAKETIME': time, 'FAKETIME_DONT_FAKE_MONOTONIC': '1'})
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotRegex(done.stdout, r'-[0-9.,]+ (s|tokens/s)\b')
                self.check(done, run)


if __name__ == '__main__':
    main()
