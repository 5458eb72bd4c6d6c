#!/usr/bin/env python3
"""Jobs that are asked to stop, by signals and by time, in every phase: they end with 75, keep what was committed, and
the same command makes the same bytes of it. `thresher status` knows how they are."""
import json
import os
import random
import signal
import subprocess
import time
import unittest
from pathlib import Path

from program import THRESHER, TIME_FACTOR, main, run as run_thresher
from ranks import RanksTest, process_of

FAULTS = os.environ.get('THRESHER_FAULTS', '')
AGAIN, AT_WORK, MISSING = 75, 69, 66
SOON = 10 * TIME_FACTOR  # seconds


class SignalsTest(RanksTest):
    """Small batches: little is under way at any moment."""

    options = ('--dtype', 'f32', '--tokens-per-batch', '256')

    def alone(self, run, *more, env=None, command=None):
        """A job without mpirun; standard error goes to a file beside the run directory."""
        with open(f'{run}.err', 'w', encoding='utf-8') as err:
            job = subprocess.Popen([THRESHER, *map(str, command or self.score(run, *more))], stdout=subprocess.DEVNULL,
                                   stderr=err, env={**os.environ, **(env or {})})
        self.addCleanup(self.stop, job, run)
        return job

    @staticmethod
    def parts(run):
        return {path.name for path in (run / 'parts').glob('part-*')}

    def await_parts(self, job, run, count=3):
        self.await_that(job, lambda: len(self.parts(run)) >= count)

    def await_that(self, job, condition):
        end = time.monotonic() + 60 * TIME_FACTOR
        while not condition():
            self.assertIsNone(job.poll(), 'the job ended too early')
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)

    def ends_with_75(self, job, run, *words):
        """Within the time that a stop may take; the texts are in what it says. What is left in status.json."""
        start = time.monotonic()
        self.assertEqual(job.wait(timeout=60 * TIME_FACTOR), AGAIN, Path(f'{run}.err').read_text(encoding='utf-8'))
        seconds = time.monotonic() - start
        errors = Path(f'{run}.err').read_text(encoding='utf-8')
        print(f'{run.name}: ended {seconds:.1f} s after the last signal', flush=True)
        self.assertLess(seconds, SOON, errors)
        for word in words:
            self.assertIn(word, errors)
        self.assertNotIn('thresher: error:', errors)
        self.assertFalse((run / '_SUCCESS').exists())
        status = json.loads((run / 'status.json').read_text(encoding='utf-8'))
        self.assertEqual((status['state'], status['exit_code']), ('stopped', AGAIN))
        return status

    def slurm(self, script):
        """The environment of job 77 of a cluster whose squeue is this script."""
        squeue = self.folder / 'bin' / 'squeue'
        squeue.parent.mkdir()
        squeue.write_text(f'#!/bin/sh\n{script}\n', encoding='utf-8')
        squeue.chmod(0o755)
        return {'SLURM_JOB_ID': '77', 'PATH': f'{squeue.parent}:{os.environ["PATH"]}'}

    def status(self, run, *more):
        return run_thresher('status', run, *more)


