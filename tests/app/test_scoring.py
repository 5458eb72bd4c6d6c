#!/usr/bin/env python3
"""From texts to results, seen from outside: every document has a row, and the numbers of all outputs agree."""
import csv
import gzip
import hashlib
import io
import json
import math

import h5py
import numpy as np
from program import MODEL, ProgramTest, documents, main

OK, WINDOWED, REJECTED, NAN, EMPTY = range(5)


class Scoring(ProgramTest):
    def score(self, corpus, *more, name='run', ranks=0):
        self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', self.folder / name, '--dtype', 'f32',
                     *more, ranks=ranks)
        return h5py.File(self.folder / name / 'results.h5', 'r')

    def test_import_score_export(self):
        records = documents(300, seed=1)
        texts = self.write_jsonl('texts.jsonl', records)
        self.succeed('import', '--input', texts, '--output', self.folder / 'corpus.h5')
        results = self.score(self.folder / 'corpus.h5', '--window', 128, ranks=2)
        self.assertEqual(list(results['id'].asstr()), [record['id'] for record in records])
        self.assertTrue((self.folder / 'run' / '_SUCCESS').exists())
        status, logprob, tokens = (results[name][:] for name in ('status', 'logprob', 'tokens'))
        texts_of = [record['text'] for record in records]
        self.assertEqual({s for s, text in zip(status, texts_of) if text == ''}, {REJECTED})
        self.assertIn(OK, status)
        self.assertIn(WINDOWED, status)
        scored = (status == OK) | (status == WINDOWED)
        self.assertTrue(np.isfinite(logprob[scored]).all() and (logprob[scored] <= 0).all())
        self.assertEqual(list(results['bytes'][scored]),
                         [len(text.encode()) for text, s in zip(texts_of, scored) if s])
        self.check_summary(results, scored)
        self.check_exports(results)

        summary = self.succeed('inspect', self.folder / 'run', '--extremes', 3, '--corpus',
                               self.folder / 'corpus.h5').stdout
        self.assertIn('Most likely documents', summary)
        for file in ('corpus.h5', 'run/results.h5', 'run/parts/part-0.h5'):
            if (self.folder / file).exists():
                self.assertIn('300', self.succeed('inspect', self.folder / file).stdout)
        self.assertIn('LlamaForCausalLM', self.succeed('inspect', MODEL).stdout)
        self.assertGreater(tokens.sum(), 0)

    def test_hugging_faces_cache(self):
        """snapshots/<revision>/ of nothing but links to ../../blobs/<hash>, found through a link itself."""
        texts = self.write_jsonl('texts.jsonl', documents(20, seed=2))
        expected = self.score(texts, name='plain').filename
        cache = self.folder / 'models--a--b'
        (cache / 'blobs').mkdir(parents=True)
        (cache / 'snapshots' / '0123').mkdir(parents=True)
        header = (MODEL / 'model.safetensors').read_bytes()
        tensors = json.loads(header[8:8 + int.from_bytes(header[:8], 'little')])
        tensors.pop('__metadata__', None)
        shard = 'model-00001-of-00001.safetensors'
        files = {'config.json': (MODEL / 'config.json').read_bytes(), 'tokenizer.json': (MODEL / 'tokenizer.json').read_bytes(),
                 'model.safetensors.index.json': json.dumps({'weight_map': dict.fromkeys(tensors, shard)}).encode(),
                 shard: header}
        for name, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            (cache / 'blobs' / digest).write_bytes(content)
            (cache / 'snapshots' / '0123' / name).symlink_to(f'../../blobs/{digest}')
        model = self.folder / 'model'
        model.symlink_to(cache / 'snapshots' / '0123')
        self.succeed('score', '--model', model, '--corpus', texts, '--output', self.folder / 'run', '--dtype', 'f32', ranks=2)
        with open(expected, 'rb') as plain:
            self.assertEqual((self.folder / 'run' / 'results.h5').read_bytes(), plain.read())
        for name in ('config.json', 'tokenizer.json'):
            link = cache / 'snapshots' / '0123' / name
            kept = link.rename(self.folder / 'kept')
            link.symlink_to('/dev/zero')
            self.refuse(66, f'{name}: it is not a regular file', 'score', '--model', model, '--corpus', texts, '--output',
                        self.folder / 'other')
            link.unlink()
            kept.rename(link)

    def check_summary(self, results, scored):
        summary = json.loads((self.folder / 'run' / 'summary.json').read_text())
        logprob, tokens = results['logprob'][scored].sum(), int(results['tokens'][scored].sum())
        self.assertEqual(summary['documents'], 300)
        self.assertEqual(sum(summary['documents_by_status'].values()), 300)
        self.assertEqual(summary['tokens'], tokens)
        self.assertAlmostEqual(summary['logprob'] / logprob, 1, places=12)
        self.assertAlmostEqual(summary['token_perplexity'], math.exp(-logprob / tokens), places=9)
        bits = -logprob / results['bytes'][scored].sum() / math.log(2)
        self.assertAlmostEqual(summary['bits_per_byte'], bits, places=9)
        self.assertEqual(summary['ranks'], 2)

    def check_exports(self, results):
        lines = self.succeed('export', self.folder / 'run', '--to', 'jsonl').stdout.splitlines()
        self.succeed('export', self.folder / 'run', '--to', 'csv', '--output', self.folder / 'run.csv')
        rows = list(csv.DictReader(io.StringIO((self.folder / 'run.csv').read_text(encoding='utf-8'))))
        self.assertEqual((len(lines), len(rows)), (300, 300))
        for i, (line, row) in enumerate(zip(map(json.loads, lines), rows)):
            self.assertEqual(line['id'], row['id'])
            self.assertEqual(int(row['tokens']), results['tokens'][i])
            if math.isfinite(results['logprob'][i]):
                self.assertEqual(line['logprob'], results['logprob'][i])
                self.assertEqual(float(row['logprob']), results['logprob'][i])
            else:
                self.assertIsNone(line['logprob'])
                self.assertEqual(row['logprob'], '')

    def test_tokens_add_up(self):
        texts = self.write_jsonl('texts.jsonl', documents(60, seed=2))
        results = self.score(texts, '--per-token', '--top-k', 3)
        offsets = results['token/offsets'][:]
        self.assertEqual(list(np.diff(offsets)), list(results['tokens'][:]))
        for i, total in enumerate(results['logprob'][:]):
            part = slice(offsets[i], offsets[i + 1])
            if math.isfinite(total):
                self.assertAlmostEqual(results['token/logprob'][part].astype(float).sum(), total, places=3)
        ranks, top = results['token/rank'][:], results['token/top_id'][:]
        self.assertEqual(top.shape, (len(ranks), 3))
        for k in range(3):
            self.assertTrue((results['token/id'][:][ranks == k] == top[ranks == k, k]).all())
        self.assertTrue((np.diff(results['token/top_logprob'][:], axis=1) <= 0).all())
        self.assertTrue((results['token/entropy'][:] >= 0).all())

    def test_a_text_and_its_tokens_score_alike(self):
        texts = self.write_jsonl('texts.jsonl', documents(80, seed=3))
        self.succeed('import', '--input', texts, '--output', self.folder / 'tokens.h5', '--model', MODEL)
        one = self.score(texts, name='text')
        two = self.score(self.folder / 'tokens.h5', name='tokens')
        for column in ('status', 'tokens', 'logprob', 'bytes'):
            np.testing.assert_array_equal(one[column][:], two[column][:], err_msg=column)

    def test_bad_rows_are_rows(self):
        path = self.folder / 'bad.jsonl'
        path.write_bytes(b'{"id": "a", "text": "fine"}\n{"id": "b", "text": 7}\nnot json\n{"id": "d"}\n'
                         b'{"id": "e", "text": "\xff\xfe"}\n{"id": "f", "text": "also fine"}\n')
        results = self.score(path)
        self.assertEqual(list(results['status'][:]), [OK, REJECTED, REJECTED, REJECTED, REJECTED, OK])
        self.assertEqual(len((self.folder / 'run' / 'rejects.jsonl').read_text().splitlines()), 4)
        score = ['score', '--model', MODEL, '--corpus', path, '--dtype', 'f32']
        self.succeed(*score, '--output', self.folder / 'allowed', '--max-rejects', 4)
        done = self.fail_with_rows(*score, '--output', self.folder / 'refused', '--max-rejects', 3)
        self.assertIn('--max-rejects', done.stderr)
        self.assertTrue((self.folder / 'refused' / 'results.h5').exists())

    def fail_with_rows(self, *words):
        from program import run
        done = run(*words)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done

    def test_pairs(self):
        sentence = 'You may reproduce and distribute copies of the Work'
        records = [{'id': str(i), 'context': sentence[:cut], 'continuation': sentence[cut:]}
                   for i, cut in enumerate((8, 22, 33))]
        records.append({'id': 'empty context', 'context': '', 'continuation': sentence})
        fields = ['--context-field', 'context', '--continuation-field', 'continuation']
        results = self.score(self.write_jsonl('pairs.jsonl', records), *fields)
        whole = self.score(self.write_jsonl('whole.jsonl', [{'text': sentence}]), name='whole')
        self.assertEqual(list(results['bytes'][:]), [len(r['continuation']) for r in records])
        self.assertEqual(set(results['is_greedy'][:]) - {0, 1}, set())
        self.assertTrue((results['logprob'][:3] > whole['logprob'][0]).all())
        self.assertTrue((np.diff(results['logprob'][:3]) > 0).all())

    def test_kinds_of_files(self):
        (self.folder / 'poems').mkdir()
        for i in range(3):
            (self.folder / 'poems' / f'{i}.txt').write_text(f'Roses are red.\n\nNumber {i}.\n')
        pattern = self.folder / 'poems' / '*.txt'
        counts = {}
        for form in ('files', 'lines', 'paragraphs'):
            self.succeed('import', '--input', pattern, '--format', form, '--output', self.folder / f'{form}.h5')
            counts[form] = len(h5py.File(self.folder / f'{form}.h5')['doc/status'])
        self.assertEqual(counts['files'], 3)
        self.assertEqual(counts['paragraphs'], 6)
        with gzip.open(self.folder / 'more.jsonl.gz', 'wt') as file:
            file.write('{"text": "packed"}\n' * 4)
        self.succeed('import', '--input', self.folder / 'more.jsonl.gz', '--output', self.folder / 'more.h5')
        self.assertEqual(bytes(h5py.File(self.folder / 'more.h5')['doc/text'][:6]), b'packed')

    def test_import_on_any_number_of_ranks(self):
        files = [self.write_jsonl(f'{i}.jsonl', documents(40 + 60 * (i % 3), seed=i)) for i in range(7)]
        written = []
        for ranks in (0, 2, 3, 4):
            corpus = self.folder / f'corpus-{ranks}.h5'
            self.succeed('import', '--input', *files, '--output', corpus, ranks=ranks)
            written.append((corpus.read_bytes(), (self.folder / f'{corpus.name}.rejects.jsonl').read_bytes()))
        self.assertEqual(len(set(written)), 1)
        self.assertEqual([p.name for p in self.folder.glob('*spool*')], [])

    def test_another_plan_is_refused(self):
        texts = self.write_jsonl('texts.jsonl', documents(10, seed=4))
        before = self.score(texts)['logprob'][:]
        self.refuse(78, 'window', 'score', '--model', MODEL, '--corpus', texts, '--output', self.folder / 'run',
                  '--dtype', 'f32', '--window', 64)
        np.testing.assert_array_equal(before, h5py.File(self.folder / 'run' / 'results.h5')['logprob'][:])
        self.score(texts, '--window', 64, '--fresh')


if __name__ == '__main__':
    main()
