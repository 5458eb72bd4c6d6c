#!/usr/bin/env python3
"""tests/gpu/check.sh on an emulated GPU: the script's own steps, with tiny shapes, and that it finds what is wrong."""
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from program import THRESHER, TREE, ProgramTest, main

LIBRARY = Path(THRESHER).parent / 'emulated' / 'thresher_cuda.so'
TESTS = Path(THRESHER).parent / 'test_device'
TORCH = os.environ.get('THRESHER_PYTHON', 'python3')
HAS_TORCH = subprocess.run([TORCH, '-c', 'import sys, importlib.util as i; sys.exit(not all(map(i.find_spec, '
                                         '("torch", "transformers", "safetensors"))))'], check=False).returncode == 0
# Alters what the real program beside it writes for small batches.
BROKEN = '''#!/usr/bin/env bash
"$(dirname "$0")/right/thresher" "$@" || exit
while [ $# -gt 1 ]; do
  [ "$1" = --output ] && run=$2
  [ "$1" = --tokens-per-batch ] && [ -f "${run:-}/results.h5" ] && printf x >>"$run/results.h5"
  shift
done
exit 0
'''


@unittest.skipUnless(LIBRARY.exists(), 'built without CUDA')
class GpuCheck(ProgramTest):
    def setUp(self):
        super().setUp()
        self.programs = self.folder / 'programs'
        self.programs.mkdir()
        for file in (THRESHER, LIBRARY, TESTS):
            if Path(file).exists():
                shutil.copy(file, self.programs)

    def check(self, code, parts, **more):
        settings = {'THRESHER_GPU_SHAPE': 'tiny', 'THRESHER_GPU_LARGE': '', 'THRESHER_GPU_DOCUMENTS': '3',
                    'THRESHER_GPU_CASES': 'says_what_it_is norm', 'THRESHER_GPU_PARTS': parts,
                    'THRESHER_GPU_BENCH': '--tokens-per-batch 32 --seconds 0.02',
                    'THRESHER_GPU_SIDE': '--tokens 200 --repeats 2 --streams web', **more}
        output = self.folder / 'check'
        done = subprocess.run(['bash', TREE / 'tests/gpu/check.sh', self.programs, output], text=True, timeout=280,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **settings}, check=False)
        self.assertEqual(done.returncode, code, done.stdout)
        found = output / 'gpu.json'
        return done.stdout, json.loads(found.read_text(encoding='utf-8')) if found.exists() else None

    def outcomes(self, found):
        return {step['check']: step['outcome'] for step in found['steps']}

    def test_right(self):
        text, found = self.check(0, 'contract model gate head speed peers', THRESHER_PYTHON='/bin/false')
        self.assertEqual(found['wrong'], 0)
        outcomes = self.outcomes(found)
        for name in ('agreement_bf16', 'same_cuda-f32_cuda-f32-small', 'gate_bundled', 'gate_tiny', 'bench_tiny',
                     'side_by_side_tiny'):
            self.assertEqual(outcomes[name], 'ok', text)
        if TESTS.exists():
            self.assertEqual(outcomes['contract_norm'], 'ok', text)
        self.assertEqual(outcomes['head'], 'not run', 'a fake has no driver that tells')
        self.assertIn('peers not run: no torch', text)
        self.assertLess(found['gate']['gate_tiny']['ours bf16']['mean'], found['gate']['gate_tiny']['hf bf16']['mean'])
        steps = {step['step'] for step in found['bench']['bench_tiny']['steps']}
        self.assertLessEqual({'attend', 'matmul gate+up', 'score'}, steps)
        ours = found['side_by_side']['side-tiny']['streams']['web']['systems']['thresher']
        self.assertEqual(len(ours['seconds']), 2)

    @unittest.skipUnless(HAS_TORCH, 'no torch and transformers; THRESHER_PYTHON names a Python that has them')
    def test_peers(self):
        text, found = self.check(0, 'peers', THRESHER_GPU_SIDE='--tokens 200 --repeats 2 --streams web,short '
                                                               '--peer-device cpu --no-compile')
        self.assertEqual(self.outcomes(found)['gate_here'], 'ok', text)
        for stream, place in found['side_by_side']['side-tiny']['streams'].items():
            self.assertEqual(set(place['systems']), {'thresher', 'hf', 'hf-compiled', 'packed'}, stream)
            for name, apart in place['mean_logprob_apart'].items():
                self.assertLess(apart, 0.02, f'{stream} {name}')
                self.assertEqual(place['systems'][name]['scored'], place['tokens'] - place['documents'])

    def test_a_wrong_number_is_found(self):
        reference = self.folder / 'reference'
        shutil.copytree(TREE / 'tests/gpu/reference', reference)
        wrong = json.loads((reference / 'tiny.json').read_text(encoding='utf-8'))
        wrong['f32'][-1][0] += 0.01
        (reference / 'tiny.json').write_text(json.dumps(wrong), encoding='utf-8')
        text, found = self.check(1, 'gate', THRESHER_GPU_REFERENCE=str(reference), THRESHER_GPU_DOCUMENTS='7')
        self.assertEqual((self.outcomes(found)['gate_bundled'], self.outcomes(found)['gate_tiny']), ('ok', 'wrong'), text)

    def test_other_bytes_are_found(self):
        right = self.programs / 'right'
        right.mkdir()
        for file in (self.programs / 'thresher', self.programs / 'thresher_cuda.so'):
            file.rename(right / file.name)
        (self.programs / 'thresher').write_text(BROKEN, encoding='utf-8')
        (self.programs / 'thresher').chmod(0o755)
        text, found = self.check(1, 'model')
        wrong = {name for name, outcome in self.outcomes(found).items() if outcome == 'wrong'}
        self.assertEqual(wrong, {'same_cuda-f32_cuda-f32-small', 'same_cuda-bf16_cuda-bf16-small'}, text)

    def test_layouts(self):
        text, found = self.check(0, 'layouts', THRESHER_GPU_DOCUMENTS='2')
        self.assertEqual({self.outcomes(found)[f'same_cuda-bf16_cuda-bf16-{layout}'] for layout in ('dp=2', 'pp=2')},
                         {'ok'}, text)

    def test_no_gpu(self):
        (self.programs / 'thresher_cuda.so').unlink()
        text, found = self.check(77, 'model')
        self.assertIn('no GPU to use', text)
        self.assertIsNone(found)

    def test_no_time(self):
        text, found = self.check(0, 'model', THRESHER_GPU_SECONDS='0')
        self.assertEqual(set(self.outcomes(found).values()), {'not run'}, text)
        self.assertIn('left out for time', text)

    def test_no_sanitizer(self):
        text, _ = self.check(0, '', SANITIZER='no-such-sanitizer')
        self.assertIn('not run: sanitizer', text)


if __name__ == '__main__':
    main()