class Alone(SignalsTest):
    documents = 300

    def test_alone(self):
        run = self.folder / 'run'
        for name in ('SIGTERM', 'SIGINT', 'SIGUSR1'):
            job = self.alone(run)
            self.await_parts(job, run, len(self.parts(run)) + 2)
            job.send_signal(getattr(signal, name))
            there = self.parts(run)
            status = self.ends_with_75(job, run, 'no shard is begun any more', f'stopped by {name}')
            self.assertLessEqual(there, self.parts(run))
            self.assertEqual(status['shards_done'], len(self.parts(run)))
            done = self.status(run)
            self.assertEqual(done.returncode, AGAIN, done.stdout)
            self.assertIn('stopped, ', done.stdout)
            self.assertIn('same score command again', done.stdout)
        self.same_after_restart(run, 0)
        self.assertEqual(self.status(run).returncode, 0)

    def test_the_third_signal_ends_at_once(self):
        run = self.folder / 'run'
        job = self.alone(run)
        self.await_parts(job, run)
        for _ in range(3):
            job.send_signal(signal.SIGTERM)
            time.sleep(0.55)
        self.assertIn(job.wait(timeout=5), (-signal.SIGTERM, AGAIN))
        self.same_after_restart(run, 2, '--layout', 'pp=2')

    def disturbed(self, command, run, call, path, after, signals):
        """A job whose calls become slow after some, and which gets its signals then."""
        struck = self.folder / 'struck'
        struck.unlink(missing_ok=True)
        job = self.alone(run, command=command, env={
            'LD_PRELOAD': FAULTS, 'FAULT_RANK': '0', 'FAULT_CALL': call, 'FAULT_PATH': path, 'FAULT_AFTER': str(after),
            'FAULT_ERROR': '0', 'FAULT_SECONDS': '3', 'FAULT_LOG': str(struck), 'OMPI_COMM_WORLD_RANK': '0',
            'FAULT_WHEN': str(run / 'plan.json') if call == 'compute' else ''})
        self.await_that(job, struck.exists)
        for i in range(signals):
            time.sleep(0.6 if i else 0)
            job.send_signal(signal.SIGTERM)
        return job

    @unittest.skipUnless(os.path.exists(FAULTS), 'THRESHER_FAULTS does not name the library that slows calls down')
    def test_what_cannot_be_finished_is_dropped(self):
        """Three seconds for a matrix product: by a second signal, or as soon as the grace is over."""
        run = self.folder / 'run'
        for more, signals in (((), 2), (('--grace', '3'), 1)):
            job = self.disturbed(self.score(run, *more), run, 'compute', '', 200, signals)
            start = time.monotonic()
            self.ends_with_75(job, run, 'no shard is begun any more', 'is dropped')
            self.assertLess(time.monotonic() - start, 6)
        self.same_after_restart(run, 0)

    @unittest.skipUnless(os.path.exists(FAULTS), 'THRESHER_FAULTS does not name the library that slows calls down')
    def test_import_load_and_merge(self):
        """Each of them made slow."""
        run, texts = self.folder / 'run', self.folder / 'texts.jsonl'
        command = [texts if word == self.corpus else word for word in self.score(run)]
        for call, path, signals, words in (('read', '*/texts.jsonl', 1, 'before scoring began'),
                                           ('read', '*/model.safetensors', 1, 'before scoring began'),
                                           ('write', '*/.results.h5.*', 2, 'what was committed is there')):
            self.ends_with_75(self.disturbed(command, run, call, path, 0, signals), run, words)
        code = self.disturbed(command, run, 'sync', '*/.results.h5.*', 0, 1).wait(timeout=60 * TIME_FACTOR)
        self.assertEqual(code, 0, 'a single signal lets the merge end')
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))

    def test_slurm_without_an_answer(self):
        """Is no limit."""
        run = self.folder / 'run'
        done = self.succeed(*self.score(run), env=self.slurm('exit 1'))
        self.assertIn('give --max-time', done.stderr)
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))
        one_of_four = {'SLURM_JOB_ID': '77', 'SLURM_NTASKS': '4'}
        self.refuse(78, 'srun --mpi=pmix', *self.score(self.folder / 'other'), env=one_of_four)
        self.assertFalse((self.folder / 'other').exists())

    def test_status_of_the_dead_and_the_strange(self):
        run = self.folder / 'run'
        job = self.alone(run)
        self.await_parts(job, run)
        job.kill()
        job.wait()
        done = self.status(run)
        self.assertEqual(done.returncode, AGAIN, done.stdout)
        self.assertIn('died while scoring', done.stdout)
        self.assertIn(f'{len(self.parts(run))} of 75 parts are committed', done.stdout)
        told = json.loads(self.status(run, '--json').stdout)
        self.assertEqual((told['at_work'], told['parts']), (False, len(self.parts(run))))
        (run / 'status.json').write_text('{"state"', encoding='utf-8')
        self.assertIn('nothing is at work', self.status(run).stdout)
        self.assertEqual(self.status(self.folder).returncode, MISSING)
        # What cannot be written does not stop the job.
        (run / 'status.json').unlink()
        (run / 'status.json').mkdir()
        (run / 'status.json' / 'x').touch()
        done = self.succeed(*self.score(run))
        self.assertEqual(done.stderr.count('the status cannot be written'), 1, done.stderr)
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))

    def test_nobody_listens(self):
        words = ' '.join(map(str, [THRESHER, *self.score('RUN')]))
        for i, (how, more) in enumerate((('>&-', ''), ('2>&-', ''), ('<&- >&- 2>&-', ''), ('>/dev/full 2>&1', ''),
                                         ('| head -1', ''), ('>&- 2>/dev/full', 'mpirun -n 2 '))):
            with self.subTest(how):
                run = self.folder / f'run-{i}'
                command = f'set -o pipefail; {more}{words.replace("RUN", str(run))} --progress-every 0.1 {how}'
                subprocess.run(['bash', '-c', command], check=True, timeout=120,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))
                self.assertTrue((run / '_SUCCESS').exists())


