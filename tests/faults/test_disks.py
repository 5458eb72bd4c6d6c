#!/usr/bin/env python3
"""Disks that are full, read-only or vanish; parts that are damaged; two jobs in one directory."""
import os
import random
import shutil
import subprocess
import threading
import time
import unittest

from job import AGAIN, CODES, LIMIT, SEED, THRESHER, FaultTest, by_tier, main

CANNOT_CREATE, IO, PERMISSION = 73, 74, 77


def can_mount():
    tried = subprocess.run(['unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], capture_output=True, check=False)
    return tried.returncode == 0


needs_mounts = unittest.skipUnless(can_mount(), 'no file systems can be mounted here (root is needed)')


class Disks(FaultTest):
    documents = 120

    def on_disk(self, options, script):
        """A shell with a file system of its own at $disk."""
        disk = self.folder / 'disk'
        disk.mkdir(exist_ok=True)
        return subprocess.run(
            ['unshare', '--mount', 'bash', '-c', f'mount -t tmpfs -o {options} none "$disk" && {script}'],
            capture_output=True, text=True, check=False, timeout=3 * LIMIT, env={**os.environ, 'disk': str(disk)})

    def score(self, run, *more):
        return ' '.join(f"'{word}'" for word in self.command(run, *more))

    @needs_mounts
    def test_full(self):
        """Every size up to what the job needs: exit 74 in words, and after more room is there the job goes on."""
        run = self.folder / 'disk' / 'run'
        measured = self.on_disk('size=64m', f'{self.score(run)} >/dev/null && du -sk "$disk"')
        self.assertEqual(measured.returncode, 0, measured.stderr)
        need = int(measured.stdout.split()[0])
        copies = self.folder / 'copies'
        steps = by_tier(4, 20, 40)
        full = 0
        for step in range(steps):
            size = 4 + (need + 40) * step // (steps - 1)
            with self.subTest(kib=size):
                copies.mkdir()
                done = self.on_disk(f'size={size}k', f'''
                    {self.score(run)} >/dev/null; code=$?; echo "code $code"
                    mount -o remount,size=64m "$disk"
                    {self.score(run)} >/dev/null && cp -r '{run}/.' '{copies}' ''')
                self.assertEqual(done.returncode, 0, done.stderr)
                code = int(done.stdout.split()[1])
                self.assertIn(code, (0, CANNOT_CREATE, IO), done.stderr)
                if code:
                    full += 1
                    self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)
                    self.assertRegex(done.stderr, r'No space left on device|it needs \d+ bytes, \d+ are free')
                    self.assertIn(str(run), done.stderr)
                self.assert_complete(copies)
                shutil.rmtree(copies)
        print(f'summary: {full} of {steps} disks were full', flush=True)
        self.assertGreater(full, steps // 2)

    @needs_mounts
    def test_read_only(self):
        run = self.folder / 'disk' / 'run'
        for prepared in ('', f'{self.score(run)} >/dev/null;'):
            with self.subTest(prepared=bool(prepared)):
                done = self.on_disk('size=64m', f'{prepared} mount -o remount,ro "$disk"; {self.score(run, "--fresh")}')
                self.assertIn(done.returncode, (CANNOT_CREATE, IO, PERMISSION), done.stderr)
                self.assertIn('Read-only file system', done.stderr)
                self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)

    def test_vanishes(self):
        """The directory, or that of the parts, is removed or renamed under a running job."""
        draw = random.Random(SEED)
        for what in ('run', 'parts', 'renamed'):
            for _ in range(by_tier(1, 5)):
                run = self.folder / f'run-{what}'
                with self.subTest(what), subprocess.Popen(self.command(run), stderr=subprocess.PIPE,
                                                          stdout=subprocess.DEVNULL, text=True) as job:
                    goal = draw.randint(1, 20)
                    while job.poll() is None and len(self.parts(run)) < goal:
                        time.sleep(0.001)
                    (run / 'parts' if what == 'parts' else run).rename(self.folder / 'elsewhere')
                    _, errors = job.communicate(timeout=LIMIT)
                    if job.returncode:  # it may have been done already
                        self.assertIn(job.returncode, CODES, errors)
                        self.assertEqual(errors.count('thresher: error:'), 1, errors)
                        self.assertIn(str(run), errors)
                    if what == 'renamed':
                        shutil.rmtree(run, ignore_errors=True)
                        (self.folder / 'elsewhere').rename(run)
                    else:
                        shutil.rmtree(self.folder / 'elsewhere')
                    self.assert_holds(run)
                    shutil.rmtree(run)

    def test_damaged_parts(self):
        """Found when the job goes on, told, and scored again."""
        draw = random.Random(SEED)
        whole = self.folder / 'whole'
        self.succeed(*self.words(whole))
        names = sorted(self.parts(whole))
        run = self.folder / 'run'
        for number in range(by_tier(12, 200, 2000)):
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(whole, run)
            for name in ('_SUCCESS', 'results.h5', 'summary.json', 'run.json'):
                (run / name).unlink()
            part = run / 'parts' / draw.choice(names)
            data = bytearray(part.read_bytes())
            at = draw.randrange(len(data))
            kind = ('bit', 'cut', 'zeros', 'swapped', 'longer', 'empty')[number % 6]
            if kind == 'bit':
                data[at] ^= 1 << draw.randrange(8)
            elif kind == 'cut':
                del data[at:]
            elif kind == 'zeros':
                end = min(len(data), at + 512)
                data[at:end] = bytes(b ^ 0xff for b in data[at:end])
            elif kind == 'longer':
                data += b'\0'
            elif kind == 'empty':
                data.clear()
            other = run / 'parts' / draw.choice([name for name in names if name != part.name])
            if kind == 'swapped':
                data[:], there = other.read_bytes(), bytes(data)
                other.write_bytes(there)
            part.write_bytes(data)
            with self.subTest(kind=kind, part=part.name, at=at):
                done = self.attempt(run)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(part.name, done.stderr)
                self.assertIn('scored again', done.stderr)
                self.assert_complete(run)
        print(f'summary: {by_tier(12, 200, 2000)} damaged parts', flush=True)

    def test_two_jobs_in_one_directory(self):
        """One works, the other one is told so; nothing is mixed up."""
        for _ in range(by_tier(2, 50, 500)):
            run = self.folder / 'run'
            ends = []

            def one(ranks, run=run, ends=ends):
                ends.append(self.attempt(run, ranks=ranks))

            threads = [threading.Thread(target=one, args=(ranks,)) for ranks in (0, 2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            codes = sorted(end.returncode for end in ends)
            self.assertIn(codes, ([0, 0], [0, AGAIN]), [end.stderr for end in ends])
            if codes[1]:
                loser = max(ends, key=lambda end: end.returncode)
                self.assertIn('another process is working here', loser.stderr)
            self.assert_complete(run)
            self.assert_holds(run)
            shutil.rmtree(run)

    def test_what_the_job_is_made_of_changes(self):
        """Another corpus or model is refused by name; a touched one is not."""
        run = self.folder / 'run'
        model = self.folder / 'model'
        shutil.copytree(self.words(run)[2], model)
        words = self.words(run)
        words[2] = model
        self.succeed(*words)
        (run / '_SUCCESS').unlink()
        for file in (self.corpus, model / 'model.safetensors'):
            os.utime(file, (1e9, 1e9))
        self.succeed(*words)
        weights = model / 'model.safetensors'
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        self.refuse(78, 'model', *words)
        weights.write_bytes(data[:-1])
        self.refuse(65, str(weights), *words)
        weights.unlink()
        self.refuse(66, 'safetensors', *words)
        self.assertTrue((run / 'results.h5').exists())

    def test_corpus_changes(self):
        run = self.folder / 'run'
        self.succeed(*self.words(run))
        texts = (self.folder / 'texts.jsonl').read_text().splitlines(keepends=True)
        kinds = {'inserted': [texts[0], *texts], 'deleted': texts[1:], 'reordered': [texts[1], texts[0], *texts[2:]]}
        for kind, lines in kinds.items():
            with self.subTest(kind):
                (self.folder / 'changed.jsonl').write_text(''.join(lines))
                self.succeed('import', '--input', self.folder / 'changed.jsonl', '--output', self.corpus)
                self.refuse(78, 'corpus', *self.words(run))


if __name__ == '__main__':
    main()
