#!/usr/bin/env python3
"""results.h5 has the same bytes whatever ranks, threads and token budget; a document's numbers are the same in any
company and order."""
import itertools
import random
import subprocess
import unittest
from pathlib import Path

import h5py
import numpy as np
from program import MODEL, THRESHER, TIME_FACTOR, ProgramTest, documents, main


class SameBytes(ProgramTest):
    def score(self, corpus, name, *more, ranks=0):
        run = self.folder / name
        self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', run, '--per-token', '--top-k', 2,
                     '--window', 192, '--shard-documents', 16, *more, ranks=ranks)
        return run / 'results.h5'

    def test_ranks_budgets_threads(self):
        corpus = self.folder / 'corpus.h5'
        self.succeed('import', '--input', self.write_jsonl('a.jsonl', documents(250, seed=5)), '--output', corpus)
        every = list(itertools.product((1, 2, 3, 4), (256, 1024, 4096), (1, 2)))
        some = [(1, 4096, 2), (2, 256, 1), (3, 1024, 2), (4, 256, 2)]
        for dtype, layouts in (('bf16', every), ('f32', some)):
            reference = self.score(corpus, f'{dtype}-alone', '--dtype', dtype).read_bytes()
            for ranks, budget, threads in layouts:
                name = f'{dtype}-{ranks}-{budget}-{threads}'
                with self.subTest(name):
                    results = self.score(corpus, name, '--dtype', dtype, '--tokens-per-batch', budget, '--threads',
                                         threads, ranks=ranks)
                    self.assertEqual(results.read_bytes(), reference)

    def test_shuffled_input(self):
        records = documents(250, seed=6)
        shuffled = list(records)
        random.Random(7).shuffle(shuffled)
        one = h5py.File(self.score(self.write_jsonl('a.jsonl', records), 'ordered', ranks=2))
        two = h5py.File(self.score(self.write_jsonl('b.jsonl', shuffled), 'shuffled', '--tokens-per-batch', 512,
                                   ranks=3))
        place = {name: i for i, name in enumerate(two['id'].asstr())}
        order = [place[name] for name in one['id'].asstr()]
        for column in ('status', 'tokens', 'logprob', 'bytes'):
            self.assertEqual(one[column][:].tobytes(), two[column][:][order].tobytes(), column)
        self.assertEqual(self.rows(one, range(250)), self.rows(two, order))

    @unittest.skipUnless('avx512bw' in Path('/proc/cpuinfo').read_text(encoding='utf-8'), 'no AVX-512 to do without')
    def test_ranks_with_other_instructions_are_refused(self):
        corpus = self.write_jsonl('a.jsonl', documents(10, seed=8))
        for names, code in ((('AVX2', 'AVX512_CORE_BF16'), 78), (('AVX2', 'AVX2'), 0)):
            words = ['mpirun']
            for name in names:
                words += [':'] * (len(words) > 1) + ['-n', '1', 'env', f'ONEDNN_MAX_CPU_ISA={name}', THRESHER, 'score',
                                                     '--model', MODEL, '--corpus', corpus, '--output',
                                                     self.folder / '-'.join(names), '--dtype', 'f32']
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300 * TIME_FACTOR)
            self.assertEqual(done.returncode, code, done.stderr)
            if code:
                self.assertIn('would compute other bits than rank 0', done.stderr)
                self.assertIn('ONEDNN_MAX_CPU_ISA, as AVX2', done.stderr)

    @staticmethod
    def rows(results, order):
        """The bytes of every document's token rows."""
        offsets = results['token/offsets'][:]
        names = ('id', 'logprob', 'rank', 'entropy', 'top_id', 'top_logprob')
        columns = {name: results[f'token/{name}'][:] for name in names}
        return [np.ascontiguousarray(columns[name][offsets[i]:offsets[i + 1]]).tobytes()
                for i in order for name in names]


if __name__ == '__main__':
    main()