class Ranks(SignalsTest):
    documents = 1500  # the same run is stopped three times, each time after a second or two

    def test_ranks(self):
        seed = int(os.environ.get('THRESHER_SEED', time.time_ns() % 1_000_000))
        print(f'THRESHER_SEED={seed}', flush=True)
        draw = random.Random(seed)
        run, first = self.folder / 'run', True
        for layout, ranks, target, name, count in (('dp=2', 2, None, 'SIGUSR1', 1), ('dp=2', 2, 1, 'SIGTERM', 1),
                                                   ('pp=2', 2, 1, 'SIGINT', 2)):
            job = self.start(run, ranks, '--layout', layout)
            self.await_parts(job, run, len(self.parts(run)) + 1)
            process = process_of(run, target) if target is not None else job.pid
            time.sleep(draw.uniform(0, 0.3))
            if first:
                job.send_signal(signal.SIGUSR2)
                done = self.status(run)
                self.assertEqual(done.returncode, AT_WORK, done.stdout + done.stderr)
                self.assertIn('at work', done.stdout)
                time.sleep(0.1)
            for i in range(count):
                time.sleep(0.6 if i else 0)
                try:
                    os.kill(process, getattr(signal, name))
                except ProcessLookupError:
                    pass  # by the first
            self.ends_with_75(job, run, f'stopped by {name}', *(['rank 0 on '] if first else []))
            first = False
        self.same_after_restart(run, 2, '--layout', 'dp=2')

    def test_mpirun_itself_is_terminated(self):
        """It waits so long, then its ranks get SIGTERM and have the same time again; what is committed stays."""
        run = self.folder / 'run'
        for seconds in (1, 2):
            job = self.start(run, 2, '--layout', 'dp=2',
                             env={'OMPI_MCA_odls_base_sigkill_timeout': str(seconds)})
            self.await_parts(job, run, len(self.parts(run)) + 2)
            there = self.parts(run)
            job.terminate()
            code, errors, _ = self.end(job, run)
            print(f'mpirun terminated: exit {code}', flush=True)
            self.assertNotEqual(code, 0, errors)
            self.assertLessEqual(there, self.parts(run))
            log = (run / 'logs' / 'rank-00000.log').read_text(encoding='utf-8')
            self.assertIn('SIGTERM: no shard is begun any more', log)
        self.same_after_restart(run, 2, '--layout', 'dp=2')

    def test_time_limit(self):
        run = self.folder / 'run'
        start = time.monotonic()
        job = self.start(run, 2, '--layout', 'dp=2', '--max-time', '0:02')
        status = self.ends_with_75(job, run, 'the time limit')
        seconds = time.monotonic() - start
        print(f'--max-time 2 s: ended after {seconds:.1f} s with {status["shards_done"]} shards', flush=True)
        self.assertLess(status['seconds'], 2)
        self.assertEqual(status['shards_done'], len(self.parts(run)))
        # Slurm's limit, as squeue tells it.
        job = self.alone(run, env=self.slurm('[ "$*" = "-h -j 77 -o %L" ] && echo 0:02'))
        self.ends_with_75(job, run, 'Slurm leaves 2 s', 'the time limit')
        self.same_after_restart(run, 2, '--layout', 'dp=2', '--max-time', '2h')


if __name__ == '__main__':
    main()
