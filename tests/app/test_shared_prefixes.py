#!/usr/bin/env python3
"""What documents begin with alike is computed once, and results.h5 has the same bytes as if each were alone."""
import json
import random

from program import MODEL, TREE, ProgramTest, main

WORDS = (TREE / 'LICENSE').read_text(encoding='utf-8').split()


def text(draw, count):
    return ' '.join(draw.choice(WORDS) for _ in range(count))


def questions(count, seed):
    """Pairs: choices of questions, some after a few examples that all of them share; one choice twice, and some that
    differ in their last word only."""
    draw = random.Random(seed)
    examples = text(draw, 60) + '\n'
    records = []
    for q in range(count):
        context = (examples if q % 2 else '') + text(draw, draw.choice((1, 5, 40, 70)))
        choices = [' ' + text(draw, draw.randint(1, 12)) for _ in range(4)]
        choices += [choices[0], choices[1] + ' and', choices[1] + ' or']
        records += [{'context': context, 'continuation': choice} for choice in choices]
    draw.shuffle(records)
    return records


def letters(count, seed):
    """Documents under a few headers, some cut short, others longer than a window, and some that are alone."""
    draw = random.Random(seed)
    headers = [text(draw, length) for length in (20, 90, 120)]
    bodies = [draw.choice(headers) + ' ' + text(draw, draw.choice((1, 10, 30))) for _ in range(count)]
    bodies += [headers[1], headers[2][:200], headers[0] + ' ' + text(draw, 400), headers[0] + ' ' + text(draw, 500)]
    bodies += [text(draw, 30) for _ in range(10)]
    draw.shuffle(bodies)
    return [{'text': body} for body in bodies]


class SharedPrefixes(ProgramTest):
    def score(self, name, corpus, share, *more, ranks=0):
        run = self.folder / name
        self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', run, '--share-prefixes', share,
                     '--fresh', '--shard-documents', 64, *more, ranks=ranks)
        return (run / 'results.h5').read_bytes(), json.loads((run / 'summary.json').read_text())

    def compare(self, corpus, runs, *options, dtypes=('bf16', 'f32', 'int8')):
        for dtype in dtypes:
            one = (*options, '--dtype', dtype, *(['--int8-head'] if dtype == 'int8' else []))
            expected, alone = self.score(f'{dtype}-off', corpus, 'off', *one)
            self.assertEqual(alone['rows_shared'], 0)
            for i, (ranks, *more) in enumerate(runs if dtype == 'bf16' else runs[:1]):
                least = 0 if '--tokens-per-batch' in more else 0.3  # a small batch holds fewer of a family
                with self.subTest(dtype=dtype, ranks=ranks, more=more):
                    found, summary = self.score(f'{dtype}-{i}', corpus, 'on', *one, *more, ranks=ranks)
                    self.assertEqual(found, expected)
                    self.assertGreater(summary['rows_shared'], alone['rows_computed'] * least)
                    self.assertEqual(summary['rows_shared'] + summary['rows_computed'], alone['rows_computed'])

    def test_choices(self):
        corpus = self.write_jsonl('pairs.jsonl', questions(30, seed=1))
        fields = ('--context-field', 'context', '--continuation-field', 'continuation')
        self.compare(corpus, [(0, '--threads', 1), (2, '--layout', 'pp=2'), (2, '--layout', 'tp=2'),
                              (2, '--layout', 'dp=2', '--tokens-per-batch', 300), (4, '--layout', 'pp=2,tp=2'),
                              (0, '--tokens-per-batch', 40), (0, '--tokens-per-batch', 8000)],
                     *fields, '--per-token', '--top-k', 3)
        self.compare(corpus, [(0,)], *fields, '--bos', 'never', dtypes=('bf16',))

    def test_documents(self):
        corpus = self.write_jsonl('letters.jsonl', letters(80, seed=2))
        self.compare(corpus, [(0,), (3, '--layout', 'pp=3', '--tokens-per-batch', 500), (0, '--threads', 2)],
                     '--per-token', '--top-k', 2)
        self.compare(corpus, [(0,)], '--prefix-token', 'eos', '--per-token', dtypes=('bf16', 'f32'))

    def test_contexts_longer_than_a_batch(self):
        """Ten choices of which nine tenths are common: the longest document's tokens are known, and twice as many find
        room."""
        draw = random.Random(4)
        fields = ('--context-field', 'context', '--continuation-field', 'continuation')
        contexts = [text(draw, 80) for _ in range(6)]
        texts = [{'context': context, 'continuation': ' ' + text(draw, 9)} for context in contexts for _ in range(10)]
        corpus = self.folder / 'tokens.h5'
        self.succeed('import', '--input', self.write_jsonl('texts.jsonl', texts), '--output', corpus, '--model', MODEL,
                     *fields)
        expected, alone = self.score('off', corpus, 'off')
        for ranks, layout in ((0, 'dp=1'), (2, 'pp=2')):
            with self.subTest(layout=layout):
                found, summary = self.score(layout, corpus, 'on', '--tokens-per-batch', 32, '--layout', layout,
                                            ranks=ranks)
                self.assertEqual(found, expected)
                self.assertLess(3 * summary['rows_computed'], alone['rows_computed'])

    def test_nothing_in_common(self):
        draw = random.Random(3)
        corpus = self.write_jsonl('alone.jsonl', [{'text': text(draw, 20)} for _ in range(50)])
        expected, alone = self.score('off', corpus, 'off')
        found, summary = self.score('on', corpus, 'on')
        self.assertEqual(found, expected)
        self.assertEqual((summary['rows_shared'], summary['rows_computed']), (0, alone['rows_computed']))


if __name__ == '__main__':
    main()
