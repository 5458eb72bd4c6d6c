"""Hosts of a test's own: namespaces of this machine with names, networks, processes and shared memory (net/hosts.sh)."""
import os
import subprocess
from pathlib import Path

from program import TREE
from ranks import RanksTest

NET = TREE / 'tests' / 'net'
HOSTS = 4


def what_is_missing():
    """Why this machine does not let us make hosts; empty if it does."""
    command = 'hostname n1 && mount -t tmpfs shm /dev/shm && ip link add eth0 type bridge'
    tried = subprocess.run(['unshare', '--net', '--uts', '--ipc', '--mount', '--pid', '--fork', '--mount-proc', 'bash',
                            '-c', command], capture_output=True, text=True, check=False)
    return '' if tried.returncode == 0 else tried.stderr.strip() or 'unshare failed'


class HostsTest(RanksTest):
    """n1 to n4, and n0 that mpirun and clients start from."""

    def setUp(self):
        if why := what_is_missing():
            self.skipTest(f'no hosts can be made here (root, network namespaces and bridges are needed): {why}')
        super().setUp()
        self.hosts = self.folder / 'hosts'
        self.hosts.mkdir()
        inits = []
        self.addCleanup(lambda: self.assertEqual([init for init in inits if Path(f'/proc/{init}').exists()], []))
        self.keep('bash', NET / 'hosts.sh', self.hosts, HOSTS)
        inits += [self.init_of(f'n{i}') for i in range(HOSTS + 1)]

    def keep(self, *command):
        """A script that makes something, says "ready", and takes it down when its standard input ends."""
        keeper = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=self.environment())

        def take_down():
            keeper.stdin.close()
            keeper.wait(timeout=30)
            keeper.stdout.close()

        self.addCleanup(take_down)
        self.assertEqual(keeper.stdout.readline(), 'ready\n')

    def init_of(self, host):
        """The process whose end is the host's."""
        return int((self.hosts / f'{host}.pid').read_text())

    @staticmethod
    def on(host, *command):
        """The command line that runs `command` there."""
        return ['bash', str(NET / 'on_host.sh'), host, 'exec', *map(str, command)]

    def environment(self):
        """For mpirun on n0 that starts ranks on the others."""
        return {**os.environ, 'THRESHER_HOSTS': str(self.hosts), 'OMPI_MCA_plm_rsh_agent': str(NET / 'on_host.sh'),
                'OMPI_MCA_plm_rsh_no_tree_spawn': '1', 'OMPI_MCA_btl_tcp_if_include': 'eth0',
                'OMPI_MCA_oob_tcp_if_include': 'eth0', 'OMPI_MCA_btl_vader_backing_directory': '/dev/shm'}
