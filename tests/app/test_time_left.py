#!/usr/bin/env python3
"""How a job learns from Slurm when it has to stop: SLURM_JOB_END_TIME, or else a stand-in for squeue, whatever it does."""
import os
import subprocess
import time

from program import THRESHER, main
from ranks import RanksTest, with_setting

AGAIN = 75
PATIENCE = 10  # seconds that squeue has
NOTE = 'squeue does not tell how much time is left to this job: give --max-time'


class TimeLeft(RanksTest):
    documents = 30
    options = ('--dtype', 'f32')

    def begin(self, name, squeue, end_time=None):
        """Job 77 of a cluster whose squeue is this script, which leaves a mark when it is called."""
        folder = self.folder / name
        folder.mkdir()
        program = folder / 'squeue'
        program.write_text(f'#!/bin/sh\ntouch "{folder}/asked"\n{squeue}\n', encoding='utf-8')
        program.chmod(0o755)
        run = folder / 'run'
        env = {name: value for name, value in os.environ.items() if not name.startswith('SLURM_')}
        env |= {'SLURM_JOB_ID': '77', 'PATH': f'{folder}:{env["PATH"]}', 'OMPI_MCA_orte_tmpdir_base': str(folder),
                'THRESHER_TEST_JOB': str(run)}
        if end_time is not None:
            env['SLURM_JOB_END_TIME'] = str(end_time)
        job = subprocess.Popen([THRESHER, *map(str, self.score(run))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, env=env)
        self.addCleanup(self.stop, job, run)
        return job, run

    def finish(self, begun, codes=(0,)):
        """What the job said, and whether it asked squeue."""
        job, run = begun
        _, errors = job.communicate(timeout=60)
        self.assertIn(job.returncode, codes, errors)
        self.assertEqual(with_setting(self.mark(run)), [], 'something that squeue started is left')
        return errors, (run.parent / 'asked').exists()

    def test_end_time(self):
        def after(seconds):
            return int(time.time()) + seconds

        for name, end_time, words, asks in (
                ('later', after(7200), r'Slurm leaves 1 h 59 min', False),
                ('soon', after(30), r'Slurm leaves [12]?\d s', False),
                ('past', after(-5), r'Slurm leaves 59 min', True),  # until somebody gave it another hour
                ('zero', 0, r'Slurm leaves 59 min', True),
                ('garbage', 'tomorrow', r'Slurm leaves 59 min', True),
                ('half garbage', f'{after(7200)}s', r'Slurm leaves 59 min', True),
                ('too large', '9' * 30, r'Slurm leaves 59 min', True),
                ('empty', '', r'Slurm leaves 59 min', True),
                ('absent', None, r'Slurm leaves 59 min', True)):
            with self.subTest(name):
                errors, asked = self.finish(self.begin(name, 'echo 1:00:00', end_time), (0, AGAIN) if name == 'soon' else (0,))
                self.assertRegex(errors, words)
                self.assertEqual(asked, asks)

    def test_squeue_goes_wrong(self):
        """All at once: most of it is waiting."""
        start = time.monotonic()
        quick = {'fails': 'exit 1', 'fails with an answer': 'echo 0:01; exit 1'}
        slow = {'hangs': 'sleep 600', 'hangs in silence': 'exec >&- 2>&-; sleep 600', 'does not end': 'yes',
                'answers and hangs': 'echo 0:01; sleep 600'}
        jobs = {name: self.begin(name, script) for name, script in (quick | slow).items()}
        unlimited = self.begin('unlimited', 'echo UNLIMITED')
        for name, job in jobs.items():
            with self.subTest(name):
                errors, asked = self.finish(job)
                self.assertIn(NOTE, errors)
                self.assertTrue(asked)
                self.assertEqual((job[1] / 'results.h5').read_bytes(), self.expected('gather'))
        errors, asked = self.finish(unlimited)
        self.assertNotIn('squeue', errors)
        self.assertTrue(asked)
        seconds = time.monotonic() - start
        print(f'squeue hangs: the jobs were over after {seconds:.1f} s', flush=True)
        self.assertGreater(seconds, PATIENCE)


if __name__ == '__main__':
    main()
