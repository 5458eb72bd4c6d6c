#!/usr/bin/env python3
"""One rank fails in each phase of a job: all ranks end soon, with its message and its exit code, and the same command
finishes the job. Faults come from a preloaded library (faults/faults.cpp)."""
import errno
import math
import os
import time

from program import main
from ranks import LIMIT, RanksTest

FAULTS = os.environ.get('THRESHER_FAULTS', '')
BUG, IO = 70, 74
RUNTIME_ERROR = 5  # oneDNN's


class FailingRank(RanksTest):
    jobs = 0

    def setUp(self):
        if not os.path.exists(FAULTS):
            self.skipTest('THRESHER_FAULTS does not name the library that makes calls fail (see tests/README.md)')
        super().setUp()

    def check(self, layout, rank, fault, code, message, *more, mode='gather'):
        """`fault`: call, path, calls that work first, error."""
        name = f'{layout} {mode} rank {rank} {" ".join(map(str, fault))} {" ".join(map(str, more))}'
        with self.subTest(name):
            ranks = math.prod(int(axis.partition('=')[2]) for axis in layout.split(','))
            self.jobs += 1
            run, log = self.folder / f'run-{self.jobs}', self.folder / f'struck-{self.jobs}'
            call, path, after, error = fault
            job = self.start(run, ranks, '--layout', layout, '--output-mode', mode, *more, env={
                'LD_PRELOAD': FAULTS, 'FAULT_RANK': str(rank), 'FAULT_CALL': call, 'FAULT_PATH': path,
                'FAULT_AFTER': str(after), 'FAULT_ERROR': str(error), 'FAULT_LOG': str(log),
                'FAULT_WHEN': str(run / 'plan.json') if call == 'compute' else ''})
            while not log.exists() and job.poll() is None:
                time.sleep(0.01)
            struck = log.exists()
            got, errors, seconds = self.end(job, run)
            self.assertTrue(struck, f'the fault did not strike:\n{errors}')
            print(f'{name}: ended after {seconds:.1f} s', flush=True)
            self.assertEqual(got, code, errors)
            self.assertEqual(errors.count('thresher: error:'), 1, errors)
            self.assertIn(f'thresher: error: rank {rank} (', errors)
            self.assertIn(message, errors)
            self.assertLess(len(errors.splitlines()), 40, errors)
            self.assertLess(seconds, LIMIT)
            self.assertEqual(self.shared_files(), [])
            self.assertFalse((run / '_SUCCESS').exists())
            self.same_after_restart(run, ranks, '--layout', layout, mode=mode)

    def test_load(self):
        fault = ('read', '*/model.safetensors', 2, errno.EIO)
        for layout in ('dp=2', 'pp=2', 'tp=2'):
            self.check(layout, 1, fault, IO, 'model.safetensors: Input/output error')
        self.check('dp=2', 0, fault, IO, 'model.safetensors: Input/output error', '--load', 'broadcast')
        self.check('dp=2,tp=2', 1, fault, IO, 'model.safetensors: Input/output error', '--load', 'broadcast')

    def test_first_batch(self):
        for layout in ('dp=2', 'pp=2', 'tp=2'):
            self.check(layout, 1, ('compute', '', 0, RUNTIME_ERROR), BUG, 'could not run a matrix product')

    def test_mid_batch(self):
        for layout, rank in (('dp=2', 1), ('pp=2', 1), ('pp=2', 0), ('tp=2', 1), ('dp=2,pp=2', 3)):
            self.check(layout, rank, ('compute', '', 60, RUNTIME_ERROR), BUG, 'could not run a matrix product')

    def test_gather(self):
        part = '*/parts/.part-*'
        self.check('dp=2', 0, ('write', part, 3, errno.ENOSPC), IO, 'No space left on device')
        self.check('pp=2', 0, ('sync', part, 3, errno.EIO), IO, 'Input/output error')
        self.check('tp=2', 0, ('sync', '*/parts', 1, errno.EIO), IO, 'Input/output error')
        # On a busy machine the second replica may commit very little.
        self.check('dp=2', 1, ('write', part, 0, errno.ENOSPC), IO, 'No space left on device', mode='sharded')
        self.check('dp=2,pp=2', 2, ('sync', part, 0, errno.EIO), IO, 'Input/output error', mode='sharded')

    def test_merge(self):
        results = '*/.results.h5.*'
        self.check('dp=2', 0, ('write', results, 0, errno.EIO), IO, 'Input/output error')
        self.check('pp=2', 0, ('sync', results, 0, errno.EIO), IO, 'Input/output error')
        self.check('tp=2', 0, ('write', results, 2, errno.ENOSPC), IO, 'No space left on device')
        self.check('dp=2', 0, ('write', results, 0, errno.EIO), IO, 'Input/output error', mode='sharded')


if __name__ == '__main__':
    main()
