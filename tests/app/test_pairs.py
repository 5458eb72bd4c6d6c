"""Pairs of context and continuation as lm-evaluation-harness defines them, and rolling windows."""
import json
import math
import unittest

from program import MODEL, ProgramTest

PAIRS = [
    ('Once upon a time', ' there was a little girl.'),
    ('Once upon a time ', 'there was a little girl.'),   # white space at the end of a context moves over
    ('Once upon a time \n', 'there was a dog.'),
    ('', 'Once upon a time'),
    ('The cat', ''),
    ('The licence ' * 400, 'ends here.'),                # longer than the window: the context's end counts
    ('x', ' The licence grants rights.' * 300),          # a continuation longer than the window
]


class Pairs(ProgramTest):
    def score(self, name, records, *options):
        run = self.folder / name
        corpus = self.write_jsonl(f'{name}.jsonl', records)
        self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', run, '--dtype', 'f32', '--per-token',
                     *options)
        return [json.loads(line) for line in self.succeed('export', run, '--to', 'jsonl').stdout.splitlines()]

    def score_pairs(self, *options):
        return self.score('pairs', [{'context': c, 'continuation': t} for c, t in PAIRS], '--context-field', 'context',
                          '--continuation-field', 'continuation', *options)

    def test_a_continuation_scores_as_the_end_of_the_whole_text(self):
        whole = self.score('whole', [{'text': c + t} for c, t in PAIRS])
        for pair, text, (context, continuation) in zip(self.score_pairs(), whole, PAIRS):
            if pair['status'] != 'ok':
                continue
            with self.subTest(context=context[:20], continuation=continuation[:20]):
                count = pair['tokens']
                self.assertEqual(pair['token']['id'], text['token']['id'][-count:] if count else [])
                self.assertEqual(pair['token']['logprob'], text['token']['logprob'][-count:] if count else [])
                self.assertAlmostEqual(pair['logprob'], math.fsum(pair['token']['logprob']), places=4)
                self.assertEqual(pair['is_greedy'], all(rank == 0 for rank in pair['token']['rank']))
                self.assertEqual(pair['bytes'], len(continuation.encode()))

    def test_white_space_moves_to_the_continuation(self):
        rows = self.score_pairs()
        self.assertEqual(rows[0]['token']['id'], rows[1]['token']['id'])
        self.assertEqual(rows[0]['logprob'], rows[1]['logprob'])

    def test_long_pairs_are_windowed_and_whole(self):
        rows = self.score_pairs()
        self.assertEqual([row['status'] for row in rows], ['ok'] * 4 + ['rejected'] + ['windowed'] * 2)
        self.assertEqual(len(rows[6]['token']['id']), rows[6]['tokens'])
        self.assertGreater(rows[6]['tokens'], 512)

    def test_without_bos_an_empty_context_takes_the_models_own(self):
        with_bos, bare = self.score_pairs(), self.score('bare', [{'context': '', 'continuation': 'Once upon a time'}],
                                                        '--context-field', 'context', '--continuation-field',
                                                        'continuation', '--bos', 'never')
        self.assertEqual(with_bos[3]['logprob'], bare[0]['logprob'])

    def test_rolling_windows_score_every_token_once(self):
        text = 'Once upon a time there was a licence. ' * 200
        rolling = self.score('rolling', [{'text': text}], '--prefix-token', 'bos', '--window', '64')[0]
        plain = self.score('plain', [{'text': text}], '--window', '64', '--stride', '63')[0]
        self.assertEqual(rolling['status'], 'windowed')
        self.assertEqual(rolling['token']['id'], plain['token']['id'])
        self.assertEqual(rolling['token']['logprob'][:63], plain['token']['logprob'][:63])
        self.assertNotEqual(rolling['token']['logprob'][70:], plain['token']['logprob'][70:])


if __name__ == '__main__':
    unittest.main()
