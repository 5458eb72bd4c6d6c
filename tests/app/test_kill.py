#!/usr/bin/env python3
"""kill -9 of a random rank, or of everything, at random moments; the same command on another layout finishes the job, and
the results have the bytes of an undisturbed run. THRESHER_SEED repeats a failure; THRESHER_KILLS=N asks for so many."""
import os
import random
import subprocess
import time

from program import MODEL, THRESHER, TIME_FACTOR, ProgramTest, documents, main
from ranks import children, kill


KILLS = int(os.environ.get('THRESHER_KILLS', '10'))
LAYOUTS = {'dp=1': 1, 'dp=2': 2, 'dp=3': 3, 'dp=4': 4, 'pp=2': 2, 'tp=2': 2, 'pp=3': 3, 'dp=2,pp=2': 4, 'pp=2,tp=2': 4,
           'dp=2,tp=2': 4}


class Kill(ProgramTest):
    def command(self, run, layout):
        return ['mpirun', '-n', str(LAYOUTS[layout]), THRESHER, 'score', '--model', str(MODEL), '--corpus',
                str(self.folder / 'corpus.h5'), '--output', str(run), '--per-token', '--shard-documents', '8',
                '--threads', '1', '--dtype', 'f32', '--layout', layout]

    def finish(self, run, layout):
        done = subprocess.run(self.command(run, layout), capture_output=True, text=True, timeout=300 * TIME_FACTOR,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return (run / 'results.h5').read_bytes()

    def disturb(self, run, layout, moment, draw):
        """Starts the job, kills one rank or all processes after `moment` seconds. True if that ended it: a rank that has
        done all its work may be killed and the job end well."""
        with subprocess.Popen(self.command(run, layout), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
            end = time.monotonic() + moment
            while time.monotonic() < end and job.poll() is None:
                time.sleep(0.005)
            victims = children(job.pid)
            if job.poll() is not None or not victims:
                return job.wait() != 0
            if draw.random() < 0.25:
                for victim in [job.pid, *victims]:
                    kill(victim)
            else:
                kill(draw.choice(victims))
            code = job.wait(timeout=60 * TIME_FACTOR)
        time.sleep(0.2)  # until the last rank has gone with its lock
        return code != 0

    def test_random_moments(self):
        seed = int(os.environ.get('THRESHER_SEED', time.time_ns() % 1_000_000))
        print(f'THRESHER_SEED={seed}', flush=True)
        draw = random.Random(seed)
        texts = self.write_jsonl('texts.jsonl', documents(700, seed=8))
        subprocess.run([THRESHER, 'import', '--input', texts, '--output', self.folder / 'corpus.h5'], check=True,
                       capture_output=True)
        start = time.monotonic()
        undisturbed = self.finish(self.folder / 'undisturbed', 'dp=2')
        seconds = time.monotonic() - start
        run, killed, attempts = self.folder / 'run-0', 0, 0
        while killed < KILLS and attempts < 6 * KILLS:
            attempts += 1
            if self.disturb(run, draw.choice(list(LAYOUTS)), draw.uniform(0.1, 1.1) * seconds, draw):
                killed += 1
            if (run / '_SUCCESS').exists() or draw.random() < 0.3:
                self.assertEqual(self.finish(run, draw.choice(list(LAYOUTS))), undisturbed, f'seed {seed}')
                run = self.folder / f'run-{attempts}'
        self.assertEqual(killed, KILLS)
        self.assertEqual(self.finish(run, draw.choice(list(LAYOUTS))), undisturbed, f'seed {seed}')
        left = [p.name for p in (run / 'parts').iterdir() if not p.name.startswith('part-') or p.suffix != '.h5']
        self.assertEqual(left, [], 'attempts of killed ranks')


if __name__ == '__main__':
    main()
