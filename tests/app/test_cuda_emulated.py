#!/usr/bin/env python3
"""The program on an emulated GPU: the CUDA device's own code and kernels, with CUDA itself replaced by a fake."""
import shutil
import subprocess
import unittest
from pathlib import Path

import program
from program import MODEL, THRESHER, TREE, ProgramTest, documents, main

LIBRARY = Path(THRESHER).parent / 'emulated' / 'thresher_cuda.so'


@unittest.skipUnless(LIBRARY.exists(), 'built without CUDA')
class CudaEmulated(ProgramTest):
    def setUp(self):
        super().setUp()
        for file in (THRESHER, LIBRARY):
            shutil.copy(file, self.folder)
        self.corpus = self.write_jsonl('c.jsonl', documents(6, 3, longest=15))
        program.THRESHER = str(self.folder / 'thresher')
        self.addCleanup(setattr, program, 'THRESHER', THRESHER)

    def score(self, name, *more, **options):
        done = self.succeed('score', '--model', MODEL, '--corpus', self.corpus, '--output', self.folder / name,
                            '--per-token', *more, **options)
        return done, (self.folder / name / 'results.h5').read_bytes()

    def exported(self, name):
        file = self.folder / f'{name}.jsonl'
        self.succeed('export', self.folder / name, '--to', 'jsonl', '--output', file)
        return file

    def test_scores_agree_with_the_cpu(self):
        for dtype in ('f32', 'bf16'):
            self.score(f'cpu-{dtype}', '--dtype', dtype)
            done, _ = self.score(f'cuda-{dtype}', '--dtype', dtype, '--device', 'cuda', '--top-k', 3)
            self.assertIn('NVIDIA Fake GPU-00000000', done.stderr)
            compared = subprocess.run(['python3', TREE / 'tests' / 'gpu' / 'compare.py', self.exported(f'cpu-{dtype}'),
                                       self.exported(f'cuda-{dtype}'), '--dtype', dtype], capture_output=True, text=True)
            self.assertEqual(compared.returncode, 0, compared.stdout + compared.stderr)

    def test_layouts_and_batches_give_the_same_bytes(self):
        one = ('--device', 'cuda', '--tp-exact', 'on', '--share-gpus')
        _, bytes_of_one = self.score('one', *one)
        for name, ranks, more in (('small', 0, ['--tokens-per-batch', 50]), ('dp', 2, ['--layout', 'dp=2']),
                                  ('pp', 2, ['--layout', 'pp=2']), ('tp', 2, ['--layout', 'tp=2'])):
            with self.subTest(name):
                _, found = self.score(name, *one, *more, ranks=ranks)
                self.assertEqual(found, bytes_of_one)

    def test_two_ranks_on_one_gpu_are_refused(self):
        self.refuse(78, '--share-gpus', 'score', '--model', MODEL, '--corpus', self.corpus, '--output',
                    self.folder / 'out', '--device', 'cuda', ranks=2)

    def test_the_device_belongs_to_the_job(self):
        self.score('run')
        self.refuse(78, 'device', 'score', '--model', MODEL, '--corpus', self.corpus, '--output', self.folder / 'run',
                    '--per-token', '--device', 'cuda')

    def test_bench(self):
        done = self.succeed('bench', '--device', 'cuda', '--shape', 'tiny', '--tokens-per-batch', 32, '--document', 16,
                            '--seconds', 0.1)
        self.assertIn('sm_90 of 132 processors', done.stdout)


if __name__ == '__main__':
    main()
