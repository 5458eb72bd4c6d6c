#!/usr/bin/env python3
"""Several hosts, TCP between them: the same bytes as on one rank, and tensor groups inside a host."""
import json
import os
import signal

from hosts import HOSTS, HostsTest
from program import main
from ranks import process_of


class Hosts(HostsTest):
    def launcher(self, ranks, *more):
        """mpirun on n0, for `ranks` on the hosts, two on each of them at most."""
        names = ','.join(f'n{i + 1}:{2 if ranks > HOSTS else 1}' for i in range(HOSTS))
        return self.on('n0', 'mpirun', '--host', names, '-n', ranks, *more)

    def on_hosts(self, layout, ranks, *more):
        """The finished job's ranks as run.json lists them, and what it printed."""
        run = self.folder / layout
        job = self.start(run, ranks, '--layout', layout, launcher=self.launcher(ranks, *more), env=self.environment())
        code, errors, _ = self.end(job, run)
        self.assertEqual(code, 0, errors)
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected('gather'))
        self.assertIn(f'layout {layout}', errors)
        entries = json.loads((run / 'run.json').read_text(encoding='utf-8'))['ranks']
        self.assertEqual([entry['rank'] for entry in entries], list(range(ranks)))
        return entries, errors

    def test_data_and_stages(self):
        ranks, printed = self.on_hosts('dp=2,pp=2,tp=1', 4)
        self.assertEqual([rank['host'] for rank in ranks], ['n1', 'n2', 'n3', 'n4'])
        for rank in ranks:
            self.assertRegex(printed, rf'rank {rank["rank"]} on {rank["host"]} .*: replica {rank["replica"]} '
                                      rf'stage {rank["stage"]}')
        # Between hosts one replica reads and the other hears from it.
        for rank in ranks:
            read = rank['metrics']['bytes read']
            (self.assertGreater if rank['replica'] == 0 else self.assertEqual)(read, 0)

    def test_stages_and_shards(self):
        ranks, _ = self.on_hosts('dp=1,pp=2,tp=2', 4)
        self.assertEqual({rank['host'] for rank in ranks}, {'n1', 'n2', 'n3', 'n4'})

    def test_tensor_groups_inside_hosts(self):
        """mpirun deals ranks out to hosts in turns, so that neighbours by number are never neighbours."""
        ranks, _ = self.on_hosts('dp=2,pp=2,tp=2', 8, '--map-by', 'node')
        self.assertEqual([rank['host'] for rank in ranks], ['n1', 'n2', 'n3', 'n4'] * 2)
        groups = {}
        for rank in ranks:
            groups.setdefault((rank['replica'], rank['stage']), set()).add(rank['host'])
        self.assertEqual(len(groups), 4)
        self.assertTrue(all(len(hosts) == 1 for hosts in groups.values()), groups)

    def test_stopped_rank_on_another_host(self):
        run = self.folder / 'stopped'
        job = self.start(run, 4, '--layout', 'dp=2,pp=2', '--watchdog', 6, launcher=self.launcher(4),
                         env=self.environment())
        while job.poll() is None and not (run / 'plan.json').exists():
            os.sched_yield()
        os.kill(process_of(run, 3), signal.SIGSTOP)
        code, errors, _ = self.end(job, run)
        self.assertEqual(code, 70, errors)
        self.assertIn('thresher: error: rank 3 (n4, replica 1, stage 1, shard 0): no sign of life for', errors)


if __name__ == '__main__':
    main()
