#!/usr/bin/env python3
"""A model whose weights are all finite and which computes a NaN for every text with one certain token: those documents
get a status of their own, and neither their neighbours nor the totals notice."""
import json
import shutil
import struct

import h5py
import numpy as np

from program import MODEL, ProgramTest, documents, main

FAILURES, DATA = 1, 65
MARK = '§'  # a character that no other text has
NAN, OK = 3, 0


def bf16(values):
    return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype('<u2')


class Nan(ProgramTest):
    def first_token(self, text):
        texts = self.write_jsonl('one.jsonl', [{'id': 'x', 'text': text}])
        self.succeed('import', '--input', texts, '--output', self.folder / 'one.h5', '--model', MODEL)
        with h5py.File(self.folder / 'one.h5') as corpus:
            return int(corpus['/doc/tokens'][0])

    def model(self, change):
        """A copy whose tensors (bf16 as uint16, by name) were changed."""
        folder = self.folder / 'model'
        shutil.copytree(MODEL, folder, dirs_exist_ok=True)
        stored = bytearray((MODEL / 'model.safetensors').read_bytes())
        size = struct.unpack('<Q', stored[:8])[0]
        tensors = {}
        for name, entry in json.loads(stored[8:8 + size]).items():
            if name != '__metadata__':
                first, last = entry['data_offsets']
                view = memoryview(stored)[8 + size + first:8 + size + last]
                tensors[name] = np.frombuffer(view, '<u2').reshape(entry['shape'])
        change(tensors)
        (folder / 'model.safetensors').write_bytes(stored)
        return folder

    def overflowing(self, token):
        """One channel of the hidden state is zero in front of the first block, but for `token`, and there its keys are
        beyond f32 and bf16."""
        def change(tensors):
            embedding = tensors['model.embed_tokens.weight']
            embedding[:, 7] = 0
            embedding[token, 7] = bf16([1])[0]
            tensors['model.layers.0.input_layernorm.weight'][7] = bf16([1])[0]
            tensors['model.layers.0.self_attn.k_proj.weight'][:, 7] = bf16([3e38])[0]

        return self.model(change)

    def score(self, model, texts, run, *more, **options):
        return self.succeed('score', '--model', model, '--corpus', texts, '--output', run, '--threads', '1', *more,
                            **options)

    def test_documents_beyond_the_range(self):
        model = self.overflowing(self.first_token(MARK))
        good = documents(60, seed=5)
        texts = (f'{MARK} at the beginning', f'in the\n{MARK} middle',
                 f'twice\n{MARK} and\n{MARK} again' + ' longer' * 600)
        bad = [{'id': f'bad-{i}', 'text': text} for i, text in enumerate(texts)]
        mixed = good[:20] + bad[:1] + good[20:40] + bad[1:2] + good[40:] + bad[2:]
        some, all_texts = self.write_jsonl('good.jsonl', good), self.write_jsonl('mixed.jsonl', mixed)
        for dtype, more, ranks in (('f32', (), 0), ('bf16', ('--layout', 'tp=2'), 2), ('f32', ('--layout', 'pp=2'), 2)):
            with self.subTest(dtype=dtype, more=more):
                one, two = self.folder / f'good-{dtype}{ranks}', self.folder / f'mixed-{dtype}{ranks}'
                self.score(model, some, one, '--dtype', dtype, '--per-token')
                self.score(model, all_texts, two, '--dtype', dtype, '--per-token', '--max-rejects', '30', *more,
                           ranks=ranks)
                with h5py.File(one / 'results.h5') as a, h5py.File(two / 'results.h5') as b:
                    ids = [name.decode() for name in b['/id'][:]]
                    is_bad = np.array([name.startswith('bad') for name in ids])
                    self.assertTrue((b['/status'][:][is_bad] == NAN).all(), b['/status'][:][is_bad])
                    self.assertTrue(np.isnan(b['/logprob'][:][is_bad]).all())
                    self.assertEqual(b['/status'][:][~is_bad].tobytes(), a['/status'][:].tobytes())
                    self.assertEqual(b['/logprob'][:][~is_bad].tobytes(), a['/logprob'][:].tobytes())
                    self.assertNotIn(NAN, a['/status'][:])
                    self.assertIn(OK, a['/status'][:])
                totals = [json.loads((run / 'summary.json').read_text(encoding='utf-8')) for run in (one, two)]
                for name in ('tokens', 'logprob', 'token_perplexity', 'bits_per_byte'):
                    self.assertEqual(totals[0][name], totals[1][name], name)
                self.assertEqual(totals[1]['documents_by_status']['nan'], len(bad))
                told = json.loads((two / 'status.json').read_text(encoding='utf-8'))
                self.assertEqual((told['state'], told['nan']), ('done', len(bad)))
                self.succeed('verify', two)
        rejected = totals[1]['documents_by_status']['rejected']
        limit = rejected + len(bad) - 1
        done = self.refuse(FAILURES, f'{limit + 1} documents have no score', 'score', '--model', model, '--corpus',
                           all_texts, '--output', self.folder / 'limited', '--max-rejects', limit)
        self.assertIn('nan', done.stdout)

    def test_weights_that_are_no_numbers(self):
        def change(tensors):
            tensors['model.layers.2.mlp.up_proj.weight'][3, 5:8] = [0x7fc0, 0x7f80, 0xff80]

        texts = self.write_jsonl('texts.jsonl', documents(3, seed=5))
        for ranks, layout in ((0, 'dp=1'), (2, 'pp=2')):
            self.refuse(DATA, '"model.layers.2.mlp.up_proj.weight" holds 3 values of', 'score', '--model',
                        self.model(change), '--corpus', texts, '--output', self.folder / f'run-{ranks}', '--layout',
                        layout, ranks=ranks)


if __name__ == '__main__':
    main()
