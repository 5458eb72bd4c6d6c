#!/usr/bin/env python3
"""kill -9 of a random rank, or of all, at random moments of a job of hundreds of shards, also while the parts become
results.h5; each restart is on other ranks. THRESHER_KILLS=N asks for another number, THRESHER_LANES=N for so many jobs
side by side.

OpenMPI 4.1's mpirun may stand still for ever when all its ranks are dead: it waits for a lock in pmix_rte_finalize that
nobody holds any more. It is ended then, and counted."""
import os
import random
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from job import LIMIT, MARK, SEED, FaultTest, by_tier, children, kill, main, with_setting

KILLS = int(os.environ.get('THRESHER_KILLS', by_tier(12, 200, 1000)))
LANES = int(os.environ.get('THRESHER_LANES', by_tier(1, 2)))
RANKS = (0, 1, 2, 3, 4)  # 0: without mpirun
LINGER = 15  # seconds that a launcher without ranks may take


def is_alive(process):
    """Neither gone nor dead and not yet buried."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


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

    def await_end(self, job, ranks, run):
        """The job's exit code and words; None for the code of a launcher that had to be ended."""
        reader = ThreadPoolExecutor(1).submit(job.stderr.read)
        limit = time.monotonic() + LIMIT
        lonely = None  # since when the launcher has no ranks
        while job.poll() is None:
            now = time.monotonic()
            self.assertLess(now, limit, f'{job.args} hangs after {len(self.parts(run))} parts')
            lonely = None if not ranks or any(map(is_alive, children(job.pid))) else lonely or now
            if lonely and now - lonely > LINGER:
                kill(job.pid)
                job.wait()
                self.count(launchers=1)
                return None, reader.result()
            time.sleep(0.01)
        return job.returncode, reader.result()

    def disturb(self, run, ranks, draw):
        """True if the job was killed before its end."""
        is_time = self.moment(run, draw)
        limit = time.monotonic() + LIMIT
        with tempfile.TemporaryDirectory(prefix='thresher-mpi-') as own, subprocess.Popen(
                self.command(run, ranks=ranks), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env={**os.environ, 'OMPI_MCA_orte_tmpdir_base': own, MARK: str(run)}) as job:
            try:
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
                code, errors = self.await_end(job, ranks, run)
            except BaseException:
                for process in [*children(job.pid), job.pid] if job.poll() is None else []:
                    kill(process)
                raise
        if not struck:
            self.assertEqual(code, 0, errors)
        # A dead process with threads that are not yet gone still holds its locks; ranks may have been born since.
        while any(Path(f'/proc/{victim}').exists() for victim in victims) or with_setting(f'{MARK}={run}'):
            self.assertLess(time.monotonic(), limit, 'ranks of a dead job live on')
            time.sleep(0.005)
        return struck and code != 0

    def count(self, **more):
        """Adds to the totals of all lanes, and tells every fiftieth kill."""
        with self.lock:
            for name, number in more.items():
                self.totals[name] += number
            if more.get('kills') and self.totals['kills'] % 50 == 0:
                print(', '.join(f'{number} {name}' for name, number in self.totals.items()),
                      f'after {time.monotonic() - self.begin:.0f} s', flush=True)

    def one_lane(self, lane):
        draw = random.Random(f'{SEED} {lane}')
        kills, attempts, goal = 0, 0, KILLS // LANES + (lane < KILLS % LANES)
        run = self.folder / f'run-{lane}-0'
        while kills < goal and not self.failed:
            attempts += 1
            self.assertLess(attempts, 4 * goal + 20, f'only {kills} jobs could be killed in time')
            if self.disturb(run, draw.choice(RANKS), draw):
                kills += 1
                self.count(kills=1, late=len(self.parts(run)) == self.documents // self.shard_documents)
            if (run / '_SUCCESS').exists() or draw.random() < 0.15:
                self.finish(run, draw)
                run = self.folder / f'run-{lane}-{attempts}'
        self.finish(run, draw)

    def finish(self, run, draw):
        self.assert_holds(run, ranks=draw.choice(RANKS))
        self.count(jobs=1)

    def guarded_lane(self, lane):
        """The other lanes end with one that failed."""
        try:
            self.one_lane(lane)
        except BaseException:
            self.failed = True
            raise

    def test_kills(self):
        self.lock, self.failed, self.begin = threading.Lock(), False, time.monotonic()
        self.totals = dict.fromkeys(('kills', 'late', 'jobs', 'launchers'), 0)
        self.expected()
        with ThreadPoolExecutor(LANES) as lanes:
            for lane in [lanes.submit(self.guarded_lane, lane) for lane in range(LANES)]:
                lane.result()
        kills, late, jobs, launchers = self.totals.values()
        print(f'summary: {kills} kills, {late} of them after the last part, {jobs} jobs finished afterwards with the '
              f'bytes of an undisturbed run, {launchers} launchers without ranks ended, '
              f'{time.monotonic() - self.begin:.0f} s', flush=True)


if __name__ == '__main__':
    main()
