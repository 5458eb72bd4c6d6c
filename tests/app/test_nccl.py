#!/usr/bin/env python3
"""The program on emulated GPUs that exchange by a fake of NCCL: the same bytes as through the hosts, and ends that do not
hang. The fake's faults: tests/comm/nccl/fake/faults.h."""
import json
import math
import os
import re
import shutil
import unittest
from pathlib import Path

import program
import ranks
from program import MODEL, THRESHER, main
from ranks import LIMIT, RanksTest

EMULATED = Path(THRESHER).parent / 'emulated'
LIBRARY = EMULATED / 'libnccl.so.2'
HANGS, SYSTEM = 70, 71


def ranks_of(layout):
    return math.prod(int(axis.partition('=')[2]) for axis in layout.split(','))


@unittest.skipUnless(LIBRARY.exists(), 'built without NCCL')
class Nccl(RanksTest):
    documents = 5
    options = ('--device', 'cuda', '--top-k', '2')
    exact = ('--tp-exact', 'on')  # on one rank too, for it is another job
    jobs = 0

    def setUp(self):
        for name, value in (('THRESHER_FAKE_GPUS', '4'), ('LD_LIBRARY_PATH', str(EMULATED))):
            self.addCleanup(os.environ.pop, name)
            os.environ[name] = value
        super().setUp()
        for file in (THRESHER, EMULATED / 'thresher_cuda.so'):
            shutil.copy(file, self.folder)
        for module in (program, ranks):
            self.addCleanup(setattr, module, 'THRESHER', module.THRESHER)
            module.THRESHER = str(self.folder / 'thresher')

    def score(self, run, *more):
        return super().score(run, *(() if '--tp-exact' in more else self.exact), *more)

    def run_on(self, layout, *more):
        """The run directory of a job that has to succeed, and what it said."""
        self.jobs += 1
        run = self.folder / f'run-{self.jobs}'
        done = self.succeed(*self.score(run, '--layout', layout, *more), ranks=ranks_of(layout))
        return run, done.stderr

    def test_layouts_give_the_same_bytes(self):
        for layout, more in (('tp=2', ()), ('tp=4', ()), ('pp=2', ()), ('pp=2,tp=2', ()), ('pp=3', ()),
                             ('pp=2', ('--tokens-per-batch', 60)), ('tp=2', ('--gpu-transport', 'host'))):
            with self.subTest(f'{layout} {" ".join(map(str, more))}'):
                run, said = self.run_on(layout, *more)
                way = 'through the host' if 'host' in more else 'NCCL 2.28.9'
                self.assertIn(f'exchange between GPUs: {way}', said)
                self.assertIn(way, json.loads((run / 'run.json').read_text())['gpu_transport'])
                self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))

    def test_loose_sums_do_not_depend_on_the_way(self):
        found = {(self.run_on('tp=2', '--tp-exact', 'off', '--gpu-transport', way)[0] / 'results.h5').read_bytes()
                 for way in ('nccl', 'host')}
        self.assertEqual(len(found), 1)

    def test_where_nccl_cannot_be(self):
        words = self.score(self.folder / 'run', '--layout', 'tp=2', '--share-gpus')
        self.refuse(78, '--gpu-transport nccl cannot be: ranks 0 and 1 share a GPU', *words, '--gpu-transport', 'nccl',
                    ranks=2, env={'THRESHER_FAKE_GPUS': '1'})
        self.refuse(78, 'NCCL 2.10.0 is too old', *words, '--gpu-transport', 'nccl', ranks=2,
                    env={'FAKE_NCCL_VERSION': '21000'})
        done = self.succeed(*words, ranks=2, env={'FAKE_NCCL_VERSION': '21000'})
        self.assertIn('exchange between GPUs: through the host: rank 0: NCCL 2.10.0 is too old', done.stderr)

    def check_end(self, layout, rank, fault, code, message, *more):
        with self.subTest(f'{layout} rank {rank} {fault}'):
            self.jobs += 1
            run, log = self.folder / f'run-{self.jobs}', self.folder / f'struck-{self.jobs}'
            job = self.start(run, ranks_of(layout), '--layout', layout, '--tokens-per-batch', 60,
                             *more, env={
                'FAKE_NCCL_FAULT': fault, 'FAKE_NCCL_RANK': str(rank), 'FAKE_NCCL_LOG': str(log)})
            got, errors, seconds = self.end(job, run)
            print(f'{layout} rank {rank} {fault}: ended after {seconds:.1f} s', flush=True)
            self.assertTrue(log.exists(), f'the fault did not strike:\n{errors}')
            self.assertLess(seconds, LIMIT)
            self.assertFalse((run / '_SUCCESS').exists())
            if fault.startswith('die'):
                return self.assertNotEqual(got, 0)
            self.assertEqual(got, code, errors)
            self.assertEqual(errors.count('thresher: error:'), 1, errors)
            who = 'rank \\d' if fault.startswith('hang') else f'rank {rank}'  # all of them hang
            self.assertRegex(errors, rf'thresher: error: {who} \(.*{re.escape(message)}')

    def test_failures_end_the_job(self):
        whose = 'of the shards of replica 0, stage 0'
        self.check_end('tp=2', 1, 'connect', SYSTEM, f'failed while connecting, rank 1 of the 2 {whose}')
        self.check_end('tp=2', 1, 'refuse:5', SYSTEM, f'rank 1 of the 2 {whose}')
        self.check_end('tp=2', 1, 'fail:20', SYSTEM, f'rank 1 of the 2 {whose}: unhandled system error')
        self.check_end('tp=2', 1, 'die:20', None, '')
        self.check_end('tp=2', 1, 'hang:20', HANGS, 'computing a batch', '--watchdog', '4')
        whose = "of shard 0 of replica 0's stages 0 and 1"
        self.check_end('pp=2', 0, 'fail:3', SYSTEM, f'rank 0 of the 2 {whose}: unhandled system error')
        self.check_end('pp=2', 1, 'refuse:3', SYSTEM, f'receiving from the stage before, rank 1 of the 2 {whose}')
        self.check_end('pp=2', 0, 'die:3', None, '')


if __name__ == '__main__':
    main()
