#!/usr/bin/env python3
"""side_by_side.py THRESHER: `thresher score` and PyTorch scorers on the same model and the same tokens, in turns.

The model has random weights (`thresher bench --make-model`), the streams are those of streams.py. Work: the f32
log-probability of every token but a document's first, on the host. Time: of thresher `score_seconds` of summary.json, from
the first lease to the last commit, so with reading the corpus, ranks, entropies and writing the results; of the peers
from token ids to the numbers, both in host memory. Without load, compilation and choice of algorithms, which are
apart. Systems take turns forwards and backwards (A B C C B A ...). Writes OUTPUT/side-SHAPE.json after every
measurement, a table at the end, and exits with 1 where thresher's numbers are wrong.
"""
import argparse
import json
import math
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import nvml
import peer
import streams

TOKENS = {'llama-1b': {'fixed': 409600, 'web': 400000, 'short': 250000}, 'llama-8b': {'fixed': 131072, 'web': 130000,
                                                                                    'short': 100000}}
# How many times as fast as a peer; least share of 989 TFLOP/s and the goal beyond.
MFU_GOALS = {('llama-1b', 'fixed'): (0.52, 0.65), ('llama-8b', 'fixed'): (0.60, 0.70)}
GOALS = {('fixed', 'hf-compiled'): 1.3, ('web', 'hf-compiled'): 2.0}
SPEC_PEAK = 989e12  # bf16 of an H100 or H200 SXM
# Of the mean log-probability of a token, against a peer in bf16: both are near f32, see gate.py.
MEAN_LIMIT = 0.02


