#!/usr/bin/env python3
"""--dtype int8: the same bytes on every layout, and the error that it reports is the one that two runs show."""
import json
import math
import unittest

import h5py
import numpy

from program import MODEL, ProgramTest, documents, main, run


class Int8(ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / 'corpus.h5'
        self.succeed('import', '--input', self.write_jsonl('texts.jsonl', documents(40, seed=4, longest=60)),
                     '--output', self.corpus)

    def score(self, name, *more, ranks=0, threads=1):
        self.succeed('score', '--model', MODEL, '--corpus', self.corpus, '--output', self.folder / name, '--per-token',
                     '--threads', threads, '--shard-documents', 4, '--tokens-per-batch', 512, *more, ranks=ranks)
        return self.folder / name

    def error_of(self, folder):
        """As summary.json has it, and results.h5."""
        summary = json.loads((folder / 'summary.json').read_text())['int8_error']
        with h5py.File(folder / 'results.h5') as results:
            self.assertEqual(json.loads(results.attrs['int8_error']), summary)
        return summary

    def differences(self, in_int8, in_bf16):
        """bf16 - int8 of every token, by document with a score."""
        with h5py.File(in_int8 / 'results.h5') as ours, h5py.File(in_bf16 / 'results.h5') as theirs:
            offsets = ours['token/offsets'][()]
            self.assertTrue(numpy.array_equal(ours['token/id'], theirs['token/id']))
            all_tokens = theirs['token/logprob'][()].astype(float) - ours['token/logprob'][()].astype(float)
        return [all_tokens[a:b] for a, b in zip(offsets[:-1].astype(int), offsets[1:].astype(int)) if b > a]

    def test_report_and_layouts(self):
        alone, other = self.score('alone', '--dtype', 'int8'), self.score('bf16', '--dtype', 'bf16')
        error, found = self.error_of(alone), self.differences(alone, other)
        every = numpy.concatenate(found)
        # The corpus is small: all of it is the sample.
        self.assertEqual((error['against'], error['documents'], error['tokens']), ('bf16', len(found), len(every)))
        self.assertAlmostEqual(error['mean_difference'], numpy.abs(every).mean(), delta=1e-9)
        self.assertAlmostEqual(error['max_difference'], numpy.abs(every).max(), delta=1e-9)
        self.assertAlmostEqual(error['perplexity_ratio'], math.exp(every.mean()), delta=1e-9)
        left = sum((one.sum() - every.mean() * len(one)) ** 2 for one in found)
        width = 1.959963984540054 * math.sqrt(left * len(found) / (len(found) - 1)) / len(every)
        for bound, sign in zip(error['perplexity_ratio_95'], (-1, 1)):
            self.assertAlmostEqual(bound, math.exp(every.mean() + sign * width), delta=1e-9)
        self.assertGreater(error['mean_difference'], 1e-4)  # it is another arithmetic
        self.assertLess(error['mean_difference'], 0.1)
        with h5py.File(other / 'results.h5') as results:
            self.assertNotIn('int8_error', results.attrs)
        self.assertNotIn('int8_error', json.loads((other / 'summary.json').read_text()))
        self.assertEqual(json.loads((alone / 'plan.json').read_text())['values']['dtype'], 'int8')

        expected = (alone / 'results.h5').read_bytes()
        for layout, ranks, threads in (('dp=1', 1, 2), ('dp=2', 2, 1), ('pp=2', 2, 1), ('tp=2', 2, 1), ('tp=4', 4, 1),
                                       ('dp=2,pp=2', 4, 1)):
            with self.subTest(layout=layout, threads=threads):
                there = self.score(f'{layout}x{threads}', '--dtype', 'int8', '--layout', layout, ranks=ranks,
                                   threads=threads)
                self.assertEqual((there / 'results.h5').read_bytes(), expected)
                self.assertEqual(self.error_of(there), error)
        # Again, where all is done: nothing changes.
        self.assertIn('nothing was left to do', run('score', '--model', MODEL, '--corpus', self.corpus, '--output', alone,
                                                    '--per-token', '--threads', 1, '--shard-documents', 4,
                                                    '--tokens-per-batch', 512, '--dtype', 'int8').stderr)
        self.assertEqual((alone / 'results.h5').read_bytes(), expected)
        self.succeed('verify', alone)

    def test_head(self):
        """The head in int8 is another job, with an error of its own, and the same bytes on every layout."""
        options = ('--dtype', 'int8', '--int8-head')
        alone = self.score('alone', *options)
        expected = (alone / 'results.h5').read_bytes()
        error = self.error_of(alone)
        every = numpy.concatenate(self.differences(alone, self.score('bf16', '--dtype', 'bf16')))
        self.assertAlmostEqual(error['mean_difference'], numpy.abs(every).mean(), delta=1e-9)
        self.assertLess(error['mean_difference'], 0.1)
        self.assertNotEqual(self.error_of(self.score('dense', '--dtype', 'int8')), error)
        for layout, ranks, threads in (('dp=1', 1, 2), ('pp=2', 2, 1), ('tp=2', 2, 1), ('dp=2,tp=2', 4, 1)):
            with self.subTest(layout=layout, threads=threads):
                there = self.score(f'{layout}x{threads}', *options, '--layout', layout, ranks=ranks, threads=threads)
                self.assertEqual((there / 'results.h5').read_bytes(), expected)
        self.assertEqual(json.loads((alone / 'plan.json').read_text())['values']['head'], 'int8')
        refused = run('score', '--model', MODEL, '--corpus', self.corpus, '--output', alone, '--int8-head')
        self.assertEqual(refused.returncode, 64)
        self.assertIn('--int8-head is for --dtype int8', refused.stderr)

    def test_shards_on_disk(self):
        """A sharded job's table of parts has the attribute too; documents too short to score are no sample."""
        alone = self.score('gathered', '--dtype', 'int8')
        there = self.score('sharded', '--dtype', 'int8', '--output-mode', 'sharded', '--layout', 'dp=2', ranks=2)
        self.assertEqual(self.error_of(there), self.error_of(alone))
        self.succeed('verify', there)

    def test_nothing_to_compare(self):
        empty = self.folder / 'empty.h5'
        self.succeed('import', '--input', self.write_jsonl('none.jsonl', [{'id': 'a', 'text': ''}]), '--output', empty)
        there = self.folder / 'none'
        self.succeed('score', '--model', MODEL, '--corpus', empty, '--output', there, '--dtype', 'int8')
        self.assertEqual(self.error_of(there), {'against': 'bf16', 'documents': 0, 'tokens': 0, 'mean_difference': 0,
                                                'max_difference': 0, 'perplexity_ratio': 1,
                                                'perplexity_ratio_95': None})


if __name__ == '__main__':
    main()
