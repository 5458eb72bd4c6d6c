#!/usr/bin/env python3
"""--output-mode sharded: replicas write the parts, results.h5 is a table over them, and every reader gets the numbers
of a gathered run."""
import shutil
import subprocess

import h5py
from program import MODEL, THRESHER, ProgramTest, documents, main

DATA = 65


class Sharded(ProgramTest):
    def setUp(self):
        super().setUp()
        texts = self.write_jsonl('texts.jsonl', documents(150, seed=6))
        self.succeed('import', '--input', texts, '--output', self.folder / 'corpus.h5')

    def command(self, name, mode='sharded'):
        return ['score', '--model', MODEL, '--corpus', self.folder / 'corpus.h5', '--output', self.folder / name,
                '--dtype', 'f32', '--window', 128, '--shard-documents', 16, '--per-token', '--top-k', 2, '--threads', 1,
                '--output-mode', mode]

    def score(self, name, mode='sharded', ranks=0):
        self.succeed(*self.command(name, mode), ranks=ranks)
        return self.folder / name

    def same_numbers(self, run, gathered):
        """Every dataset as plain h5py reads it."""
        with h5py.File(run / 'results.h5') as a, h5py.File(gathered / 'results.h5') as b:
            names = []
            b.visititems(lambda name, thing: names.append(name) if isinstance(thing, h5py.Dataset) else None)
            self.assertGreater(len(names), 10)
            for name in names:
                self.assertEqual(a[name].dtype, b[name].dtype, name)
                self.assertEqual(a[name][...].tobytes(), b[name][...].tobytes(), name)
            self.assertEqual(sum(a[name].is_virtual for name in names), len(names) - 2)
            self.assertEqual(a['parts/rows'][:].sum(), 150)

    def test_all_readers_agree_with_gathered_results(self):
        gathered = self.score('gathered', 'gather')
        run = self.score('one')
        self.same_numbers(run, gathered)
        for ranks in (2, 3):
            other = self.score(f'ranks-{ranks}', ranks=ranks)
            self.assertEqual((other / 'results.h5').read_bytes(), (run / 'results.h5').read_bytes())
            for part in (run / 'parts').iterdir():
                self.assertEqual((other / 'parts' / part.name).read_bytes(), part.read_bytes())
        self.assertEqual((run / 'rejects.jsonl').read_bytes(), (gathered / 'rejects.jsonl').read_bytes())
        for form in ('jsonl', 'csv'):
            self.assertEqual(self.succeed('export', run, '--to', form).stdout,
                             self.succeed('export', gathered, '--to', form).stdout)
        extremes = [self.succeed('inspect', where, '--extremes', 4).stdout.split('Most likely')[1]
                    for where in (run, gathered)]
        self.assertEqual(extremes[0], extremes[1])
        self.assertIn('in 10 parts', self.succeed('inspect', run / 'results.h5').stdout)
        self.assertIn('10 parts with', self.succeed('verify', run).stdout)
        self.assertIn('sharded', self.succeed('verify', run).stdout)
        self.refuse(78, 'output_mode: sharded there, gather now', *self.command('one', 'gather'))

    def test_moved_as_a_whole(self):
        run = self.score('run')
        before = self.succeed('export', run, '--to', 'csv').stdout
        moved = self.folder / 'deep' / 'moved'
        moved.parent.mkdir()
        run.rename(moved)
        self.assertEqual(self.succeed('export', moved, '--to', 'csv').stdout, before)
        self.assertEqual(self.succeed('export', 'results.h5', '--to', 'csv', cwd=moved).stdout, before)

    def test_a_part_lost_or_damaged_is_said_and_made_anew(self):
        run = self.score('run', ranks=2)
        results = (run / 'results.h5').read_bytes()
        part = run / 'parts' / 'part-00000004.h5'
        whole = part.read_bytes()
        # A part of the same name elsewhere does not stand in for it.
        shutil.copytree(run / 'parts', self.folder / 'parts')
        for damage in (part.unlink, lambda: part.write_bytes(whole[:-100]),
                       lambda: part.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])):
            damage()
            for command in (['export', run, '--to', 'csv'], ['inspect', run, '--extremes', 2],
                            ['inspect', run / 'results.h5']):
                for env in ({}, {'HDF5_VDS_PREFIX': str(self.folder)}):
                    done = self.refuse(DATA, 'part-00000004.h5', *command, cwd=self.folder, env=env)
                    self.assertIn('give the same score command again', done.stderr)
                    self.assertNotIn('doc-', done.stdout)
            self.assertIn('part-00000004.h5', self.refuse(DATA, 'has 1 fault', 'verify', run).stderr)
            self.score('run', ranks=2)
            self.assertEqual((run / 'results.h5').read_bytes(), results)
            self.assertEqual(part.read_bytes(), whole)
            self.succeed('verify', run)

    def test_killed_and_continued(self):
        undisturbed = self.score('undisturbed')
        run = self.folder / 'run'
        done = subprocess.run(['timeout', '-s', 'KILL', '0.6', THRESHER, *map(str, self.command('run'))],
                              capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        if not (run / '_SUCCESS').exists() and (run / 'plan.json').exists():
            self.refuse(75, 'is not finished', 'verify', run)
        self.score('run', ranks=2)
        self.assertEqual((run / 'results.h5').read_bytes(), (undisturbed / 'results.h5').read_bytes())
        left = [p.name for p in (run / 'parts').iterdir() if not p.name.startswith('part-')]
        self.assertEqual(left, [])


if __name__ == '__main__':
    main()