class SideBySide:
    def __init__(self, arguments):
        self.arguments = arguments
        self.output = Path(arguments.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.folder = self.output / f'side-{arguments.shape}'
        self.folder.mkdir(exist_ok=True)
        self.model = Path(arguments.models) / arguments.shape
        self.gpu = nvml.Gpu()
        self.peers = []
        self.until = time.monotonic() + arguments.seconds
        self.result = {'shape': arguments.shape, 'streams': {}, 'peers': {}, 'notes': [], 'wrong': []}

    def note(self, text):
        self.result['notes'].append(text)
        print(text, flush=True)
        self.write()

    def write(self):
        file = self.output / f'side-{self.arguments.shape}.json'
        new = file.with_suffix('.new')
        new.write_text(json.dumps(self.result), encoding='utf-8')
        new.replace(file)

    def thresher(self, *words):
        return subprocess.run([self.arguments.thresher, *map(str, words)], capture_output=True, text=True, check=False,
                              timeout=max(10, self.until - time.monotonic()))

    def checked(self, *words):
        done = self.thresher(*words)
        if done.returncode != 0:
            raise RuntimeError(f'thresher {words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}')
        return done

    def make(self):
        if not (self.model / 'config.json').exists():
            shutil.rmtree(self.model, ignore_errors=True)
            self.checked('bench', '--shape', self.arguments.shape, '--make-model', self.model)
        self.config = json.loads((self.model / 'config.json').read_text(encoding='utf-8'))
        streams.write_tokenizer(self.model, self.config['vocab_size'])
        for kind in self.arguments.streams:
            tokens = self.arguments.tokens or TOKENS.get(self.arguments.shape, TOKENS['llama-1b'])[kind]
            streams.make(self.folder, kind, tokens, self.config)
            self.checked('import', '--input', self.folder / f'{kind}.jsonl', '--model', self.model, '--output',
                         self.folder / f'{kind}.h5')
            lengths = [len(document) for document in streams.read(self.folder, kind)]
            self.result['streams'][kind] = {'documents': len(lengths), 'tokens': sum(lengths),
                                            'flop': streams.flops(self.config, lengths), 'systems': {}}

    def start_peers(self):
        if not self.arguments.peers:
            return
        found = peer.probe(self.arguments.python)
        if isinstance(found, str):
            self.note(f'peers not run: no torch and transformers ({found})')
            return
        self.result['python'] = found
        if self.arguments.peer_device == 'cuda' and not found['cuda']:
            self.note('peers not run: torch sees no GPU')
            return
        for kind in self.arguments.peers:
            one = peer.Peer(kind, self.model, self.folder, self.arguments)
            if kind == self.arguments.reference:
                streams.make(self.folder, 'gate', min(4096, self.arguments.tokens or 4096), self.config)
                one.send(f'reference gate {self.output / "reference-here.json"}')
            for stream in self.arguments.streams:
                one.send(f'prepare {stream}')
            self.peers.append(one)

    def wait_for_peers(self):
        until = min(time.monotonic() + self.arguments.prepare_seconds, self.until)
        for one in list(self.peers):
            ready = one.wait(until)
            self.result['peers'][one.kind] = dict(zip(one.sent, one.answers.values()))
            if not ready:
                self.peers.remove(one)
                self.note(f'{one.kind} left out: {one.error}')
        self.write()

    def wait_to_go(self):
        go = self.arguments.go
        while go and not Path(go).exists() and time.monotonic() < self.until:
            time.sleep(0.1)
        if go and Path(go).exists():
            self.until = min(self.until, time.monotonic() + float(Path(go).read_text(encoding='utf-8')))

    def ours(self, stream):
        run = self.folder / f'run-{stream}'
        shutil.rmtree(run, ignore_errors=True)
        begin, energy = time.monotonic(), self.gpu.joules()
        with nvml.Watch(self.gpu) as watch:
            done = self.thresher('score', '--model', self.model, '--corpus', self.folder / f'{stream}.h5', '--output', run,
                                 '--dtype', 'bf16', '--device', self.arguments.device, '--per-token')
        whole = time.monotonic() - begin
        if done.returncode != 0:
            return {'error': f'exit {done.returncode}: {done.stderr.strip()[-300:]}'}
        summary = json.loads((run / 'summary.json').read_text(encoding='utf-8'))
        found = {'seconds': summary['score_seconds'], 'scored': summary['tokens'], 'logprob': summary['logprob'],
                 'whole_seconds': whole, 'peak_gpu_bytes': watch.grown(), 'summary': summary}
        if energy is not None:
            found['whole_joules'] = self.gpu.joules() - energy  # of the whole process, load included
        told = [value for name, value in streams.numbers_named(summary, 'joules').items()]
        if told:
            found['joules'] = told[0]
        return found

    def measure(self, stream):
        """Rounds of all systems, forwards and backwards by turns, as many as were asked for or time allows."""
        place = self.result['streams'][stream]
        self.ours(stream)  # what is chosen once is chosen now
        usable = [one for one in self.peers if 'error' not in (one.answer_to(f'prepare {stream}') or {'error': ''})]
        share = (self.until - time.monotonic()) / self.left(stream)
        end, longest = time.monotonic() + share, 0
        for number in range(self.arguments.repeats):
            begin = time.monotonic()
            if number > 0 and begin + longest > end:
                self.note(f'{stream}: {number} of {self.arguments.repeats} repeats, for time')
                break
            order = [None, *usable]
            for one in order if number % 2 == 0 else order[::-1]:
                name = one.kind if one else 'thresher'
                found = one.ask(f'measure {stream}', self.until + 30 - time.monotonic()) if one else self.ours(stream)
                self.take(place, name, found)
            usable = [one for one in usable if not one.error]
            longest = max(longest, time.monotonic() - begin)

    def left(self, stream):
        return len(self.arguments.streams) - self.arguments.streams.index(stream)

    def take(self, place, name, found):
        system = place['systems'].setdefault(name, {'seconds': [], 'joules': [], 'peak_gpu_bytes': 0})
        if 'error' in found:
            system['error'] = found['error']
            if name == 'thresher':
                self.result['wrong'].append(f'thresher: {found["error"]}')
            self.note(f'{name} failed: {found["error"]}')
            return
        system['seconds'].append(found['seconds'])
        if found.get('joules') is not None:
            system['joules'].append(found['joules'])
        system['peak_gpu_bytes'] = max(system['peak_gpu_bytes'], found.get('peak_gpu_bytes') or 0)
        for key in ('scored', 'logprob', 'whole_seconds', 'whole_joules', 'summary'):
            if key in found:
                system[key] = found[key]
        middle = statistics.median(system['seconds'])
        system['median_seconds'] = middle
        system['spread'] = (max(system['seconds']) - min(system['seconds'])) / middle
        system['tokens_per_second'] = place['tokens'] / middle
        system['flops_per_second'] = place['flop'] / middle
        system['mfu_989'] = system['flops_per_second'] / SPEC_PEAK
        if self.arguments.peak:
            system['share_of_peak'] = system['flops_per_second'] / self.arguments.peak
        self.write()

    def judge(self, stream):
        place = self.result['streams'][stream]
        ours = place['systems'].get('thresher', {})
        if 'scored' not in ours:
            return
        expected = place['tokens'] - place['documents']
        if ours['scored'] != expected or not math.isfinite(ours['logprob']):
            self.result['wrong'].append(f'{stream}: thresher scored {ours["scored"]} tokens of {expected}, '
                                        f'sum {ours["logprob"]}')
        apart = {name: abs(system['logprob'] - ours['logprob']) / expected
                 for name, system in place['systems'].items() if name != 'thresher' and 'logprob' in system}
        place['mean_logprob_apart'] = apart
        if apart and min(apart.values()) > MEAN_LIMIT:
            self.result['wrong'].append(f'{stream}: thresher\'s mean log-probability is {min(apart.values()):.3f} from '
                                        'every peer\'s')
        place['times'] = {name: system['median_seconds'] / ours['median_seconds']
                          for name, system in place['systems'].items() if name != 'thresher' and 'scored' in system}

    def table(self):
        print(f'{self.arguments.shape}, bf16: tokens/s (median), spread of repeats, FLOP/s of 989e12 and of the measured '
              'peak, GPU memory, J/1000 tokens')
        for stream, place in self.result['streams'].items():
            for name, system in place['systems'].items():
                if 'median_seconds' not in system:
                    print(f'  {stream:<6} {name:<12} failed')
                    continue
                energy = statistics.median(system['joules']) / place['tokens'] * 1000 if system['joules'] else math.nan
                print(f'  {stream:<6} {name:<12} {system["tokens_per_second"]:>10.0f} +-{50 * system["spread"]:>5.1f} % '
                      f'{100 * system["mfu_989"]:>5.1f} % {100 * system.get("share_of_peak", math.nan):>5.1f} % '
                      f'{system["peak_gpu_bytes"] / 2**30:>6.2f} GiB {energy:>7.2f} ({len(system["seconds"])} x '
                      f'{system["median_seconds"]:.2f} s)')
            least = MFU_GOALS.get((self.arguments.shape, stream))
            reached = place['systems'].get('thresher', {}).get('mfu_989')
            if least and reached:
                print(f'  {stream:<6} thresher reaches {100 * reached:.1f} % of 989 TFLOP/s (at least {100 * least[0]:.0f}: '
                      f'{"met" if reached >= least[0] else "NOT MET"}; goal {100 * least[1]:.0f}: '
                      f'{"met" if reached >= least[1] else "NOT MET"})')
            for name, ratio in place.get('times', {}).items():
                goal = GOALS.get((stream, name)) if self.arguments.shape.startswith('llama-') else None
                met = '' if goal is None else f' (goal {goal}: {"met" if ratio >= goal else "NOT MET"})'
                print(f'  {stream:<6} thresher is {ratio:.2f} times as fast as {name}{met}')

    def run(self):
        try:
            self.make()
            self.start_peers()
            self.wait_for_peers()
            if self.arguments.ready:
                Path(self.arguments.ready).touch()
            self.wait_to_go()
            if self.arguments.peak_file and Path(self.arguments.peak_file).exists():
                peak = json.loads(Path(self.arguments.peak_file).read_text(encoding='utf-8').splitlines()[-1])['peak']
                self.arguments.peak = self.result['peak'] = peak['bf16']
            for stream in self.arguments.streams:
                if time.monotonic() > self.until:
                    self.note(f'{stream}: left out for time')
                    continue
                self.measure(stream)
                self.judge(stream)
                self.write()
        except subprocess.TimeoutExpired as error:
            self.note(f'cut off for time: {" ".join(map(str, error.cmd[:2]))}')
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            self.result['wrong'].append(f'{type(error).__name__}: {error}')
        finally:
            for one in self.peers:
                one.end()
        self.write()
        self.table()
        for line in self.result['wrong']:
            print('WRONG', line)
        code = 1 if self.result['wrong'] else 0
        (self.output / f'side-{self.arguments.shape}.exit').write_text(f'{code}\n', encoding='utf-8')
        return code


def words(text):
    return [word for word in text.split(',') if word]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('thresher')
    parser.add_argument('--output', required=True)
    parser.add_argument('--models', required=True, help='folder that has, or gets, the model')
    parser.add_argument('--shape', default='llama-1b')
    parser.add_argument('--streams', type=words, default=['fixed', 'web', 'short'])
    parser.add_argument('--peers', type=words, default=['hf', 'hf-compiled', 'packed'])
    parser.add_argument('--reference', default='', help='the peer that writes reference-here.json, for gate.py')
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--peer-device', default='cuda')
    parser.add_argument('--python', default='python3', help='the one with torch')
    parser.add_argument('--no-compile', action='store_true')
    parser.add_argument('--tokens', type=int, help='of each stream')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=300, help='from the start to the end')
    parser.add_argument('--prepare-seconds', type=float, default=200, help='until the peers have to be ready')
    parser.add_argument('--ready', help='file to make when everything is prepared')
    parser.add_argument('--go', help='file to wait for before anything is measured; it holds the seconds for that')
    parser.add_argument('--peak-file', help='output of thresher bench --json')
    parser.set_defaults(peak=None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(SideBySide(parser.parse_args()).run())


if __name__ == '__main__':
    main()
