"""A scorer that runs beside this process (peers.py) and is asked through pipes."""
import json
import queue
import subprocess
import threading
import time
from pathlib import Path

PEERS = Path(__file__).resolve().parent / 'peers.py'
PROBE = '''import json, torch, transformers, safetensors
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__,
                  "cuda": torch.cuda.is_available()}))'''


def probe(python):
    """What this Python has: versions and whether torch sees a GPU; a text saying why not otherwise."""
    try:
        done = subprocess.run([python, '-c', PROBE], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f'{python} ends with {done.returncode}'
    return json.loads(done.stdout.splitlines()[-1])


class Peer:
    """Answers arrive in the order of the commands; one that never comes is an error of that peer alone."""

    def __init__(self, kind, model, folder, arguments):
        self.kind, self.sent, self.answers, self.queue = kind, [], {}, queue.Queue()
        self.error = None
        more = ['--no-compile'] if arguments.no_compile else []
        with open(Path(folder) / f'peer-{kind}.log', 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen([arguments.python, '-B', PEERS, kind, model, folder, '--device',
                                             arguments.peer_device, *more], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put({'error': 'the process ended', 'ended': True})

    def send(self, command):
        self.sent.append(command)
        try:
            self.process.stdin.write(command + '\n')
            self.process.stdin.flush()
        except OSError as error:
            self.error = f'{self.kind}: {error}'

    def wait(self, until):
        """Takes the answers to everything sent, until a time.monotonic(); False when one is missing, and then the peer is
        gone."""
        while len(self.answers) < len(self.sent) and not self.error:
            try:
                answer = self.queue.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                self.error = f'no answer to "{self.sent[len(self.answers)]}" in time'
                break
            if answer.get('ended'):
                self.error = 'its process ended; see its log'
                break
            self.answers[len(self.answers)] = answer
        if self.error:
            self.end()
        return not self.error

    def ask(self, command, seconds):
        self.send(command)
        if not self.wait(time.monotonic() + seconds):
            return {'error': self.error}
        return self.answers[len(self.sent) - 1]

    def answer_to(self, command):
        return self.answers.get(self.sent.index(command)) if command in self.sent else None

    def end(self):
        self.process.kill()
        self.process.wait()
