#!/usr/bin/env python3
"""kill -9 of a random rank, or of all, at random moments of a job of hundreds of shards, also while the parts become
results.h5; each restart is on other ranks. THRESHER_KILLS=N asks for another number."""
import os
import random
import subprocess
import time
from pathlib import Path

from job import LIMIT, SEED, FaultTest, by_tier, children, kill, main

KILLS = int(os.environ.get('THRESHER_KILLS', by_tier(12, 200, 1000)))
RANKS = (0, 1, 2, 3, 4)  # 0: without mpirun


class Kills(FaultTest):
    documents = 900
    shard_documents = 3

    def moment(self, run, draw):
        """When to kill: after a number of parts, while results.h5 is written, or after a time."""
        kind = draw.random()
        if kind < 0.6:
            goal = len(self.parts(run)) + draw.randint(0, 150)
            return lambda: len(self.parts(run)) >= goal
        if kind < 0.75:
            return lambda: bool(list(run.glob('.results.h5.*'))) or (run / 'results.h5').exists()
        end = time.monotonic() + draw.uniform(0.05, 1.5)
        return lambda: time.monotonic() > end

    def disturb(self, run, ranks, draw):
        """True if the job was killed before its end."""
        is_time = self.moment(run, draw)
        limit = time.monotonic() + LIMIT
        with subprocess.Popen(self.command(run, ranks=ranks), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as job:
            while job.poll() is None and not is_time():
                self.assertLess(time.monotonic(), limit, 'the job hangs')
                time.sleep(0.002)
            victims = children(job.pid) if ranks else [job.pid]
            struck = job.poll() is None and bool(victims)
            if struck and draw.random() < 0.75:
                kill(draw.choice(victims))
            elif struck:
                for victim in [job.pid, *victims]:
                    kill(victim)
            _, errors = job.communicate(timeout=LIMIT)
            code = job.returncode
        if not struck:
            self.assertEqual(code, 0, errors)
        while any(Path(f'/proc/{victim}').exists() for victim in victims):
            self.assertLess(time.monotonic(), limit, 'ranks of a dead job live on')
            time.sleep(0.005)
        return struck and code != 0

    def test_kills(self):
        draw = random.Random(SEED)
        killed, jobs, attempts, merging = 0, 0, 0, 0
        run = self.folder / 'run-0'
        start = time.monotonic()
        while killed < KILLS:
            attempts += 1
            self.assertLess(attempts, 4 * KILLS + 20, f'only {killed} jobs could be killed in time')
            if self.disturb(run, draw.choice(RANKS), draw):
                killed += 1
                merging += len(self.parts(run)) == self.documents // self.shard_documents
                if killed % 50 == 0:
                    print(f'{killed} kills, {jobs} jobs finished, {time.monotonic() - start:.0f} s', flush=True)
            if (run / '_SUCCESS').exists() or draw.random() < 0.15:
                self.assert_holds(run, ranks=draw.choice(RANKS))
                jobs += 1
                run = self.folder / f'run-{attempts}'
        self.assert_holds(run, ranks=draw.choice(RANKS))
        print(f'summary: {killed} kills, {merging} of them after the last part, {jobs + 1} jobs finished afterwards with the bytes '
              f'of an undisturbed run, {time.monotonic() - start:.0f} s', flush=True)


if __name__ == '__main__':
    main()
