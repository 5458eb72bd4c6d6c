#!/usr/bin/env python3
"""report.py OUTPUT [--table]: gathers what check.sh's steps left there into gpu.json; with --table prints the numbers."""
import json
import sys
from pathlib import Path

import streams


def last_json(file):
    """The JSON in a file's last line, or None."""
    try:
        return json.loads(Path(file).read_text(encoding='utf-8').strip().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return None


def gather(output):
    steps = [json.loads(line) for line in (output / 'steps.jsonl').read_text(encoding='utf-8').splitlines()]
    gpu = output / 'gpu.txt'
    found = {'gpu': gpu.read_text(encoding='utf-8').strip() if gpu.exists() else '',
             'wrong': sum(step['outcome'] == 'wrong' for step in steps), 'steps': steps}
    for name, pattern in (('bench', 'bench_*.log'), ('gate', 'gate_*.log'), ('head', 'head.log'),
                          ('side_by_side', 'side-*.json')):
        read = {file.stem: last_json(file) for file in sorted(output.glob(pattern)) if file.is_file()}
        found[name] = {key: value for key, value in read.items() if isinstance(value, dict)}
    idle = {}
    for side in found['side_by_side'].values():
        for stream, place in side.get('streams', {}).items():
            numbers = streams.numbers_named(place['systems'].get('thresher', {}).get('summary', {}), 'idle')
            if numbers:
                idle[f'{side["shape"]} {stream}'] = numbers
    found['idle'] = idle
    return found


def table(found):
    for name, bench in found['bench'].items():
        for dtype, peak in bench['peak'].items():
            print(f'{name}: {dtype} peak {peak / 1e12:.1f} TFLOP/s, {100 * peak / 989e12:.1f} % of 989')
        for step in bench['steps']:
            rate = step['flop'] / step['seconds'] / 1e12 if step['flop'] else step['bytes'] / step['seconds'] / 1e12
            unit = 'TFLOP/s' if step['flop'] else 'TB/s'
            share = f'{100 * step["peak_fraction"]:5.1f} % of peak' if step['flop'] else ''
            print(f'  {step["step"]:<16} {1e3 * step["seconds"]:>9.4f} ms x {step["calls"]:<4} {rate:>8.2f} {unit:<7} {share}')
        for score in bench['score']:
            print(f'  scoring          {score["tokens_per_second"]:.0f} tokens/s, {100 * score["peak_fraction"]:.1f} % of '
                  f'peak, {100 * score["flops_per_second"] / 989e12:.1f} % of 989')
    if found['side_by_side'] and not found['idle']:
        print('idle: summary.json does not tell')
    for name, numbers in found['idle'].items():
        for key, value in numbers.items():
            print(f'{name}: {key} {value}')


def main():
    output = Path(sys.argv[1])
    found = gather(output)
    new = output / 'gpu.json.new'
    new.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    new.replace(output / 'gpu.json')
    if '--table' in sys.argv:
        table(found)


if __name__ == '__main__':
    main()
