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

    def inside(self, root, *words):
        """In a mount namespace of its own, which takes /proc and /dev along when it ends."""
        script = 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec env -i "$(command -v chroot)" "$0" "$@"'
        done = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'bash', '-c', script, root,
                               '/thresher-bundle/bin/thresher', *words], capture_output=True, text=True, timeout=120,
                              check=False)
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


if __name__ == '__main__':
    main()
