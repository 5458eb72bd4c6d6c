#!/usr/bin/env python3
"""The program and its CUDA library on machines that lack something."""
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from program import MODEL, THRESHER, ProgramTest, documents, main

LIBRARY = Path(THRESHER).parent / 'thresher_cuda.so'
ALLOWED = re.compile(r'lib(cublasLt|stdc\+\+|gcc_s|c|m|pthread|dl|rt)\.so|ld-linux')


def needed(file):
    """The libraries that a file asks the loader for, and where it looks first."""
    text = subprocess.run(['readelf', '-d', file], capture_output=True, text=True, check=True).stdout
    return re.findall(r'\(NEEDED\).*\[(.*)\]', text), re.findall(r'\((?:RUNPATH|RPATH)\).*\[(.*)\]', text)


class CudaLibrary(ProgramTest):
    def score(self, program, *more, **environment):
        corpus = self.write_jsonl('c.jsonl', documents(5, 1))
        words = [program, 'score', '--model', MODEL, '--corpus', corpus, '--output', self.folder / 'run', '--fresh', *more]
        return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **environment})

    def test_the_program_asks_for_no_cuda_library(self):
        self.assertFalse([name for name in needed(THRESHER)[0] if re.search('cuda|cublas|nvidia|cudnn|nccl', name)])

    def test_a_program_without_its_library_works_on_the_cpu_and_says_so(self):
        program = self.folder / 'thresher'
        shutil.copy(THRESHER, program)
        done = self.score(program)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.score(program, '--device', 'cuda')
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertRegex(done.stderr, 'is missing|without CUDA')

    @unittest.skipUnless(LIBRARY.exists(), 'built without CUDA')
    def test_the_library_needs_cublas_and_the_system_only(self):
        libraries = needed(LIBRARY)[0]
        self.assertFalse([name for name in libraries if not ALLOWED.match(name)], libraries)
        self.assertTrue(any(name.startswith('libcublasLt') for name in libraries), libraries)
        symbols = subprocess.run(['nm', '-D', '--undefined-only', LIBRARY], capture_output=True, text=True, check=True)
        own = [line for line in symbols.stdout.split('\n') if 'thresher' in line]
        self.assertFalse(own)

    @unittest.skipUnless(LIBRARY.exists(), 'built without CUDA')
    def test_a_machine_without_cuda_libraries(self):
        program, library = self.folder / 'thresher', self.folder / 'thresher_cuda.so'
        shutil.copy(THRESHER, program)
        content = LIBRARY.read_bytes()
        self.assertIn(b'libcublasLt.so', content)
        library.write_bytes(content.replace(b'libcublasLt.so', b'libcublasNo.so'))  # which no machine has
        done = self.score(program)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.score(program, '--device', 'cuda')
        self.assertEqual(done.returncode, 69, done.stderr)
        for part in ('cannot be loaded', 'libcublasNo.so', 'LD_LIBRARY_PATH'):
            self.assertIn(part, done.stderr)

    @unittest.skipUnless(LIBRARY.exists(), 'built without CUDA')
    @unittest.skipIf(os.path.exists('/dev/nvidiactl'), 'this machine has a driver')
    def test_a_machine_without_a_driver(self):
        done = self.score(THRESHER, '--device', 'cuda')
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn('no NVIDIA driver', done.stderr)
        self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)
        self.assertFalse((self.folder / 'run').exists())


if __name__ == '__main__':
    main()
