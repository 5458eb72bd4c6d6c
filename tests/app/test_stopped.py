#!/usr/bin/env python3
"""A rank that stands still: for some seconds it costs its replica's share alone; for good the watchdog ends the job, by
name, and the same command finishes it."""
import json
import os
import re
import signal
import socket
import time
import unittest

from program import main
from ranks import LIMIT, RanksTest, process_of

FAULTS = os.environ.get('THRESHER_FAULTS', '')
HANGS = 70


class Stopped(RanksTest):
    documents = 900
    options = ('--dtype', 'f32')

    def stop_rank(self, job, run, rank, parts=3):
        """SIGSTOP for a rank a second after so many parts are there, when the others have heard of it; its process."""
        while job.poll() is None and len(list((run / 'parts').glob('part-*'))) < parts:
            time.sleep(0.01)
        time.sleep(1.2)
        process = process_of(run, rank)
        self.assertIsNotNone(process, 'the job ended before it could be disturbed')
        os.kill(process, signal.SIGSTOP)
        return process

    def test_for_five_seconds(self):
        for layout, ranks, stopped in (('dp=2', 2, 1), ('dp=2,pp=2', 4, 3)):
            with self.subTest(layout):
                run = self.folder / layout
                job = self.start(run, ranks, '--layout', layout)
                process = self.stop_rank(job, run, stopped)
                time.sleep(5)
                self.assertIsNone(job.poll(), 'all was done meanwhile: the corpus is too small for this test')
                os.kill(process, signal.SIGCONT)
                code, errors, _ = self.end(job, run)
                self.assertEqual(code, 0, errors)
                self.assertNotIn('thresher: error:', errors)
                self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))
                entries = json.loads((run / 'run.json').read_text(encoding='utf-8'))['ranks']
                scored = {entry['replica']: entry['metrics']['tokens scored'] for entry in entries
                          if entry['stage'] == 0 and entry['shard'] == 0}
                print(f'{layout}: the stopped replica scored {scored[1]:.0f} tokens, the other {scored[0]:.0f}',
                      flush=True)
                self.assertGreater(scored[0], 1.2 * scored[1])

    @unittest.skipUnless(os.path.exists(FAULTS), 'THRESHER_FAULTS does not name the library that slows reads down')
    def test_while_the_last_one_works(self):
        """Rank 0 reads for a minute, rank 1 hangs meanwhile: the job does not wait for the end of the reading."""
        run, struck = self.folder / 'run', self.folder / 'struck'
        job = self.start(run, 2, '--layout', 'pp=2', '--watchdog', 4, env={
            'LD_PRELOAD': FAULTS, 'FAULT_RANK': '0', 'FAULT_CALL': 'read', 'FAULT_PATH': '*/model.safetensors',
            'FAULT_AFTER': '2', 'FAULT_ERROR': '0', 'FAULT_SECONDS': '70', 'FAULT_LOG': str(struck)})
        while job.poll() is None and not struck.exists():
            time.sleep(0.01)
        os.kill(process_of(run, 1), signal.SIGSTOP)
        code, errors, seconds = self.end(job, run)
        print(f'stopped while rank 0 reads: ended after {seconds:.1f} s', flush=True)
        self.assertEqual(code, HANGS, errors)
        self.assertEqual(errors.count('thresher: error:'), 1, errors)
        self.assertIn(f'thresher: error: rank 1 ({socket.gethostname()}, replica 0, stage 1, shard 0): no sign of life',
                      errors)

    def test_before_the_ranks_have_met(self):
        """There is no watchdog yet."""
        run = self.folder / 'run'
        job = self.start(run, 2, env={'THRESHER_START_SECONDS': '3'})
        while job.poll() is None and (process := process_of(run, 1)) is None:
            time.sleep(0.001)
        os.kill(process, signal.SIGSTOP)
        code, errors, seconds = self.end(job, run)
        print(f'stopped at the start: ended after {seconds:.1f} s', flush=True)
        self.assertEqual(code, 69, errors)
        self.assertEqual(errors.count('thresher: error:'), 1, errors)
        self.assertIn('thresher: error: rank 0 has waited 3 s for the others to start', errors)
        self.assertEqual(self.end(self.start(run, 2), run)[0], 0)

    def test_for_good(self):
        """Three jobs at a time: most of it is waiting."""
        cases = []
        for layout, rank, place in (('dp=2', 1, 'replica 1, stage 0'), ('dp=2', 0, 'replica 0, stage 0'),
                                    ('pp=2', 1, 'replica 0, stage 1')):
            run = self.folder / f'{layout}-{rank}'
            job = self.start(run, 2, '--layout', layout, '--watchdog', 6)
            self.stop_rank(job, run, rank)
            cases.append((layout, rank, place, run, job, time.monotonic()))
        for layout, rank, place, run, job, stopped in cases:
            with self.subTest(f'{layout}, rank {rank}'):
                code, errors, _ = self.end(job, run)
                seconds = time.monotonic() - stopped
                print(f'{layout}, rank {rank} stopped for good: ended after {seconds:.1f} s', flush=True)
                self.assertLess(seconds, LIMIT)
                self.assertEqual(code, HANGS, errors)
                self.assertEqual(errors.count('thresher: error:'), 1, errors)
                name = re.escape(f'rank {rank} ({socket.gethostname()}, {place}, shard 0)')
                self.assertRegex(errors, rf'error: {name}: no sign of life for \d+ s; then it was [a-z].* for \d+ s')
        self.assertEqual(self.shared_files(), [])
        for layout, rank, _, run, *_ in cases:
            with self.subTest(f'{layout}, rank {rank}, again'):
                self.same_after_restart(run, 2, '--layout', layout, '--watchdog', 6)


if __name__ == '__main__':
    main()
