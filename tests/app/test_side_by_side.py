#!/usr/bin/env python3
"""Processes that are started side by side without mpirun: by xargs, by an array of jobs on one node. Each has a folder of
its own for MPI, and leaves nothing there."""
import os
import signal
import subprocess
import time

from program import THRESHER, ProgramTest, main

PAIRS = 4


class SideBySide(ProgramTest):
    def begin(self, number, *more, **settings):
        """A process that sees nothing of this shell's settings for MPI."""
        temporary = self.folder / 'temporary'
        temporary.mkdir(exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith('OMPI_')}
        return subprocess.Popen([THRESHER, 'import', '--input', self.texts, '--output', self.folder / f'{number}.h5', *more],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**env, 'TMPDIR': str(temporary), **settings})

    def setUp(self):
        super().setUp()
        self.texts = self.write_jsonl('texts.jsonl', [{'text': 'hello there'}])

    def left(self):
        return sorted(path.name for path in (self.folder / 'temporary').iterdir())

    def test_pairs(self):
        for _ in range(PAIRS):
            for job in [self.begin(number) for number in range(2)]:
                _, errors = job.communicate(timeout=60)
                self.assertEqual(job.returncode, 0, errors)
        self.assertEqual(self.left(), [])

    def test_after_an_error(self):
        job = self.begin(0, '--id-field', 'x', '--format', 'nonsense')
        _, errors = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 64, errors)
        self.assertEqual(self.left(), [])

    def test_no_folder_can_be_made(self):
        job = self.begin(0, TMPDIR='/nowhere')
        _, errors = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 0, errors)

    def test_folder_that_is_given(self):
        mine = self.folder / 'mine'
        mine.mkdir()
        job = self.begin(0, OMPI_MCA_orte_tmpdir_base=str(mine))
        _, errors = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 0, errors)
        self.assertEqual(self.left(), [])
        self.assertTrue(mine.exists())

    def test_killed(self):
        """What is left is small."""
        rows = self.write_jsonl('many.jsonl', [{'text': 'hello there ' * 100}] * 20000)
        self.texts = rows
        job = self.begin(0)
        end = time.monotonic() + 30
        while not self.left():
            self.assertIsNone(job.poll(), 'the process never made a folder')
            self.assertLess(time.monotonic(), end)
            time.sleep(0.002)
        job.send_signal(signal.SIGKILL)
        job.communicate(timeout=60)
        # A helper of OpenMPI's may still be tidying up.
        sizes = []
        for path in (self.folder / 'temporary').rglob('*'):
            try:
                sizes.append(path.lstat().st_size)
            except FileNotFoundError:
                pass
        self.assertLess(len(sizes), 50)
        self.assertLess(sum(sizes), 1 << 20)


if __name__ == '__main__':
    main()
