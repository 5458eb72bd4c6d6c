#!/usr/bin/env python3
"""The program on an emulated GPU: the CUDA device's own code and kernels, with CUDA itself replaced by a fake."""
import json
import os
import re
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

    def test_streamed_layers_give_the_same_bytes(self):
        one = ('--device', 'cuda', '--tp-exact', 'on', '--share-gpus', '--tokens-per-batch', 50)
        _, resident = self.score('resident', *one)
        summary = json.loads((self.folder / 'resident' / 'summary.json').read_text())
        self.assertNotIn('streaming', summary)
        layers = json.loads((Path(MODEL) / 'config.json').read_text())['num_hidden_layers']
        for name, ranks, more, there in (('on', 0, [], layers), ('pp', 2, ['--layout', 'pp=2'], (layers + 2) // 2),
                                         ('tp', 2, ['--layout', 'tp=2'], layers)):
            with self.subTest(name):
                _, found = self.score(name, *one, *more, '--stream-layers', 'on', ranks=ranks)
                self.assertEqual(found, resident)
                streaming = json.loads((self.folder / name / 'summary.json').read_text())['streaming']
                self.assertEqual(streaming['streamed_layers'], streaming['layers'])
                self.assertLessEqual(streaming['layers'], there)
                self.assertGreater(streaming['bytes_per_batch'], 0)

    def refused_with(self, name, *more, **options):
        done = program.run('score', '--model', MODEL, '--corpus', self.corpus, '--output', self.folder / name,
                           '--per-token', *more, **options)
        self.assertIn(done.returncode, (71, 78), done.stdout + done.stderr)
        return done.stderr

    def test_what_does_not_fit_is_streamed(self):
        one = ('--device', 'cuda', '--layout', 'dp=1', '--tokens-per-batch', 50)
        _, resident = self.score('resident', *one)
        # The least memory that holds everything but the layers.
        memory = 32 << 20
        for _ in range(30):
            words = self.refused_with('off', *one, '--stream-layers', 'off', '--fresh',
                                      env={'THRESHER_FAKE_GPU_MEMORY': str(memory)})
            missing = re.search(r'(\d+) MiB needed at once, (\d+) of', words)
            if not missing:
                break
            memory += (int(missing[1]) - int(missing[2]) + 1) << 20
        # And leaves so much free: a matrix, and 8192 rows of both its sides.
        memory += 2 * 512 * 256 * 2 + 8192 * (256 * 2 + 2 * 512 * 4)
        words = self.refused_with('off', *one, '--stream-layers', 'off', '--fresh',
                                  env={'THRESHER_FAKE_GPU_MEMORY': str(memory)})
        layers = re.search(r'the 4 layers do not fit, and --stream-layers is off: ([0-9.]+) MiB are needed on the GPU, '
                           r'([0-9.]+) MiB are left', words)
        self.assertTrue(layers, words)
        needed, left = float(layers[1]), float(layers[2])
        # Room for two slots and one layer more, or for less than two slots.
        for name, room in (('one', 3.3 / 4 * needed), ('none', 1.9 / 4 * needed)):
            there = {'THRESHER_FAKE_GPU_MEMORY': str(memory + int((room - left) * (1 << 20)))}
            if name == 'none':
                self.assertIn('not even two layers fit', self.refused_with(name, *one, env=there))
                continue
            done, found = self.score(name, *one, env=there)
            self.assertEqual(found, resident)
            self.assertIn('3 of 4 layers are streamed', done.stderr)
            streaming = json.loads((self.folder / name / 'summary.json').read_text())['streaming']
            self.assertEqual((streaming['streamed_layers'], streaming['layers']), (3, 4))
            self.assertAlmostEqual(streaming['bytes_per_batch'] / (1 << 20), 3 / 4 * needed, places=2)

    def test_two_ranks_on_one_gpu_are_refused(self):
        self.refuse(78, '--share-gpus', 'score', '--model', MODEL, '--corpus', self.corpus, '--output',
                    self.folder / 'out', '--device', 'cuda', ranks=2)

    def test_what_is_for_the_cpu_is_refused(self):
        for option, value in (('--dtype', 'int8'), ('--share-prefixes', 'on')):
            with self.subTest(option):
                self.refuse(64, f'{option} {value} is for --device cpu', 'score', '--model', MODEL, '--corpus',
                            self.corpus, '--output', self.folder / 'out', '--device', 'cuda', option, value)

    def test_the_device_belongs_to_the_job(self):
        self.score('run')
        self.refuse(78, 'device', 'score', '--model', MODEL, '--corpus', self.corpus, '--output', self.folder / 'run',
                    '--per-token', '--device', 'cuda')

    def test_algorithms_are_kept_for_a_restart(self):
        """Chosen anew, the algorithms would be others, with other bits."""
        first, second = {}, {'THRESHER_FAKE_FIRST': '4'}
        whole = ('--device', 'cuda', '--shard-documents', 1, '--dtype', 'f32')
        done, expected = self.score('whole', *whole, env=first)
        self.assertIn('% less time than unmeasured', done.stderr)
        _, other = self.score('other', *whole, env=second)
        self.assertNotEqual(other, expected)
        run = self.folder / 'whole'
        kept = (run / 'algorithms.txt').read_text(encoding='utf-8')
        self.assertIn('[products]', kept)
        for part in sorted((run / 'parts').glob('part-*.h5'))[::2]:
            part.unlink()
        for layout in ('dp=2', 'pp=2'):
            done, found = self.score('whole', *whole, '--layout', layout, '--share-gpus', env=second, ranks=2)
            self.assertNotIn('unmeasured', done.stderr)
            self.assertEqual(found, expected)
            self.assertEqual((run / 'algorithms.txt').read_text(encoding='utf-8'), kept)
            for part in sorted((run / 'parts').glob('part-*.h5'))[1::2]:
                part.unlink()
        again = ('score', '--model', MODEL, '--corpus', self.corpus, '--output', run, '--per-token', *whole)
        self.refuse(78, 'sm_90 of 114 processors', *again, env={**second, 'THRESHER_FAKE_PROCESSORS': '114'})
        (run / 'algorithms.txt').unlink()
        self.refuse(78, 'algorithms.txt is missing', *again, env=second)
        (run / 'algorithms.txt').write_text(kept[:-2], encoding='utf-8')
        self.refuse(65, 'algorithms.txt is damaged', *again, env=second)
        _, found = self.score('whole', *whole, '--fresh', env=second)
        self.assertEqual(found, other)

    def test_gpus_of_two_kinds_are_refused(self):
        folder = self.folder / 'mixed'
        done = subprocess.run(['mpirun', '-n', '1', program.THRESHER, *self.mixed(folder), ':', '-n', '1', '-x',
                               'THRESHER_FAKE_PROCESSORS=114', program.THRESHER, *self.mixed(folder)],
                              capture_output=True, text=True, check=False, timeout=300)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn('would compute other bits than rank 0', done.stderr)

    def test_energy_is_reported_where_nvml_is_there(self):
        nvml = LIBRARY.parent / 'libnvidia-ml.so.1'
        run = self.folder / 'energy'
        one = ('score', '--model', MODEL, '--corpus', self.corpus, '--output', run, '--device', 'cuda', '--share-gpus')
        self.succeed(*one, '--layout', 'dp=2', ranks=2,
                     env={'LD_LIBRARY_PATH': f'{nvml.parent}:{os.environ.get("LD_LIBRARY_PATH", "")}'})
        gpu = json.loads((run / 'summary.json').read_text())['gpu']
        self.assertEqual(gpu['gpus'], 1)
        self.assertGreaterEqual(gpu['energy_joules'], 250)
        self.assertEqual(gpu['energy_joules'] % 250, 0)
        self.assertGreater(gpu['joules_per_token'], 0)
        self.assertAlmostEqual(gpu['utilisation'], 0.97)
        self.assertEqual(gpu['memory_peak_bytes'], 30 << 30)
        self.assertEqual(gpu['throttled_seconds'], 0)
        self.assertGreater(gpu['allocated_peak_bytes'], 32 << 20)
        done = self.succeed(*one, '--fresh')
        self.assertIn('no energy and utilisation of the GPU', done.stderr)
        self.assertEqual(set(json.loads((run / 'summary.json').read_text())['gpu']), {'gpus', 'allocated_peak_bytes'})

    def mixed(self, folder):
        return [*map(str, ['score', '--model', MODEL, '--corpus', self.corpus, '--output', folder, '--device', 'cuda',
                           '--share-gpus', '--layout', 'dp=2'])]

    def test_bench(self):
        done = self.succeed('bench', '--device', 'cuda', '--shape', 'tiny', '--tokens-per-batch', 32, '--document', 16,
                            '--seconds', 0.1)
        self.assertIn('sm_90 of 132 processors', done.stdout)


if __name__ == '__main__':
    main()
