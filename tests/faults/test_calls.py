#!/usr/bin/env python3
"""The k-th system call that changes the run directory fails, or the process is killed before it: once for every k. Then
the same for reads, of the corpus, of the model and, by a restart and by the merge, of the run directory: they fail, are
short, or find an end where there was none. All of them are pread, HDF5's too, which reads through the program's own
files; nothing is mapped into memory. (What a page fault does when a disk fails can therefore not happen.)"""
import errno
import os
import random
import shutil
import unittest
from concurrent.futures import ThreadPoolExecutor

from job import CODES, FAULTS, MODEL, SEED, FaultTest, by_tier, fault, main

CALLS = ('create', 'write', 'truncate', 'sync', 'link', 'rename', 'make')
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
KILL = 9
READS = [{'error': errno.EIO}, {'error': errno.EIO, 'once': 1}, {'error': errno.ESTALE}, {'error': errno.EINTR, 'once': 1},
         {'short': 1}, {'short': 1, 'once': 1}, {'end': 1}, {'end': 1, 'once': 1}]


@unittest.skipUnless(os.path.exists(FAULTS), 'THRESHER_FAULTS does not name the library that makes calls fail')
class Calls(FaultTest):
    documents = 12

    def tally(self, call, mode):
        """How often a job makes this call."""
        run, log = self.folder / f'count-{call}-{mode}', self.folder / f'tally-{call}-{mode}'
        return self.count(run, call, f'{run}*', log, mode)

    def count(self, run, call, path, log, mode):
        done = self.attempt(run, '--output-mode', mode, env=fault(call, path, 1 << 30, tally=log))
        self.assertEqual(done.returncode, 0, done.stderr)
        count = log.stat().st_size
        self.assertGreater(count, 0, call)
        return count

    def strike(self, number, mode, call, k, settings):
        """One job with one fault, and its continuation. The words of what does not hold, or nothing."""
        run, log = self.folder / f'run-{number}', self.folder / f'struck-{number}'
        name = f'{mode} {call} {k} {settings}'
        try:
            done = self.attempt(run, '--output-mode', mode, env=fault(call, f'{run}*', k, log=log, **settings))
            if 'signal' in settings:
                self.assertTrue(done.returncode == -KILL or not log.exists(), done.stderr)
            elif done.returncode == 0:
                self.assert_complete(run, mode)
            else:
                self.assert_told_of(done, settings, run)
            self.assert_holds(run, mode=mode)
            shutil.rmtree(run)
        except Exception as error:  # pylint: disable=broad-except
            return f'{name}: {error}'
        return ''

    def assert_told_of(self, done, settings, place):
        """One error, with the reason and the file."""
        self.assertIn(done.returncode, CODES, done.stderr)
        self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)
        if 'error' in settings:
            self.assertIn(os.strerror(settings['error']), done.stderr)
        self.assertIn(str(place), done.stderr)

    def each(self, strike, cases, few, what):
        """All cases, or a few of them with each commit."""
        random.Random(SEED).shuffle(cases)
        chosen = cases[:by_tier(few, len(cases))]
        with ThreadPoolExecutor(2) as pool:
            wrong = [words for words in pool.map(lambda case: strike(case[0], *case[1]), enumerate(chosen)) if words]
        for words in wrong:
            print(words, flush=True)
        print(f'summary: {len(chosen)} of {len(cases)} {what}, {len(wrong)} after which something did not hold', flush=True)
        self.assertEqual(len(wrong), 0)

    def test_every_call(self):
        cases = []
        for mode in ('gather', 'sharded'):
            for call in CALLS:
                kinds = [{'signal': KILL}]
                kinds += [{'error': error, **once} for error in ERRORS for once in ({}, {'once': 1})]
                kinds += [{'error': errno.EINTR, 'once': 1}]
                if call == 'write':
                    kinds += [{'short': 1}, {'short': 1, 'once': 1}]
                cases += [(mode, call, k, kind) for k in range(self.tally(call, mode)) for kind in kinds]
            self.expected(mode)
        self.each(self.strike, cases, 40, 'faults')

    def interrupted(self, mode):
        """A run directory that lacks its last part."""
        run = self.folder / f'interrupted-{mode}'
        parts = self.documents // self.shard_documents
        done = self.attempt(run, '--output-mode', mode, env=fault('link', '*/parts/*', parts - 1, signal=KILL))
        self.assertEqual(done.returncode, -KILL, done.stderr)
        self.assertEqual(len(self.parts(run)), parts - 1)
        return run

    def start_from(self, begun, run):
        """A copy of a job that was begun, or nothing yet."""
        if begun:
            shutil.copytree(begun, run)

    def strike_read(self, number, mode, begun, place, k, settings):
        """One job, from its beginning or continued, one of whose reads goes wrong, and its continuation."""
        run, log = self.folder / f'read-{number}', self.folder / f'misread-{number}'
        path = place or run
        try:
            self.start_from(begun, run)
            done = self.attempt(run, '--output-mode', mode, env=fault('read', f'{path}*', k, log=log, **settings))
            if done.returncode == 0:
                self.assert_complete(run, mode)
            else:
                self.assertTrue(log.exists(), done.stderr)
                self.assertEqual(settings.keys() & {'short'}, set(), f'short reads are no errors: {done.stderr}')
                self.assert_told_of(done, settings, path)
            self.assert_holds(run, mode=mode)
            shutil.rmtree(run)
        except Exception as error:  # pylint: disable=broad-except
            return f'{mode} {"restart" if begun else "start"} {path} read {k} {settings}: {error}'
        return ''

    def test_every_read(self):
        cases = []
        for mode in ('gather', 'sharded'):
            self.expected(mode)
            begun = self.interrupted(mode)
            for name, start, place in (('corpus', None, self.corpus), ('model', None, MODEL), ('merge', None, None),
                                       ('restart', begun, None)):
                run, log = self.folder / f'count-{name}-{mode}', self.folder / f'tally-{name}-{mode}'
                self.start_from(start, run)
                reads = self.count(run, 'read', f'{place or run}*', log, mode)
                print(f'{mode}, {name}: {reads} reads', flush=True)
                cases += [(mode, start, place, k, kind) for k in range(reads) for kind in READS]
        self.each(self.strike_read, cases, 12, 'reads that went wrong')

    def test_job_file(self):
        """Part of a job file is another job."""
        run, options = self.folder / 'run', self.folder / 'options.conf'
        options.write_text('top-k = 3\n')
        for k in range(2):
            with self.subTest(k):
                done = self.attempt(run, '--job', options, env=fault('read', options, k, error=errno.EIO))
                self.assertEqual(done.returncode, 66, done.stderr)
                self.assert_told_of(done, {}, options)
                self.assertFalse(run.exists())


if __name__ == '__main__':
    main()
