"""Jobs on ranks that are meant to go wrong: started, disturbed, timed, and looked at for what they leave behind."""
import os
import signal
import subprocess
import time
from pathlib import Path

from program import MODEL, THRESHER, TIME_FACTOR, ProgramTest, documents

MARK = 'THRESHER_TEST_JOB'  # in the environment of every process of a job
LIMIT = 60 * TIME_FACTOR  # seconds within which a job that cannot go on has to end


def processes():
    return [int(entry.name) for entry in Path('/proc').iterdir() if entry.name.isdigit()]


def with_setting(setting):
    """Process ids that have `setting` (NAME=value) in their environment, in any namespace."""
    found = []
    for process in processes():
        try:
            settings = Path(f'/proc/{process}/environ').read_bytes().split(b'\0')
        except OSError:
            continue
        if setting.encode() in settings:
            found.append(process)
    return sorted(found)


def process_of(run, rank):
    """The process of a rank of the job in `run`, None if there is none."""
    for process in with_setting(f'{MARK}={run}'):
        try:
            if f'OMPI_COMM_WORLD_RANK={rank}'.encode() in Path(f'/proc/{process}/environ').read_bytes().split(b'\0'):
                return process
        except OSError:
            continue
    return None


def children(parent):
    """Process ids whose parent is `parent`."""
    found = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / 'stat').read_text().rpartition(')')[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return sorted(found)


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


class RanksTest(ProgramTest):
    """A corpus, its results on one rank without any fault, and jobs to compare with them."""

    documents = 60
    options = ()
    results = None  # of one rank, by output mode; the same for all tests of a class

    def setUp(self):
        super().setUp()
        self.corpus = self.folder / 'corpus.h5'
        texts = self.write_jsonl('texts.jsonl', documents(self.documents, seed=4))
        self.succeed('import', '--input', texts, '--output', self.corpus)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.results = {}

    def expected(self, mode):
        """The bytes of one rank's results."""
        if mode not in self.results:
            run = self.folder / f'alone-{mode}'
            self.succeed(*self.score(run, '--output-mode', mode))
            self.results[mode] = (run / 'results.h5').read_bytes()
        return self.results[mode]

    def score(self, run, *more):
        return ['score', '--model', MODEL, '--corpus', self.corpus, '--output', run, '--threads', '1',
                '--shard-documents', '4', '--per-token', *self.options, *more]

    @staticmethod
    def mark(run):
        return f'{MARK}={run}'

    def start(self, run, ranks, *more, launcher=None, env=None):
        """mpirun, to be given to end(); its output goes to files beside the run directory."""
        command = [*(launcher or ['mpirun', '-n', str(ranks)]), '-x', MARK, THRESHER, *map(str, self.score(run, *more))]
        with open(f'{run}.out', 'w', encoding='utf-8') as out, open(f'{run}.err', 'w', encoding='utf-8') as err:
            job = subprocess.Popen(command, stdout=out, stderr=err,
                                   env={**os.environ, MARK: str(run), **(env or {})})
        self.addCleanup(self.stop, job, run)
        return job

    def stop(self, job, run):
        """Ends what a failed test may have left of this job."""
        if job.poll() is None:
            job.kill()
            job.wait()
        for process in with_setting(self.mark(run)):
            try:
                os.kill(process, 9)
            except ProcessLookupError:
                pass

    def end(self, job, run, limit=LIMIT):
        """Exit code, stderr, and the seconds until the job and all its processes were gone."""
        start = time.monotonic()
        code = job.wait(timeout=limit)
        while left := with_setting(self.mark(run)):
            self.assertLess(time.monotonic() - start, limit, f'processes {left} are left')
            time.sleep(0.02)
        return code, Path(f'{run}.err').read_text(encoding='utf-8'), time.monotonic() - start

    @staticmethod
    def shared_files():
        """What is left in the folder of this shell's shared memory."""
        folder = os.environ.get('OMPI_MCA_btl_vader_backing_directory')
        return sorted(str(path) for path in Path(folder).rglob('*')) if folder else []

    def same_after_restart(self, run, ranks, *more, mode='gather'):
        self.succeed(*self.score(run, '--output-mode', mode, *more), ranks=ranks)
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected(mode))
        left = [path.name for path in [*run.iterdir(), *(run / 'parts').iterdir()] if path.name.endswith('.tmp')]
        self.assertEqual(left, [], 'attempts of failed ranks')
