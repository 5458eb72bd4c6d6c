#!/usr/bin/env python3
"""results.h5 has the same bytes however many ranks share the corpus (dp), the layers (pp) and the matrices (tp)."""
import itertools
import json
import os
import unittest
from pathlib import Path

from program import MODEL, TREE, ProgramTest, documents, main

TINY_STORIES = Path(os.environ.get('THRESHER_SHARED_DIR', TREE.parent / 'shared')) / 'data/stories260K-hf'
GRIDS = ((1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (4, 1))  # dp, pp
SHARDS = (1, 2, 4)


class Layouts(ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / 'corpus.h5'
        self.succeed('import', '--input', self.write_jsonl('texts.jsonl', documents(60, seed=9, longest=60)),
                     '--output', self.corpus)

    def make_model(self, name, dtype='bf16', **changes):
        """Random weights: eight layers whose query heads share key and value heads."""
        config = {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'num_hidden_layers': 8,
                  'hidden_size': 128, 'intermediate_size': 344, 'num_attention_heads': 8, 'num_key_value_heads': 2,
                  'head_dim': 16, 'vocab_size': 5000, 'max_position_embeddings': 128, 'rms_norm_eps': 1e-5,
                  'tie_word_embeddings': False, 'hidden_act': 'silu', **changes}
        shape = self.folder / f'{name}.shape' / 'config.json'
        shape.parent.mkdir()
        shape.write_text(json.dumps(config))
        self.succeed('bench', '--make-model', self.folder / name, '--shape', shape, '--dtype', dtype)
        return self.folder / name

    def score(self, model, name, *more, ranks=1, budget=256):
        run = self.folder / name
        done = self.succeed('score', '--model', model, '--corpus', self.corpus, '--output', run, '--per-token',
                            '--top-k', 3, '--threads', 1, '--shard-documents', 4, '--tokens-per-batch', budget, *more,
                            ranks=ranks)
        return run, done

    def compare(self, model, layouts, *more, budget=256):
        reference = (self.score(model, f'{model.name}-alone{len(more)}{more[-1:]}', *more)[0] / 'results.h5').read_bytes()
        for replicas, stages, shards in layouts:
            layout = f'dp={replicas},pp={stages},tp={shards}'
            with self.subTest(model=model.name, layout=layout, options=more):
                run, _ = self.score(model, f'{model.name}-{layout}{more[-1:]}', '--layout', layout, *more,
                                    ranks=replicas * stages * shards, budget=budget)
                self.assertEqual((run / 'results.h5').read_bytes(), reference)

    @staticmethod
    def every():
        return [(replicas, stages, shards) for (replicas, stages), shards in itertools.product(GRIDS, SHARDS)]

    def test_eight_layers(self):
        self.compare(self.make_model('eight'), self.every())

    @unittest.skipUnless(TINY_STORIES.is_dir(), f'{TINY_STORIES} is not there')
    def test_tiny_stories(self):
        self.compare(TINY_STORIES, self.every())

    def test_every_family(self):
        """Shards with unequal heads and widths, or none; biases; windows; rotations that depend on the length."""
        for model in sorted((TREE / 'tests/fixtures/models').iterdir()):
            for dtype in ('bf16', 'f32'):
                self.compare(model, [(1, 2, 2), (1, 1, 8)], '--dtype', dtype)

    def test_windows_longer_than_a_batch(self):
        """Their hidden states take several messages from stage to stage."""
        self.compare(self.make_model('long'), [(1, 2, 1), (1, 4, 1), (2, 2, 2)], budget=24)

    def test_every_rank_reads_its_part(self):
        model = self.make_model('parts')
        size = (model / 'model.safetensors').stat().st_size
        for layout, load, ranks in (('pp=4', 'each', 4), ('pp=2,tp=2', 'each', 4), ('dp=2,pp=2', 'broadcast', 4)):
            with self.subTest(layout=layout):
                run, done = self.score(model, layout, '--layout', layout, '--load', load, ranks=ranks)
                read = [rank['metrics']['bytes read'] for rank in json.loads((run / 'run.json').read_text())['ranks']]
                # Norms, and key and value heads of shards that share them, are read more than once.
                self.assertLess(sum(read), 1.1 * size)
                self.assertGreater(sum(read), 0.9 * size)
                self.assertLess(max(read), 0.7 * size)
                self.assertIn('MiB read in all', done.stdout)

    def test_inexact_shards_are_another_job(self):
        model = self.make_model('eight')
        exact, _ = self.score(model, 'exact', '--layout', 'tp=2', ranks=2)
        self.refuse(78, 'tp_exact', 'score', '--model', model, '--corpus', self.corpus, '--output', exact, '--per-token',
                    '--top-k', 3, '--shard-documents', 4, '--layout', 'tp=2', '--tp-exact', 'off', ranks=2)
        loose, _ = self.score(model, 'loose', '--layout', 'tp=2', '--tp-exact', 'off', ranks=2)
        totals = [json.loads((run / 'summary.json').read_text())['logprob'] for run in (exact, loose)]
        self.assertAlmostEqual(totals[0] / totals[1], 1, delta=1e-4)

    def test_refused_layouts(self):
        for layout, ranks, message in (('dp=3', 2, 'needs 3 ranks, but 2 run'), ('tp=3', 3, 'is not 1, 2, 4 or 8'),
                                       ('xp=2', 2, 'write for example dp=2,pp=2,tp=1'), ('pp=0', 1, 'pp=0')):
            self.refuse(64, message, 'score', '--model', MODEL, '--corpus', self.corpus, '--output',
                        self.folder / 'refused', '--layout', layout, ranks=ranks)
        self.refuse(64, 'half layers', 'score', '--model', self.make_model('one', num_hidden_layers=1), '--corpus',
                    self.corpus, '--output', self.folder / 'refused', '--layout', 'pp=3', ranks=3)

    def test_replicas_write_their_own_parts(self):
        gathered, _ = self.score(MODEL, 'gathered')
        for layout, ranks in (('dp=1', 1), ('dp=2', 2), ('dp=2,pp=2', 4)):
            run, _ = self.score(MODEL, f'sharded-{ranks}', '--output-mode', 'sharded', '--layout', layout, ranks=ranks)
            self.succeed('verify', run)
            exported = [self.succeed('export', one, '--to', 'jsonl').stdout for one in (gathered, run)]
            self.assertEqual(exported[0], exported[1])
        masters = [(self.folder / f'sharded-{ranks}' / 'results.h5').read_bytes() for ranks in (1, 2, 4)]
        self.assertEqual(masters[0], masters[1])
        self.assertEqual(masters[0], masters[2])


if __name__ == '__main__':
    main()
