#!/usr/bin/env python3
"""The bundle runs where there is nothing but a C library: no shell, no MPI, no HDF5."""
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from program import THRESHER, TREE, ProgramTest, documents, main

LIBC = ('libc.so.6', 'libm.so.6', 'libresolv.so.2', 'libpthread.so.0', 'libdl.so.2', 'librt.so.1', 'libutil.so.1')


@unittest.skipUnless(os.geteuid() == 0, 'only root can change the root folder')
@unittest.skipUnless(shutil.which('patchelf'), 'patchelf is not installed')
class Bundle(ProgramTest):
    def bare_root(self):
        root = self.folder / 'root'
        for folder in ('tmp', 'proc', 'dev', 'lib64', 'lib/x86_64-linux-gnu'):
            (root / folder).mkdir(parents=True)
        for name in LIBC:
            shutil.copy(Path('/lib/x86_64-linux-gnu') / name, root / 'lib/x86_64-linux-gnu')
        shutil.copy('/lib64/ld-linux-x86-64.so.2', root / 'lib64')
        return root

    def inside(self, root, *words, ranks=0):
        """In a mount namespace of its own, which takes /proc and /dev along when it ends. Ranks by the bundle's mpirun, with
        the settings of tests/gpu/two_ranks.sh: there is no shell here."""
        settings = ''
        if ranks:
            words = ['-n', str(ranks), '/thresher-bundle/bin/thresher', *words]
            settings = ('PATH=/thresher-bundle/bin HOME=/tmp OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=isolated '
                        'OPAL_PREFIX=/thresher-bundle OPAL_PKGLIBDIR=/thresher-bundle/lib/openmpi '
                        'OMPI_MCA_mca_base_component_path=/thresher-bundle/lib/openmpi OMPI_MCA_pml=ob1 '
                        'OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_vader_single_copy_mechanism=none '
                        'OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo '
                        'OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none')
        script = ('mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && '
                  f'exec env -i {settings} "$(command -v chroot)" "$0" "$@"')
        done = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'bash', '-c', script, root,
                               f'/thresher-bundle/bin/{"mpirun" if ranks else "thresher"}', *words], capture_output=True,
                              text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, f'{words}\n{done.stdout}\n{done.stderr}')
        return done

    def test_bare_root(self):
        try:
            subprocess.run(['unshare', '--mount', 'true'], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest('namespaces are not allowed here')
        archive = self.folder / 'bundle.tar.gz'
        subprocess.run(['bash', TREE / 'jobs/bundle.sh', Path(THRESHER).parent, archive], check=True,
                       capture_output=True, timeout=300)
        root = self.bare_root()
        subprocess.run(['tar', '-xzf', archive, '-C', root], check=True)
        shutil.copy(self.write_jsonl('texts.jsonl', documents(40, seed=3)), root)
        self.inside(root, 'import', '--input', '/texts.jsonl', '--output', '/corpus.h5')
        self.inside(root, 'score', '--model', '/thresher-bundle/data/model', '--corpus', '/corpus.h5', '--output', '/run')
        self.succeed('score', '--model', TREE / 'data/model', '--corpus', root / 'corpus.h5', '--output',
                     self.folder / 'here')
        self.assertEqual((root / 'run/results.h5').read_bytes(), (self.folder / 'here/results.h5').read_bytes())
        self.inside(root, 'score', '--model', '/thresher-bundle/data/model', '--corpus', '/corpus.h5', '--output', '/two',
                    '--layout', 'dp=2', '--threads', '1', ranks=2)
        self.assertEqual((root / 'two/results.h5').read_bytes(), (self.folder / 'here/results.h5').read_bytes())
        self.brings_the_check(root / 'thresher-bundle')

    def brings_the_check(self, bundle):
        """Everything that check.sh calls is there; without a GPU it says so."""
        done = subprocess.run(['bash', bundle / 'tests/gpu/check.sh', bundle / 'bin', self.folder / 'check'],
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 77, done.stdout + done.stderr)
        self.assertIn('no GPU to use', done.stdout)
        for name in ('jobs/mpi-env.sh', 'data/model/config.json', 'tests/gpu/reference/bundled.json', 'README.md'):
            self.assertTrue((bundle / name).is_file(), name)


if __name__ == '__main__':
    main()
