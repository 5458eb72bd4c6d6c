#!/usr/bin/env python3
"""bench: what it prints, and the models it makes."""
import json

from program import ProgramTest, documents, main


class Bench(ProgramTest):
    def test_json(self):
        out = self.succeed('bench', '--shape', 'tiny', '--dtype', 'bf16,f32', '--score', '--json', '--seconds', '0.2',
                           '--tokens-per-batch', 256, '--document', 64, '--threads', 1).stdout
        found = json.loads(out)
        self.assertEqual(set(found), {'peak', 'memory', 'steps', 'score'})
        self.assertEqual(set(found['peak']), {'bf16', 'f32'})
        self.assertTrue(all(peak > 1e9 for peak in found['peak'].values()))
        self.assertTrue(all(rate > 1e8 for rate in found['memory'].values()))
        self.assertEqual([row['dtype'] for row in found['score']], ['bf16', 'f32'])
        for row in found['score']:
            self.assertGreater(row['tokens_per_second'], 0)
            self.assertTrue(0 < row['products_fraction'] < 1, row)
            self.assertTrue(0 < row['peak_fraction'] < 1, row)
            self.assertAlmostEqual(sum(row['time_shares'].values()), 1)
            self.assertEqual(row['time_shares']['products'], row['products_fraction'])
            self.assertGreater(row['time_shares']['attend'], 0)
        self.assertIn('score', {row['step'] for row in found['steps']})
        for row in found['steps']:
            self.assertTrue(row['seconds'] > 0 and 0 <= row['peak_fraction'] < 1.5, row)
            self.assertGreater(row['memory_fraction'], 0)

    def test_text(self):
        out = self.succeed('bench', '--shape', 'tiny', '--seconds', '0.1', '--tokens-per-batch', 128).stdout
        self.assertIn('bf16', out)
        self.assertIn('GFLOP/s', out)

    def test_models_of_every_architecture(self):
        corpus = self.write_jsonl('c.jsonl', documents(20, seed=9))
        for name in ('llama', 'mistral', 'qwen2', 'qwen3'):
            with self.subTest(name):
                model, again = self.folder / name, self.folder / f'{name}-again'
                for folder in (model, again):
                    self.succeed('bench', '--shape', 'tiny', '--architecture', name, '--make-model', folder)
                for file in sorted(model.iterdir()):
                    self.assertEqual(file.read_bytes(), (again / file.name).read_bytes(), file.name)
                self.succeed('score', '--model', model, '--corpus', corpus, '--output', self.folder / f'run-{name}')
                copy = self.folder / f'{name}-copy'
                self.succeed('bench', '--shape', model / 'config.json', '--make-model', copy)
                self.assertEqual((copy / 'config.json').read_text(), (model / 'config.json').read_text())
                self.refuse(73, name, 'bench', '--shape', 'tiny', '--make-model', model)

    def test_refusals(self):
        self.refuse(64, 'llama-1b', 'bench', '--shape', 'lama')
        self.refuse(64, '--dtype', 'bench', '--dtype', 'bf16,int3')
        self.refuse(64, '--score cannot', 'bench', '--score', '--make-model', self.folder / 'x')


if __name__ == '__main__':
    main()
