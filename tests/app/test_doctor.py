#!/usr/bin/env python3
"""thresher doctor: what is there is told, what is missing is found, and nothing stays behind."""
import json
import resource
import shutil
import tempfile
import unittest
from pathlib import Path

from program import MODEL, ProgramTest, main, run

UNAVAILABLE, USAGE = 69, 64


class Doctor(ProgramTest):
    def findings(self, code, *words, **options):
        """By topic: pairs of health and text."""
        done = run('doctor', '--json', '--output', self.folder, *words, timeout=60, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        told = json.loads(done.stdout)
        for finding in told['findings']:
            self.assertEqual('advice' in finding, finding['health'] != 'OK', finding)
        healths = [finding['health'] for finding in told['findings']]
        self.assertEqual((told['warnings'], told['failures']), (healths.count('WARN'), healths.count('FAIL')))
        topics = {}
        for finding in told['findings']:
            topics.setdefault(finding['topic'], []).append((finding['health'], finding['text']))
        self.assertEqual(list(self.folder.iterdir()), [])
        return topics

    def test_a_machine_that_can_run(self):
        topics = self.findings(0, '--model', MODEL)
        for topic in ('mpi', 'slurm', 'gpu', 'cpu', 'numa', 'memory', 'disk', 'limits', 'locale', 'clock', 'model'):
            self.assertIn(topic, topics)
        self.assertIn('MPI 3.', topics['mpi'][0][1])
        self.assertIn(str(self.folder), topics['disk'][0][1])
        self.assertIn('LlamaForCausalLM', topics['model'][0][1])
        said = run('doctor', '--output', self.folder / 'not' / 'yet')
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        self.assertRegex(said.stdout, r'\A(OK|WARN) +mpi ')
        self.assertRegex(said.stdout.split('\n')[-2], r'\A(OK|WARN): \d+ warnings?, 0 missing\Z')
        self.assertEqual(said.stdout.count('\nWARN '), said.stdout.count(' -> '))

    @unittest.skipIf(shutil.which('mpirun') is None, 'no mpirun')
    def test_ranks_are_tried_together_and_one_tells(self):
        done = run('doctor', '--json', '--output', self.folder, ranks=2,
                   env={'OMPI_MCA_odls_base_sigkill_timeout': '60'}, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        texts = [finding['text'] for finding in json.loads(done.stdout)['findings']]
        self.assertTrue(any('2 ranks' in text and 'MPI' in text for text in texts), texts)
        self.assertTrue(any('kills 60 s after' in text for text in texts), texts)

    def test_limits(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))

        topics = self.findings(0, preexec_fn=limit)
        self.assertIn(('WARN', 'open files: 300'), topics['limits'])

        def no_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        topics = self.findings(UNAVAILABLE, preexec_fn=no_room)
        self.assertIn(('WARN', 'a file may have 1000 bytes'), topics['limits'])
        self.assertEqual(topics['disk'][0][0], 'FAIL')
        self.assertIn('writing and syncing fails', topics['disk'][0][1])

    def test_what_is_missing(self):
        topics = self.findings(UNAVAILABLE, '--model', self.folder / 'none')
        self.assertEqual(topics['model'][0][0], 'FAIL')
        done = run('doctor', '--output', '/proc/nowhere')
        self.assertEqual(done.returncode, UNAVAILABLE, done.stdout)
        self.assertRegex(done.stdout, r'\nFAIL +disk +/proc: .*nothing can be created')
        broken = run('doctor', '--output', self.folder, env={'OMPI_MCA_btl': 'none-such', 'OMPI_MCA_pml': 'none-such'})
        self.assertEqual(broken.returncode, UNAVAILABLE, broken.stdout)
        self.assertRegex(broken.stdout, r'\AFAIL +mpi +starting it ends with')

    def test_slurm_jobs_that_start_one_process(self):
        topics = self.findings(0, env={
            'SLURM_JOB_ID': '7', 'SLURM_NTASKS': '3', 'PATH': str(self.srun()), 'OMPI_MCA_ess_singleton_isolated': '1'})
        self.assertIn(('WARN', 'the job has 3 tasks, this is one process'), topics['slurm'])
        self.assertEqual(topics['srun'], [('OK', 'starts ranks with --mpi=pmix')])
        self.assertIn(('WARN', 'kills 5 s after the signal at the time limit'), topics['slurm'])
        self.assertIn(('WARN', 'is not in PATH'), topics['mpirun'])

    def srun(self):
        """A folder with programs that answer as Slurm's do."""
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, answer in (('srun', 'MPI plugin types are...\n\tnone\n\tpmix\n\tpmi2'),
                             ('scontrol', 'KillOnBadExit = 0\nKillWait                = 5 sec')):
            (folder / name).write_text(f"#!/bin/bash\nprintf '%s\\n' '{answer}'\n")
            (folder / name).chmod(0o755)
        return folder

    def test_options(self):
        self.refuse(USAGE, '--outptu', 'doctor', '--outptu', self.folder)


if __name__ == '__main__':
    main()
