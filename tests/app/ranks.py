"""Jobs on ranks that are meant to go wrong: started, disturbed, timed, and looked at for what they leave behind."""
import os
import subprocess
import time
from pathlib import Path

from program import MODEL, THRESHER, ProgramTest, documents

LIMIT = 60  # seconds within which a job that cannot go on has to end


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


def rank_of(process):
    """The rank of a process that runs thresher, else None."""
    try:
        if Path(f'/proc/{process}/exe').resolve() != Path(THRESHER).resolve():
            return None
        settings = Path(f'/proc/{process}/environ').read_bytes().split(b'\0')
    except OSError:
        return None
    ranks = [one.partition(b'=')[2] for one in settings if one.startswith(b'OMPI_COMM_WORLD_RANK=')]
    return int(ranks[0]) if ranks else None


class RanksTest(ProgramTest):
    """A corpus, its results on one rank without any fault, and jobs to compare with them."""

    documents = 60
    more_options = ()

    def setUp(self):
        super().setUp()
        self.mark = f'THRESHER_TEST_JOB={self.folder}'
        self.addCleanup(lambda: self.assertEqual(with_setting(self.mark), [], 'processes left'))
        self.corpus = self.folder / 'corpus.h5'
        texts = self.write_jsonl('texts.jsonl', documents(self.documents, seed=4))
        self.succeed('import', '--input', texts, '--output', self.corpus)
        self.expected = {mode: self.alone(mode) for mode in ('gather', 'sharded')}

    def alone(self, mode):
        run = self.folder / f'alone-{mode}'
        self.succeed(*self.score(run, '--output-mode', mode))
        return (run / 'results.h5').read_bytes()

    def score(self, run, *more):
        return ['score', '--model', MODEL, '--corpus', self.corpus, '--output', run, '--threads', '1',
                '--shard-documents', '4', '--per-token', *self.more_options, *more]

    def start(self, run, ranks, *more, env=None):
        """mpirun with files for its output; to be given to end()."""
        mark = dict([self.mark.split('=', 1)])
        command = ['mpirun', '-n', str(ranks), THRESHER, *map(str, self.score(run, *more))]
        with open(self.folder / 'stdout', 'w', encoding='utf-8') as out, \
                open(self.folder / 'stderr', 'w', encoding='utf-8') as err:
            job = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **mark, **(env or {})})
        self.addCleanup(self.stop, job)
        return job

    def stop(self, job):
        """What a failed test may have left: the processes of this test alone."""
        if job.poll() is None:
            job.kill()
            job.wait()
        for process in with_setting(self.mark):
            try:
                os.kill(process, 9)
            except ProcessLookupError:
                pass

    def end(self, job, limit=LIMIT):
        """Exit code, stderr and the seconds until the job and all its processes were gone."""
        start = time.monotonic()
        code = job.wait(timeout=limit)
        while left := with_setting(self.mark):
            self.assertLess(time.monotonic() - start, limit, f'processes {left} are left')
            time.sleep(0.02)
        seconds = time.monotonic() - start
        self.assertEqual(self.shared_files(), [])
        return code, (self.folder / 'stderr').read_text(encoding='utf-8'), seconds

    @staticmethod
    def shared_files():
        """What is left in the folder of this shell's shared memory."""
        folder = os.environ.get('OMPI_MCA_btl_vader_backing_directory')
        return sorted(str(path) for path in Path(folder).rglob('*')) if folder else []

    def same_after_restart(self, run, ranks, *more, mode='gather'):
        self.succeed(*self.score(run, '--output-mode', mode, *more), ranks=ranks)
        self.assertEqual((run / 'results.h5').read_bytes(), self.expected[mode])
        left = [path.name for path in [*run.iterdir(), *(run / 'parts').iterdir()] if path.name.endswith('.tmp')]
        self.assertEqual(left, [], 'attempts of failed ranks')
