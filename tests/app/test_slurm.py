#!/usr/bin/env python3
"""A real Slurm on hosts of this machine, and the batch scripts of slurm/ on it."""
import os
import shutil
import signal
import subprocess
import time

from hosts import HOSTS, NET, HostsTest
from program import MODEL, THRESHER, TREE, documents, main

FINAL = {'COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL', 'OUT_OF_MEMORY'}
LIMIT = 150  # seconds that a job may take, waits for requeueing included
DAEMONS = ('munged', 'slurmctld', 'slurmd', 'sbatch')


class Slurm(HostsTest):
    documents = 1500

    def setUp(self):
        if missing := [name for name in DAEMONS if not shutil.which(name)]:
            self.skipTest(f'no Slurm here: {", ".join(missing)} missing (Debian: slurmctld, slurmd, slurm-client, munge)')
        super().setUp()
        self.slurm.mkdir()
        self.keep('bash', NET / 'slurm.sh', self.slurm, HOSTS)
        self.addCleanup(self.client, 'scancel', '--quiet', '--user', 'root')

    @property
    def slurm(self):
        return self.folder / 'slurm'

    def environment(self):
        # The site's OpenMPI, not the settings for ranks on one machine; hosts have one card each.
        clean = {name: value for name, value in os.environ.items() if not name.startswith('OMPI_')}
        return {**clean, 'THRESHER_HOSTS': str(self.hosts), 'SLURM_CONF': str(self.slurm / 'slurm.conf'),
                'THRESHER': THRESHER, 'OMPI_MCA_btl_tcp_if_include': 'eth0', 'OMPI_MCA_oob_tcp_if_include': 'eth0',
                'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
                'OMPI_MCA_mpi_yield_when_idle': '1', 'OMPI_MCA_btl_vader_single_copy_mechanism': 'none'}

    def client(self, *words, **environment):
        """A Slurm client's finished process; it runs on n0 in the project's folder."""
        return subprocess.run(self.on('n0', *words), capture_output=True, text=True, check=False, cwd=TREE, timeout=LIMIT,
                              env={**self.environment(), **environment})

    def submit(self, script, *words, options=(), **environment):
        done = self.client('sbatch', '--parsable', f'--output={self.log}', *options, f'slurm/{script}', *words,
                           **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    @property
    def log(self):
        return self.folder / 'job.log'

    def printed(self):
        return self.log.read_text(encoding='utf-8') if self.log.exists() else ''

    def fields(self, job):
        text = self.client('scontrol', 'show', 'job', '-o', job).stdout
        return [dict(word.split('=', 1) for word in line.split() if '=' in word) for line in text.splitlines()]

    def until(self, is_so, what):
        limit = time.monotonic() + LIMIT
        while not is_so():
            self.assertLess(time.monotonic(), limit, f'{what}\n{self.client("scontrol", "show", "job").stdout}\n{self.printed()}')
            time.sleep(0.1)

    def finish(self, job):
        """Its state at the end; a requeued one is started without the rest it would have."""
        def is_over():
            states = [fields['JobState'] for fields in self.fields(job)]
            return bool(states) and all(state in FINAL for state in states)
        self.until(is_over, f'job {job} does not end')
        return self.fields(job)[0]

    def job(self, run, *more):
        return ['--model', MODEL, '--corpus', self.corpus, '--output', run, '--shard-documents', 10, '--per-token',
                '--dtype', 'f32', *more]

    def until_parts(self, run, count):
        self.until(lambda: len(list((run / 'parts').glob('part-*.h5'))) >= count, f'no {count} parts')

    def assert_results(self, run):
        if 'alone' not in self.results:
            self.succeed('score', *self.job(self.folder / 'alone'))
            self.results['alone'] = (self.folder / 'alone' / 'results.h5').read_bytes()
        self.assertEqual((run / 'results.h5').read_bytes(), self.results['alone'])
        self.assertEqual([path.name for path in run.rglob('*.tmp')], [])

    def test_both_launchers(self):
        for launcher in ('srun', 'mpirun'):
            with self.subTest(launcher):
                run = self.folder / launcher
                job = self.submit('cpu.sbatch', *self.job(run), options=['-N2'], THRESHER_LAUNCHER=launcher)
                self.assertEqual(self.finish(job)['JobState'], 'COMPLETED', self.printed())
                self.assert_results(run)
                self.assertRegex(self.printed(), r'on n\[1-2\], restart 0, 0 parts committed')

    def test_time_limit(self):
        """Slurm warns before the limit; the job stops, goes back to the queue and continues."""
        run = self.folder / 'run'
        job = self.submit('cpu.sbatch', *self.job(run, '--threads', 1, '--tokens-per-batch', 64), options=['-N1'])
        self.until_parts(run, 3)
        self.client('scancel', '--batch', '--signal=USR1', job)  # as --signal=B:USR1 has it sent
        self.until(lambda: 'ended with' in self.printed(), 'the warning changes nothing')
        self.assertIn('ended with 75', self.printed())
        end = self.finish(job)
        self.assertEqual((end['JobState'], end['Restarts']), ('COMPLETED', '1'), self.printed())
        self.assertRegex(self.printed(), r'restart 1, [1-9][0-9]* parts committed')
        self.assert_results(run)

    def test_cancelled(self):
        run = self.folder / 'run'
        for launcher in ('srun', 'mpirun'):
            job = self.submit('cpu.sbatch', *self.job(run), options=['-N2'], THRESHER_LAUNCHER=launcher)
            have = len(list((run / 'parts').glob('part-*.h5')))
            self.until_parts(run, have + 3)
            self.client('scancel', job)
            end = self.finish(job)
            self.assertEqual((end['JobState'], end['Restarts']), ('CANCELLED', '0'), self.printed())
        job = self.submit('cpu.sbatch', *self.job(run), options=['-N2'])
        self.assertEqual(self.finish(job)['JobState'], 'COMPLETED', self.printed())
        self.assert_results(run)

    def lose_a_node(self, launcher, place):
        """The job goes on without the node that stands at `place` of its two."""
        run = self.folder / 'run'
        job = self.submit('cpu.sbatch', *self.job(run), options=['-N2'], THRESHER_LAUNCHER=launcher)
        self.until_parts(run, 3)
        nodes = self.client('scontrol', 'show', 'hostnames', self.fields(job)[0]['NodeList']).stdout.split()
        os.kill(self.init_of(nodes[place]), signal.SIGKILL)
        end = self.finish(job)
        self.assertEqual((end['JobState'], end['Restarts']), ('COMPLETED', '1'), self.printed())
        self.assertNotIn(nodes[place], end['NodeList'])
        self.assert_results(run)

    def test_lost_node_of_mpirun(self):
        self.lose_a_node('mpirun', 1)

    def test_lost_node_of_srun(self):
        self.lose_a_node('srun', 1)

    def test_lost_node_of_the_batch_script(self):
        self.lose_a_node('srun', 0)

    def test_array(self):
        runs = self.folder / 'runs'
        lines = []
        for task in (1, 2, 3):
            lines.append(str(self.write_jsonl(f'{task}.jsonl', documents(20, seed=task))))
        (self.folder / 'list').write_text('\n'.join(lines) + '\n')
        job = self.submit('array.sbatch', self.folder / 'list', runs, '--model', MODEL,
                          options=['--array=1-4%2', '--cpus-per-task=2'])
        self.finish(job)
        codes = {task['ArrayTaskId']: task['ExitCode'] for task in self.fields(job)}
        self.assertEqual(codes, {'1': '0:0', '2': '0:0', '3': '0:0', '4': '64:0'}, self.printed())
        for task in (1, 2, 3):
            self.succeed('score', '--model', MODEL, '--corpus', lines[task - 1], '--output', self.folder / f'{task}')
            self.assertEqual((runs / str(task) / 'results.h5').read_bytes(),
                             (self.folder / str(task) / 'results.h5').read_bytes())

    def test_jobs_that_never_commit_end(self):
        job = self.submit('cpu.sbatch', *self.job(self.folder / 'run'), options=['-N1'], THRESHER='/bin/false')
        end = self.finish(job)
        self.assertEqual((end['JobState'], end['Restarts']), ('FAILED', '1'), self.printed())
        self.assertIn('this restart committed nothing', self.printed())

    def test_errors_that_repeat_themselves_end_at_once(self):
        job = self.submit('cpu.sbatch', *self.job(self.folder / 'run', '--window', 0), options=['-N2'])
        end = self.finish(job)
        self.assertEqual((end['JobState'], end['ExitCode'], end['Restarts']), ('FAILED', '64:0', '0'), self.printed())

    def test_tasks_that_do_not_see_each_other(self):
        done = self.client('srun', '--mpi=none', '-N2', '--ntasks-per-node=1', THRESHER, 'score',
                           *self.job(self.folder / 'run'))
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertEqual(done.stderr.count('srun --mpi=pmix'), 1, done.stderr)
        self.assertFalse((self.folder / 'run').exists())


if __name__ == '__main__':
    main()
