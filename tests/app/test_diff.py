#!/usr/bin/env python3
"""thresher diff: equal runs are equal, and each kind of difference is found where it was made."""
import json
import math
import shutil
import subprocess

import h5py
import numpy
from program import MODEL, THRESHER, ProgramTest, documents, main, run

SAME, DIFFERENT, USAGE, DATA, NO_INPUT, AGAIN = 0, 1, 64, 65, 66, 75


class Diff(ProgramTest):
    def setUp(self):
        super().setUp()
        self.texts = documents(60, seed=11)
        self.one = self.score('one', self.texts)

    def score(self, name, records, *more, shard=16):
        self.write_jsonl(f'{name}.jsonl', records)
        self.succeed('score', '--model', MODEL, '--corpus', self.folder / f'{name}.jsonl', '--output',
                     self.folder / name, '--dtype', 'f32', '--shard-documents', shard, '--threads', 1, '--per-token', *more)
        return self.folder / name

    def diff(self, code, a, b, *more):
        """What it prints, and the same as JSON."""
        text, found = run('diff', a, b, *more), run('diff', a, b, '--json', *more)
        self.assertEqual((text.returncode, found.returncode), (code, code), text.stdout + text.stderr)
        self.assertEqual(text.stderr, '')
        return text.stdout, json.loads(found.stdout)

    def changed(self, change):
        """Results with other values."""
        path = self.folder / 'changed.h5'
        shutil.copy(self.one / 'results.h5', path)
        with h5py.File(path, 'r+') as results:
            change(results)
        return path

    def test_same_documents_in_other_shapes(self):
        sharded = self.score('sharded', self.texts, '--output-mode', 'sharded', shard=7)
        for other in (self.one, self.one / 'results.h5', sharded):
            said, found = self.diff(SAME, self.one, other)
            self.assertIn('EQUAL: 60 documents, token by token\n', said)
            self.assertTrue(found['equal'])
        self.assertEqual(set(found['plan']), {'output_mode', 'shard_documents'})
        self.assertIn('plan: output_mode', said)

    def test_other_order_and_documents_of_one_only(self):
        draw = numpy.random.default_rng(3)
        records = [self.texts[i] for i in draw.permutation(60) if i not in (4, 17)]
        records.insert(20, {'id': 'new', 'text': 'Something else.'})
        for mode in ('gather', 'sharded'):
            two = self.score(f'two-{mode}', records, '--output-mode', mode)
            said, found = self.diff(DIFFERENT, self.one, two)
            self.assertEqual((found['only_a'], found['only_b']),
                             ({'documents': 2, 'ids': ['doc-4', 'doc-17']}, {'documents': 1, 'ids': ['new']}))
            self.assertEqual((found['documents'], found['different']), ({'a': 60, 'b': 59, 'both': 58}, 0))
            self.assertIn('only in A: 2: doc-4, doc-17\nonly in B: 1: new\nDIFFERENT: 0 of 58', said)
            _, turned = self.diff(DIFFERENT, two, self.one, '--worst', 1)
            self.assertEqual(turned['only_b'], {'documents': 2, 'ids': ['doc-4']})

    def test_ids_that_repeat_go_by_order(self):
        texts = ['The first.', 'The second one.', 'And the third.', 'Other.']
        records = [{'id': 'x' if i < 3 else 'y', 'text': text} for i, text in enumerate(texts)]
        a = self.score('a', records)
        b = self.score('b', [records[3], *records[:2]])
        _, found = self.diff(DIFFERENT, a, b)
        self.assertEqual((found['documents']['both'], found['different']), (3, 0))
        self.assertEqual(found['only_a'], {'documents': 1, 'ids': ['x']})
        c = self.score('c', [records[1], records[0], *records[2:]])
        _, found = self.diff(DIFFERENT, a, c)
        self.assertEqual((found['documents']['both'], found['different']), (4, 2))

    def test_numbers_and_tolerance(self):
        def change(results):
            logprob, tokens = results['logprob'], results['tokens']
            begin = int(results['token/offsets'][5])
            self.assertGreater(int(tokens[5]), 3)
            results['token/logprob'][begin + 2] -= numpy.float32(0.5)
            logprob[5] -= 0.5
            logprob[30] -= 1e-9

        other = self.changed(change)
        said, found = self.diff(DIFFERENT, self.one, other)
        with h5py.File(self.one / 'results.h5') as results:
            tokens = int(results['tokens'][5])
        self.assertEqual(found['different'], 2)
        self.assertEqual(found['columns'], {'logprob': 2, 'token/logprob': 1})
        self.assertEqual([document['id'] for document in found['worst']], ['doc-5', 'doc-30'])
        largest = found['largest']
        self.assertEqual((largest['token']['id'], largest['token']['token']), ('doc-5', 2))
        self.assertAlmostEqual(largest['token']['difference'], 0.5, places=4)
        self.assertAlmostEqual(largest['logprob']['difference'], 0.5)
        self.assertAlmostEqual(largest['per_token']['difference'], 0.5 / tokens)
        self.assertIn('doc-5, token 2', said)
        _, found = self.diff(DIFFERENT, self.one, other, '--tolerance', '1e-6', '--worst', 1)
        self.assertEqual((found['different'], len(found['worst'])), (1, 1))
        said, found = self.diff(SAME, self.one, other, '--tolerance', '0.6')
        self.assertIn('EQUAL: 60 documents within 0.6', said)
        self.assertGreater(found['largest']['token']['difference'], 0.4)

    def test_statuses_nan_and_zeros(self):
        def nan_in_all(results):
            results['status'][9], results['logprob'][9] = 3, math.nan
            begin = int(results['token/offsets'][9])
            results['token/logprob'][begin] = math.nan
            results['token/entropy'][begin] = -0.0

        shutil.copy(self.changed(nan_in_all), self.folder / 'nan.h5')
        nan = self.folder / 'nan.h5'
        with h5py.File(nan, 'r+') as results:
            self.assertGreater(int(results['tokens'][9]), 0)
        zero = self.changed(lambda results: (nan_in_all(results), results['token/entropy'].__setitem__(
            int(results['token/offsets'][9]), 0.0)))
        self.diff(SAME, nan, zero)
        said, found = self.diff(DIFFERENT, self.one, nan, '--tolerance', 1000)
        self.assertEqual(found['columns'], {'status': 1, 'logprob': 1, 'token/logprob': 1})
        self.assertIn('B: nan, ', said)
        self.assertIsNone(found['worst'][0]['b']['logprob'])

    def test_plans_and_columns(self):
        two = self.folder / 'two'
        self.succeed('score', '--model', MODEL, '--corpus', self.folder / 'one.jsonl', '--output', two, '--dtype', 'bf16',
                     '--threads', 1)
        said, found = self.diff(DIFFERENT, self.one, two)
        self.assertEqual(found['plan']['dtype'], {'a': 'f32', 'b': 'bf16'})
        self.assertIn('plan: dtype is f32 in A, bf16 in B\n', said)
        self.assertIn('column not compared: token (only in A)', said)
        self.assertNotIn('token', found['columns'])
        self.diff(SAME, self.one, two, '--tolerance', 1)

    def test_errors(self):
        self.refuse(USAGE, 'two run directories', 'diff', self.one)
        self.refuse(USAGE, '--tolerance', 'diff', self.one, self.one, '--tolerance', '-1')
        self.refuse(NO_INPUT, 'is not a run directory', 'diff', self.one, self.folder)
        self.refuse(NO_INPUT, 'nothing', 'diff', self.one, self.folder / 'nothing')
        (self.folder / 'no.h5').write_text('no results')
        self.refuse(DATA, 'no.h5', 'diff', self.one, self.folder / 'no.h5')
        with open('/dev/full', 'w', encoding='utf-8') as full:
            self.assertEqual(run_to(full, 'diff', self.one, self.one), 74)
        (self.one / '_SUCCESS').unlink()
        self.refuse(AGAIN, 'is not finished', 'diff', self.one, self.one)


def run_to(output, *words):
    return subprocess.run([THRESHER, *map(str, words)], stdout=output, check=False).returncode


if __name__ == '__main__':
    main()
