"""One bad (or just good) input: the command that reads it, and what has to come of it."""
import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
FIXTURES = TREE / 'tests' / 'fixtures' / 'models'
MACHINE = TREE / 'configs' / 'h100x8.json'
THRESHER = os.environ.get('THRESHER', str(TREE / 'build' / 'release' / 'thresher'))

DOCUMENTED = {0, 64, 65, 66, 69, 71, 73, 74, 75, 77, 78}  # and 1 and 70, which no input may cause
MEMORY = 256 << 20        # and twice the file
SECONDS = float(os.environ.get('THRESHER_HOSTILE_SECONDS', 5))  # of a processor
HANGING = 20 * SECONDS    # of the clock: a disk that others use may stand still for a while


@dataclass
class Case:
    name: str
    words: list                 # the program's arguments
    code: object = None         # an exit code, a set of them, or None: any documented one
    message: str = ''           # a part of what is printed as the error
    data: Path = None           # the input, for the bound on memory
    good: object = None         # called where the exit code is 0: what is wrong with what was made, or ''
    after: object = None        # the same, whatever the exit code
    env: dict = field(default_factory=dict)


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    seconds: float
    work: float
    memory: int


def size_of(path):
    if path is None:
        return 0
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def run(case):
    """Runs the case's command with a limit of time; the streams go to files, which may get long. Each has a folder of its
    own for MPI: two processes that begin or end at the same moment make and remove the same one, and trip over it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.TemporaryDirectory(prefix='thresher-mpi-') as own:
        begin = time.monotonic()
        process = subprocess.Popen([THRESHER, *map(str, case.words)], stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                   env={**os.environ, 'OMPI_MCA_orte_tmpdir_base': own, **case.env},
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        status, usage, ended = 0, None, 0
        while not ended:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not ended:
                if time.monotonic() - begin > HANGING:
                    process.kill()
                    ended, status, usage = os.wait4(process.pid, 0)
                    break
                time.sleep(0.003)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read(1 << 20).decode('utf-8', 'replace'))
        return Outcome(process.returncode, *texts, time.monotonic() - begin, usage.ru_utime + usage.ru_stime,
                       usage.ru_maxrss << 10)


def problems_of(case, outcome):
    """What is wrong with the outcome, as a list of texts."""
    found = []
    codes = case.code if isinstance(case.code, set) else DOCUMENTED if case.code is None else {case.code}
    if outcome.seconds > HANGING:
        found.append(f'not done after {HANGING:g} s')
    elif outcome.work > SECONDS:
        found.append(f'took {outcome.work:.1f} s of processors, allowed are {SECONDS:g}')
    elif outcome.code < 0:
        found.append(f'died of signal {-outcome.code}')
    elif outcome.code not in codes:
        found.append(f'exit code {outcome.code}, expected {sorted(codes)}')
    messages = outcome.err.count('thresher: error:')
    expected = 0 if outcome.code in (0, 75) else 1
    if outcome.code >= 0 and messages != expected:
        found.append(f'{messages} error messages, expected {expected}')
    if case.message not in outcome.err + outcome.out:
        found.append(f'no "{case.message}"')
    allowed = 2 * size_of(case.data) + MEMORY
    if outcome.memory > allowed:
        found.append(f'{outcome.memory >> 20} MiB of memory, allowed are {allowed >> 20}')
    for check in (case.good if outcome.code == 0 else None, case.after):
        wrong = check(outcome) if check and not found else ''
        if wrong:
            found.append(wrong)
    return found


def report(case, outcome, found):
    return f'{case.name}: {"; ".join(found)}\n    {outcome.err.strip()[:400] or outcome.out.strip()[:200]}'


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode('utf-8', 'surrogatepass'))
    return path
