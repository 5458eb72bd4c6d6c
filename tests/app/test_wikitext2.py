"""Perplexity of WikiText-2 through the whole program, against the double-precision reference's."""
import json
import sys
import unittest

from program import MODEL, ProgramTest, TREE

sys.path.insert(0, str(TREE / 'tests' / 'reference'))
from wikitext2_text import articles  # noqa: E402

SHARED = TREE.parent / 'shared' / 'data'
TEXT = SHARED / 'wikitext2' / 'wiki.valid.tokens'
EXPECTED = json.loads((TREE / 'tests' / 'fixtures' / 'wikitext2.json').read_text())['models']


@unittest.skipUnless(TEXT.exists(), f'{TEXT} is not here: WikiText-2 is not part of the project')
class WikiText2(ProgramTest):
    """--dtype f32 has to agree to 1e-4 relative, per corpus and (articles) per document."""

    def check(self, label, name, corpus):
        model = MODEL if label == 'data/model' else SHARED / label.removeprefix('shared/data/')
        run = self.folder / f'{model.name}-{name}'
        self.succeed('score', '--model', model, '--corpus', corpus, '--output', run, '--dtype', 'f32', ranks=2)
        summary = json.loads((run / 'summary.json').read_text())
        expected = EXPECTED[label][name]
        self.assertEqual(summary['tokens'], expected['tokens'])
        self.assertLess(abs(summary['token_perplexity'] / expected['token_perplexity'] - 1), 1e-4)
        exported = self.succeed('export', run, '--to', 'jsonl').stdout.splitlines()
        for row, document in zip(map(json.loads, exported), expected['documents'], strict=True):
            self.assertEqual(row['status'], 'windowed' if row['tokens'] >= EXPECTED[label]['window'] else 'ok')
            self.assertEqual(row['tokens'], document['tokens'])
            self.assertLess(abs(row['logprob'] / document['logprob'] - 1), 1e-4)

    def test_perplexity(self):
        text = TEXT.read_text()
        documents = self.write_jsonl('articles.jsonl', [{'id': title, 'text': body} for title, body in articles(text)])
        self.succeed('import', '--input', documents, '--output', self.folder / 'articles.h5')
        self.succeed('import', '--format', 'files', '--input', TEXT, '--output', self.folder / 'stream.h5')
        for label in EXPECTED:
            for name in ('articles', 'stream'):
                with self.subTest(model=label, corpus=name):
                    self.check(label, name, self.folder / f'{name}.h5')


if __name__ == '__main__':
    unittest.main()
