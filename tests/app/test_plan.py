#!/usr/bin/env python3
"""plan: layouts and what they cost, for described machines and for this one."""
import json
import shutil
import subprocess

from program import MODEL, TREE, ProgramTest, documents, main

CONFIGS = TREE / 'configs'
H100 = ('--machine', CONFIGS / 'h100x8.json')
TEXTS = ('--documents', 100000, '--mean-tokens', 600, '--longest-tokens', 8000)


class Plan(ProgramTest):
    def plan(self, *words):
        return json.loads(self.succeed('plan', *words, '--json').stdout)

    def model(self, size):
        return '--model', CONFIGS / 'models' / f'llama-{size}.json'

    def without_streaming(self):
        """H100s whose copies from host memory nobody has measured: layers are not streamed."""
        machine = json.loads((CONFIGS / 'h100x8.json').read_text(encoding='utf-8'))
        del machine['host_copy_gb_per_second']
        file = self.folder / 'h100.json'
        file.write_text(json.dumps(machine), encoding='utf-8')
        return '--machine', file

    def test_layers_are_streamed_where_nothing_else_fits(self):
        best = self.plan(*self.model('70b'), *TEXTS, *H100, '--ranks', 1)['layouts'][0]
        self.assertTrue(best['fits'])
        stage = best['stages'][0]
        self.assertEqual(stage['layers'], 80)
        self.assertTrue(0 < stage['streamed_layers'] < 80, stage)
        # They lie in the host's memory: 1.6 GiB each.
        self.assertAlmostEqual(best['node_pinned'] / 2**30 / stage['streamed_layers'], 1.6, delta=0.1)
        self.assertFalse(self.plan(*self.model('70b'), *TEXTS, *self.without_streaming(), '--ranks', 1)['layouts'][0]['fits'])

    def test_layouts_of_described_machines(self):
        found = self.plan(*self.model('70b'), *TEXTS, *self.without_streaming(), '--nodes', 2)
        self.assertEqual(found['ranks'], 16)
        layouts = found['layouts']
        self.assertEqual(len(layouts), len({one['layout'] for one in layouts}))
        self.assertTrue(all(one['dp'] * one['pp'] * one['tp'] == 16 for one in layouts))
        best, worst = layouts[0], layouts[-1]
        self.assertTrue(best['fits'] and not best['reason'])
        self.assertEqual((worst['layout'], worst['fits']), ('dp=16,pp=1,tp=1', False))
        self.assertIn('on a device', worst['reason'])
        rates = [one['tokens_per_second'] for one in layouts if one['fits']]
        self.assertEqual(rates[1:], sorted(rates[1:], reverse=True))
        for one in layouts:
            self.assertEqual(len(one['stages']), one['pp'])
            self.assertAlmostEqual(one['rank_memory'], max(stage['memory']['total'] for stage in one['stages']))
            self.assertEqual(one['stages'][-1]['halves'][1], 160)
        # Twice the nodes, twice the speed, but for the uneven end.
        twice = self.plan(*self.model('70b'), *TEXTS, *H100, '--nodes', 4)
        self.assertAlmostEqual(twice['layouts'][0]['tokens_per_second'] / best['tokens_per_second'], 2, delta=0.1)

    def test_int8(self):
        words = (*self.model('1b'), *TEXTS, '--machine', CONFIGS / 'workstation.json', '--dtype')
        bf16, int8, head = (self.plan(*words, *dtype)['layouts'][0]
                            for dtype in (('bf16',), ('int8',), ('int8', '--int8-head')))
        times = [one['stages'][0]['seconds'] for one in (bf16, int8, head)]
        self.assertLess(times[1]['products'], 0.6 * times[0]['products'])
        self.assertEqual(times[1]['head'], times[0]['head'])
        self.assertLess(times[2]['head'], 0.6 * times[1]['head'])
        self.assertEqual(times[2]['products'], times[1]['products'])
        self.assertIn(' --int8-head', self.succeed('plan', *words, 'int8', '--int8-head', '--sbatch').stdout)
        self.assertIn('int8, its head too', self.succeed('plan', *words, 'int8', '--int8-head').stdout)
        self.refuse(64, 'is for --dtype int8', 'plan', *words, 'bf16', '--int8-head')

    def test_text(self):
        h100 = self.without_streaming()
        out = self.succeed('plan', *self.model('405b'), *TEXTS, *h100, '--ranks', 64, '--simulate').stdout
        for words in ('best: dp=4,pp=16,tp=1', 'sums over tensor shards', 'on a device', 'simulated:', 'requests/s',
                      'half layers', '--output-mode gather'):
            self.assertIn(words, out)
        self.assertIn('nothing fits', self.succeed('plan', *self.model('405b'), *TEXTS, *h100, '--ranks', 8).stdout)

    def test_output(self):
        small = self.plan(*self.model('8b'), *TEXTS, *H100)
        large = self.plan(*self.model('8b'), '--documents', 10**9, '--mean-tokens', 600, *H100, '--top-k', 20)
        self.assertEqual(small['layouts'][0]['output_mode'], 'gather')
        self.assertEqual(large['layouts'][0]['output_mode'], 'sharded')
        self.assertGreater(large['layouts'][0]['output_bytes'], 10**9 * 500 * (16 + 160))

    def test_simulation(self):
        words = ('plan', *self.model('8b'), '--documents', 10**8, '--mean-tokens', 2048, *H100, '--nodes', 64,
                 '--simulate', '--json')
        first, second = (self.succeed(*words).stdout for _ in range(2))
        self.assertEqual(first, second)
        found = json.loads(first)['simulation']
        self.assertEqual(found['requests'], found['leases'] + 512)
        self.assertGreater(found['busy'], 0.9)
        self.assertLess(found['coordinator_busy'], 0.5)

    def test_corpora(self):
        texts = self.write_jsonl('c.jsonl', documents(600, seed=3))
        counts = {}
        for name, words in (('text', ()), ('tokens', ('--model', MODEL))):
            corpus = self.folder / f'{name}.h5'
            self.succeed('import', '--input', texts, '--output', corpus, *words)
            counts[name] = self.plan('--model', MODEL, '--corpus', corpus, '--machine', CONFIGS / 'workstation.json')
        self.succeed('score', '--model', MODEL, '--corpus', self.folder / 'tokens.h5', '--output', self.folder / 'run')
        scored = json.loads((self.folder / 'run' / 'summary.json').read_text())['tokens']
        self.assertAlmostEqual(counts['tokens']['corpus']['tokens_scored'] / scored, 1, delta=0.01)
        self.assertAlmostEqual(counts['text']['corpus']['tokens_scored'] / scored, 1, delta=0.15)
        self.refuse(64, 'no HDF5 corpus', 'plan', '--model', MODEL, '--corpus', texts, *H100)

    def test_this_machine(self):
        found = self.plan('--model', MODEL, '--documents', 1000, '--mean-tokens', 100, '--ranks', 2, '--seconds', 0.2)
        self.assertEqual([one['layout'] for one in found['layouts'] if one['tp'] * one['pp'] == 1], ['dp=2,pp=1,tp=1'])
        self.assertTrue(all(one['fits'] for one in found['layouts']))
        self.assertGreater(found['layouts'][0]['tokens_per_second'], 1000)

    def test_batch_scripts(self):
        for machine in ('h100x8.json', 'cpu-cluster.json'):
            script = self.succeed('plan', *self.model('70b'), *TEXTS, '--machine', CONFIGS / machine, '--nodes', 2,
                                  '--top-k', 5, '--sbatch').stdout
            for words in ('#!/bin/bash\n', '#SBATCH --nodes=2\n', 'srun --mpi=pmix -K1', '--layout dp=', '--top-k 5',
                          'oob_tcp_keepalive', '"${CORPUS:?}"'):
                self.assertIn(words, script)
            self.assertEqual('--gpus-per-node=8' in script, machine == 'h100x8.json')
            file = self.folder / 'job.sh'
            file.write_text(script)
            subprocess.run(['bash', '-n', file], check=True)
            if shutil.which('shellcheck'):
                subprocess.run(['shellcheck', file], check=True)
        self.refuse(78, 'nothing fits 8 ranks', 'plan', *self.model('405b'), *TEXTS, *self.without_streaming(), '--sbatch')

    def test_refusals(self):
        self.refuse(64, '--documents and --mean-tokens are needed', 'plan', *self.model('8b'))
        self.refuse(64, 'without --corpus', 'plan', *self.model('8b'), '--corpus', 'x', '--documents', 3)
        self.refuse(64, '--longest-tokens 5 is less', 'plan', *self.model('8b'), '--documents', 1, '--mean-tokens', 6,
                    '--longest-tokens', 5)
        self.refuse(64, 'GPUs a node', 'plan', *self.model('8b'), *TEXTS, *H100, '--nodes', 1, '--ranks', 16)
        self.refuse(66, 'nowhere', 'plan', *self.model('8b'), *TEXTS, '--machine', self.folder / 'nowhere.json')
        self.refuse(78, '--window 200000', 'plan', *self.model('8b'), *TEXTS, *H100, '--window', 200000)
        bad = self.folder / 'bad.json'
        bad.write_text((CONFIGS / 'h100x8.json').read_text().replace('"cores": 112', '"cores": 0'))
        self.refuse(65, 'cores is 0', 'plan', *self.model('8b'), *TEXTS, '--machine', bad)


class Presets(ProgramTest):
    def test_job_files(self):
        presets = sorted((CONFIGS / 'layouts').glob('*.conf'))
        self.assertGreaterEqual(len(presets), 3)
        for preset in presets:
            done = self.refuse(64, '--model is missing', 'score', '--job', preset)
            self.assertNotIn('unknown', done.stderr, preset)


if __name__ == '__main__':
    main()
