#!/usr/bin/env python3
"""thresher verify on runs that score made: nothing is wrong with them, and each kind of damage is named."""
import json
import shutil

import h5py
from program import MODEL, ProgramTest, documents, main

DATA, NO_INPUT, AGAIN, USAGE = 65, 66, 75, 64


class Verify(ProgramTest):
    def setUp(self):
        super().setUp()
        texts = self.write_jsonl('texts.jsonl', documents(90, seed=5))
        self.succeed('import', '--input', texts, '--output', self.folder / 'corpus.h5')
        self.good = self.score('good', '--per-token', '--top-k', 2)

    def score(self, name, *more):
        run = self.folder / name
        command = ['score', '--model', MODEL, '--corpus', self.folder / 'corpus.h5', '--output', run, '--dtype', 'f32',
                   '--window', 128, '--shard-documents', 20, *more]
        self.succeed(*command)
        return run

    def copy(self):
        run = self.folder / 'copy'
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.good, run)
        return run

    def faulty(self, run, *messages):
        done = self.refuse(DATA, messages[0], 'verify', run)
        for message in messages:
            self.assertIn(message, done.stderr)
        self.assertEqual(done.stdout, '')
        return done.stderr

    def test_good_runs(self):
        said = self.succeed('verify', self.good).stdout
        with h5py.File(self.good / 'results.h5') as results:
            tokens, rows = int(results['tokens'][:].sum()), len(results['token/id'])
        self.assertIn('OK: 90 documents', said)
        self.assertIn(f'{tokens} tokens scored', said)
        self.assertIn(f'5 parts with {rows} rows of tokens', said)
        before = {path: path.read_bytes() for path in self.good.rglob('*') if path.is_file()}
        self.succeed('verify', self.good)
        self.assertEqual({path: path.read_bytes() for path in self.good.rglob('*') if path.is_file()}, before)

    def test_damage_is_named_and_the_same_command_repairs_it(self):
        part = 'parts/part-00000002.h5'

        def flip(run):
            data = bytearray((run / part).read_bytes())
            data[len(data) // 2] ^= 1
            (run / part).write_bytes(data)

        def cut_results(run):
            data = (run / 'results.h5').read_bytes()
            (run / 'results.h5').write_bytes(data[:len(data) * 2 // 3])

        def wrong_summary(run):
            summary = json.loads((run / 'summary.json').read_text())
            summary['tokens'] += 1
            (run / 'summary.json').write_text(json.dumps(summary))

        def another_number(run):
            with h5py.File(run / 'results.h5', 'r+') as results:
                results['logprob'][41] = -1.5

        for damage, message in ((flip, part), (lambda run: (run / part).unlink(), f'{part} is missing'),
                                (lambda run: shutil.copy(run / 'parts/part-00000001.h5', run / part),
                                 f'{part} holds shard 1, expected 2'),
                                (lambda run: shutil.copy(run / part, run / 'parts/part-00000009.h5'),
                                 'part-00000009.h5 is no part of this job of 5 shards'),
                                (cut_results, 'results.h5'), (lambda run: (run / 'results.h5').unlink(), 'results.h5'),
                                (another_number, '/logprob differs from parts/part-00000002.h5 in row 1'),
                                (wrong_summary, 'summary.json: tokens is'),
                                (lambda run: (run / 'summary.json').unlink(), 'summary.json'),
                                (lambda run: (run / 'rejects.jsonl').write_text(''), 'rejects.jsonl')):
            with self.subTest(message):
                run = self.copy()
                damage(run)
                said = self.faulty(run, message, '/_SUCCESS and give the score command again')
                self.assertIn('has 1 fault:', said)
                (run / '_SUCCESS').unlink()
                self.score('copy', '--per-token', '--top-k', 2)
                self.succeed('verify', run)
                self.assertEqual((run / 'results.h5').read_bytes(), (self.good / 'results.h5').read_bytes())

    def test_a_part_of_another_run(self):
        other = self.score('other', '--per-token', '--top-k', 2, '--bos', 'never')
        run = self.copy()
        shutil.copy(other / 'parts/part-00000002.h5', run / 'parts/part-00000002.h5')
        self.faulty(run, 'part-00000002.h5')

    def test_results_with_more_rows(self):
        run = self.copy()
        texts = self.write_jsonl('more.jsonl', documents(95, seed=5))
        self.succeed('score', '--model', MODEL, '--corpus', texts, '--output', self.folder / 'more', '--dtype', 'f32',
                     '--per-token', '--top-k', 2, '--shard-documents', 20)
        shutil.copy(self.folder / 'more' / 'results.h5', run / 'results.h5')
        self.faulty(run, 'results.h5 holds 95 documents, the plan 90')

    def test_many_faults(self):
        run = self.copy()
        for part in (run / 'parts').iterdir():
            part.unlink()
        self.assertIn('has 5 faults:', self.faulty(run, 'part-00000000.h5 is missing', 'part-00000004.h5 is missing'))
        self.assertIn('... and 3 more', self.refuse(DATA, 'has 5 faults:', 'verify', run, '--faults', 2).stderr)

    def test_unfinished_and_other_directories(self):
        run = self.copy()
        (run / '_SUCCESS').unlink()
        (run / 'results.h5').unlink()
        (run / 'parts/part-00000003.h5').unlink()
        self.refuse(AGAIN, 'is not finished: 4 of 5 shards committed', 'verify', run)
        self.refuse(NO_INPUT, 'is not a run directory', 'verify', self.folder)
        self.refuse(NO_INPUT, 'is not a run directory', 'verify', self.folder / 'nothing')
        self.refuse(USAGE, 'RUN_DIR', 'verify')
        self.refuse(USAGE, 'one RUN_DIR at a time', 'verify', run, run)


if __name__ == '__main__':
    main()
