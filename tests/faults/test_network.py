#!/usr/bin/env python3
"""The network between two hosts goes away under a job: for two seconds, or until the job has ended. Two kinds of it: the
link goes down, or is up and loses everything without a word."""
import os
import subprocess
import time

from job import FaultTest, main
from hosts import HostsTest
from ranks import with_setting

HANGS, LOST = 70, 205  # of the watchdog, of mpirun
WATCHDOG = 5
LIMIT = 45
# mpirun asks its daemons whether they are still there, and gives up after 2 + 3 x 1 seconds.
KEEPALIVE = {'OMPI_MCA_oob_tcp_keepalive_time': '2', 'OMPI_MCA_oob_tcp_keepalive_intvl': '1',
             'OMPI_MCA_oob_tcp_keepalive_probes': '3'}


class Network(HostsTest):
    documents = 900
    options = ('--dtype', 'f32')

    def ip(self, *words):
        """On n0, the switch that the hosts are plugged into: port2 is where the link of n2 ends."""
        subprocess.run(['nsenter', '--target', str(self.init_of('n0')), '--net', 'ip', 'link', 'set', *words], check=True)

    def cut(self, kind, host):
        port = 'port' + host[1:]
        if kind == 'down':
            self.ip(port, 'down')
        elif kind == 'silent':
            self.ip(port, 'nomaster')
        else:  # 'apart': from all other hosts, but not from mpirun on n0, which is the switch itself
            for other in {'port1', port}:
                self.ip(other, 'type', 'bridge_slave', 'isolated', 'on')

    def mend(self, kind, host):
        port = 'port' + host[1:]
        if kind == 'down':
            self.ip(port, 'up')
        elif kind == 'silent':
            self.ip(port, 'master', 'eth0')
        else:
            for other in {'port1', port}:
                self.ip(other, 'type', 'bridge_slave', 'isolated', 'off')

    def launch(self, run, hosts, *more, env=None):
        """A job with one rank on each of two hosts."""
        names = ','.join(f'{host}:1' for host in hosts)
        launcher = self.on('n0', 'mpirun', '--host', names, '-n', 2)
        return self.start(run, 2, *more, launcher=launcher, env={**self.environment(), **(env or {})})

    def await_parts(self, job, run, count=5):
        while job.poll() is None and len(FaultTest.parts(run)) < count:
            time.sleep(0.01)
        self.assertIsNone(job.poll(), 'the job ended before it could be disturbed')

    def assert_complete(self, run):
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))
        self.succeed('verify', run)
        self.assertEqual(FaultTest.attempts_left(run), [])

    def ranks_of(self, run):
        """Processes of this job that are not its launcher's."""
        found = []
        for process in with_setting(self.mark(run)):
            try:
                name = os.readlink(f'/proc/{process}/exe')
            except OSError:
                continue
            if name.endswith('/thresher'):
                found.append(process)
        return found

    def test_for_two_seconds(self):
        cases = [('down', ('n1', 'n2'), 'pp=2'), ('silent', ('n3', 'n4'), 'dp=2')]
        jobs = []
        for kind, hosts, layout in cases:
            run = self.folder / kind
            jobs.append((run, self.launch(run, hosts, '--layout', layout, '--watchdog', WATCHDOG)))
        for run, job in jobs:
            self.await_parts(job, run)
        cut = time.monotonic()
        for kind, hosts, _ in cases:
            self.cut(kind, hosts[1])
        time.sleep(2)
        for run, job in jobs:
            self.assertIsNone(job.poll(), f'{run.name}: ended without the other host')
        for kind, hosts, _ in cases:
            self.mend(kind, hosts[1])
        for run, job in jobs:
            with self.subTest(run.name):
                code, errors, _ = self.end(job, run, LIMIT)
                print(f'{run.name} for 2 s: finished {time.monotonic() - cut:.1f} s after the cut', flush=True)
                self.assertEqual(code, 0, errors)
                self.assertNotIn('error', errors)
                self.assert_complete(run)

    def test_for_good(self):
        """Three jobs at a time: most of it is waiting."""
        # Kind of cut, the hosts, the layout, what the launcher is told, the code that the job ends with.
        cases = [
            # mpirun loses a host, and has been told to look after it: it ends the job before the watchdog does.
            ('down', ('n1', 'n2'), 'dp=2', KEEPALIVE, (), LOST),
            # mpirun reaches all hosts, which do not reach each other.
            ('apart', ('n1', 'n3'), 'pp=2', {}, ('--watchdog', WATCHDOG), HANGS),
            # mpirun loses a host and knows nothing of it: the ranks end by themselves, on both sides.
            ('silent', ('n1', 'n4'), 'dp=2', {}, ('--watchdog', WATCHDOG), HANGS),
        ]
        jobs = []
        for kind, hosts, layout, env, more, _ in cases:
            run = self.folder / kind
            jobs.append((run, self.launch(run, hosts, '--layout', layout, *more, env=env)))
        for run, job in jobs:
            self.await_parts(job, run)
        cut = time.monotonic()
        for kind, hosts, *_ in cases:
            self.cut(kind, hosts[1])
        for (kind, hosts, *_, expected), (run, job) in zip(cases, jobs):
            with self.subTest(kind):
                while self.ranks_of(run):
                    self.assertLess(time.monotonic() - cut, LIMIT, 'ranks do not notice that the network is gone')
                    time.sleep(0.05)
                alone = time.monotonic() - cut
                if kind == 'silent':
                    self.mend(kind, hosts[1])
                code, errors, _ = self.end(job, run, LIMIT)
                if kind != 'silent':
                    self.mend(kind, hosts[1])
                print(f'{kind} for good: the ranks ended after {alone:.1f} s, mpirun and its daemons after '
                      f'{time.monotonic() - cut:.1f} s', flush=True)
                self.assertEqual(code, expected, errors)
                if expected == LOST:
                    self.assertNotIn('thresher: error:', errors)
                    self.assertRegex(errors, r'lost communication with a remote daemon[^$]*on node n2')
                else:
                    # Each side of a cut has its say, where mpirun cannot tell the other one that it is over.
                    self.assertIn(errors.count('thresher: error:'), (1, 2) if kind == 'silent' else (1,), errors)
                    self.assertRegex(errors, rf'error: rank 1 \({hosts[1]}, [a-z0-9 ,]*\): no sign of life for')
        jobs = []
        for kind, hosts, layout, *_ in cases:
            jobs.append((self.folder / kind, self.launch(self.folder / kind, hosts, '--layout', layout)))
        for run, job in jobs:
            with self.subTest(f'{run.name}, again'):
                code, errors, _ = self.end(job, run)
                self.assertEqual(code, 0, errors)
                self.assert_complete(run)


if __name__ == '__main__':
    main()
