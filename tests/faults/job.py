"""A small job that faults happen to, and what has to hold after each of them."""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'tests' / 'app'))

from program import MODEL, THRESHER, TIME_FACTOR, ProgramTest, documents, main  # noqa: E402, F401
from ranks import MARK, children, kill, with_setting  # noqa: E402, F401

FAULTS = os.environ.get('THRESHER_FAULTS', '')
TIER = int(os.environ.get('THRESHER_TIER', '0'))  # 0: each commit, 1: nightly, 2: before a release
SEED = int(os.environ.get('THRESHER_SEED', time.time_ns() % 1_000_000))
LIMIT = 60 * TIME_FACTOR  # seconds after which a job counts as hanging
AGAIN = 75
# Exit codes that are documented (jobs/README.md), but for 0.
CODES = {1, 64, 65, 66, 69, 70, 71, 73, 74, 75, 77, 78}


def by_tier(*counts):
    """The count of this tier."""
    return counts[min(TIER, len(counts) - 1)]


class FaultTest(ProgramTest):
    """A corpus of many small shards, and the bytes that any undisturbed run makes of it."""

    documents = 60
    shard_documents = 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = {}
        print(f'THRESHER_SEED={SEED} THRESHER_TIER={TIER}', flush=True)

    def setUp(self):
        super().setUp()
        self.corpus = self.folder / 'corpus.h5'
        self.succeed('import', '--input', self.write_jsonl('texts.jsonl', documents(self.documents, seed=6)), '--output',
                     self.corpus)

    def words(self, run, *more):
        return ['score', '--model', MODEL, '--corpus', self.corpus, '--output', run, '--threads', '1', '--per-token',
                '--shard-documents', str(self.shard_documents), *more]

    def command(self, run, *more, ranks=0):
        launcher = ['mpirun', '-n', str(ranks)] if ranks else []
        return [*launcher, THRESHER, *map(str, self.words(run, *more))]

    def expected(self, mode='gather'):
        """The bytes of an undisturbed run in this output mode."""
        if mode not in self.reference:
            run = self.folder / f'undisturbed-{mode}'
            self.succeed(*self.words(run, '--output-mode', mode))
            self.reference[mode] = (run / 'results.h5').read_bytes()
        return self.reference[mode]

    def attempt(self, run, *more, ranks=0, env=None, **options):
        """One run that may fail, but must not hang. It has a folder of its own for MPI: two that begin or end at the same
        moment make and remove the same one, and trip over it."""
        command = self.command(run, *more, ranks=ranks)
        try:
            with tempfile.TemporaryDirectory(prefix='thresher-mpi-') as own:
                return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False,
                                      env={**os.environ, 'OMPI_MCA_orte_tmpdir_base': own, **(env or {})}, **options)
        except subprocess.TimeoutExpired as late:
            status, load = run / 'status.json', Path('/proc/loadavg').read_text()
            self.fail(f'{command} takes longer than {LIMIT} s (load {load}); {len(self.parts(run))} parts, '
                      f'{status.read_text() if status.exists() else "no status"}\n{late.stderr}')

    def assert_told(self, done, *words):
        """An error in one message, with a documented code, that says what was wrong and where."""
        self.assertIn(done.returncode, CODES, done.stderr)
        if done.returncode == AGAIN:
            return
        self.assertEqual(done.stderr.count('thresher: error:'), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def assert_holds(self, run, *more, ranks=0, mode='gather'):
        """The invariant: after a restart each record is there once, with the bytes of an undisturbed run, `verify` finds
        nothing, no attempt is left."""
        done = self.attempt(run, '--output-mode', mode, *more, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_complete(run, mode)

    def assert_complete(self, run, mode='gather'):
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected(mode))
        self.assertTrue((run / '_SUCCESS').exists())
        self.succeed('verify', run)
        self.assertEqual(self.attempts_left(run), [])

    @staticmethod
    def attempts_left(run):
        return [str(path.relative_to(run)) for path in run.rglob('*') if path.name.endswith('.tmp')]

    @staticmethod
    def parts(run):
        return [path.name for path in (run / 'parts').glob('part-*.h5')]


def fault(call, path, after, **settings):
    """The environment in which the calls of the process of rank `rank` fail; see faults.cpp."""
    rank = settings.pop('rank', 0)
    return {'LD_PRELOAD': FAULTS, 'FAULT_RANK': str(rank), 'FAULT_CALL': call, 'FAULT_PATH': str(path),
            'FAULT_AFTER': str(after), **{f'FAULT_{name.upper()}': str(value) for name, value in settings.items()}}

