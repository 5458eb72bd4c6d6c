"""tokenizer.json. `plan` reads one and encodes a sample, without ranks and in milliseconds."""
import copy
import json
import os

from case import FIXTURES, MACHINE, Case, write
from corpus import good_corpus


def added(content='<s>', token=0, **more):
    return {'id': token, 'content': content, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
            'special': True, **more}


def small():
    """A tokenizer that loads, to be spoilt in one place."""
    return {'version': '1.0', 'added_tokens': [added('<s>', 4)],
            'normalizer': {'type': 'Replace', 'pattern': {'String': 'x'}, 'content': 'y'},
            'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': 'a+'}, 'behavior': 'Isolated', 'invert': False},
            'post_processor': {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<s>', 'type_id': 0}},
                                                                        {'Sequence': {'id': 'A', 'type_id': 0}}],
                               'pair': [], 'special_tokens': {'<s>': {'id': '<s>', 'ids': [4], 'tokens': ['<s>']}}},
            'decoder': {'type': 'Fuse'},
            'model': {'type': 'BPE', 'unk_token': 'u', 'vocab': {'a': 0, 'b': 1, 'ab': 2, 'u': 3}, 'merges': ['a b']}}


def changed(path, value):
    root = small()
    place = root
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(root)


MODEL, VOCAB, MERGES = ('model',), ('model', 'vocab'), ('model', 'merges')


def vocabularies():
    for bad in (-1, 1.5, '1', None, True, [], {}, 2 ** 22, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64, -2 ** 63):
        yield f'id {bad!r}', changed(VOCAB, {'a': 0, 'b': 1, 'ab': 2, 'u': bad}), 65, 'model.vocab'
    yield 'highest id', changed(VOCAB, {'a': 0, 'b': 1, 'ab': 2, 'u': 2 ** 22 - 1}), {0, 65}, ''
    yield 'gap', changed(VOCAB, {'a': 0, 'b': 1, 'ab': 2, 'u': 300}), 0, 'layout'
    yield 'the same id twice', changed(VOCAB, {'a': 0, 'b': 1, 'ab': 2, 'u': 1}), 65, 'gives id 1'
    yield 'the same token twice', changed(VOCAB, 'HERE').replace('"HERE"', '{"a":0,"b":1,"ab":2,"u":3,"a":9}'), 65, 'twice'
    for bad in ([], 7, 'x', True):
        yield f'vocabulary {bad!r}', changed(VOCAB, bad), 65, 'model.vocab'
    yield 'no vocabulary', changed(VOCAB, None), 65, 'model.vocab'
    yield 'empty vocabulary', changed(VOCAB, {}), 65, 'not in model.vocab'
    yield 'lone surrogate', changed(VOCAB, {'\ud800': 0, 'a': 1, 'b': 2, 'ab': 3, 'u': 4}), 65, 'is not JSON'
    for bad in (['a'], ['a', 'b', 'c'], 'ab', 'a b c', 7, None, {}, [7, 8], [['a'], 'b'], []):
        yield f'merge {bad!r}', changed(MERGES, [bad]), 65, 'model.merges'
    for bad in ('a q', 'q a', 'u u', ' ', 'a ', ' a'):
        yield f'merge of unknown tokens {bad!r}', changed(MERGES, [bad]), 65, 'not in model.vocab'
    for bad in (None, 7, 'x', {}, True):
        yield f'merges {bad!r}', changed(MERGES, bad), 65, 'model.merges'
    yield '100,000 times the same merge', changed(MERGES, ['a b'] * 100000), {0, 65}, ''
    yield 'a merge shorter than its prefix', changed(MODEL, {**small()['model'], 'continuing_subword_prefix': '####'}), 65, \
        'shorter than'
    for field, bad in (('unk_token', 7), ('fuse_unk', 'x'), ('byte_fallback', 1), ('ignore_merges', []), ('dropout', 0.5),
                       ('dropout', 'x'), ('end_of_word_suffix', 7), ('type', 7), ('type', 'Magic'), ('type', '')):
        yield f'{field} {bad!r}', changed(MODEL, {**small()['model'], field: bad}), {65, 78}, field
    for bad in ('<0x-1>', '<0x100>', '<0x>', '<0xGG>', '<0x 1>', '<0x+1>', '<0x0A', '0x0A>', '<0x00000A>'):
        yield f'byte token {bad}', changed(MODEL, {**small()['model'], 'byte_fallback': True,
                                                   'vocab': {'a': 0, 'b': 1, 'ab': 2, 'u': 3, bad: 5}}), {0, 65}, ''
    yield 'a token of a million characters', changed(VOCAB, {'a': 0, 'b': 1, 'ab': 2, 'u': 3, 'q' * 1000000: 5}), 0, 'layout'
    unigram = {'type': 'Unigram', 'unk_id': 0, 'vocab': [['u', 0.0], ['a', -1.0], ['b', -2.0]], 'byte_fallback': False}
    for bad in (-1, 3, 2 ** 32, 2 ** 63, 1.5, '0'):
        yield f'unk_id {bad!r}', changed(MODEL, {**unigram, 'unk_id': bad}), 65, 'unk_id'
    for bad in (['a'], ['a', 1, 2], ['a', 'b'], [1, 2], 'ab', None, ['a', None]):
        yield f'piece {bad!r}', changed(MODEL, {**unigram, 'vocab': [['u', 0.0], bad]}), 65, 'model.vocab'
    for number in ('1e308', '-1e308', '1e-400', '-0.0', '1' * 300):
        text = changed(MODEL, {**unigram, 'vocab': [['u', 0.0], ['a', 'HERE']]}).replace('"HERE"', number)
        yield f'score {number[:9]}', text, {0, 65}, ''
    yield 'score 1e999', changed(MODEL, {**unigram, 'vocab': [['u', 0.0], ['a', 'H']]}).replace('"H"', '1e999'), 65, 'JSON'
    wordpiece = {'type': 'WordPiece', 'unk_token': 'u', 'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100,
                 'vocab': {'u': 0, 'a': 1}}
    for bad in (-1, 2 ** 31, 2 ** 64, '1', 1.5):
        yield f'word length {bad!r}', changed(MODEL, {**wordpiece, 'max_input_chars_per_word': bad}), 65, 'max_input_chars'


def patterns():
    split = ('pre_tokenizer', 'pattern')
    for bad in ('(', ')', '[', 'a{2,1}', '(?<n', '\\', '*', '(?P<n>a)(?P<n>b)', '[z-a]', '(?R)', '\\p{Nope}', '\\C',
                '(?C1)', '(*LIMIT_MATCH=4000000000)a', '(*UTF8)a', '(?{code})', '[[:nope:]]', '\\x{110000}', '\\x{d800}',
                '(?<=a*)b', '\\g<9>', '\\k<n>', 'a' * 70000 + '(', '(' * 300 + ')' * 300, '(?:a{1000}){1000}{1000}',
                '((a{65535}){65535}){65535}', '[' * 2000, '(?i' * 500, '\\Q', '(?#'):
        yield f'pattern {bad[:30]!r}', changed(split, {'Regex': bad}), {65, 78}, 'pre_tokenizer'
    for bad in ('(a+)+$', '(a*)*b', '(a|a)*b', '(a|aa)+$', '(.*)*x', '(?:a?){40}a{40}', '(x+x+)+y', '((a+)+)+b',
                '(?=(a+))a*b\\1'):
        yield f'catastrophic pattern {bad}', changed(split, {'Regex': bad}), {0, 65, 78}, ''
    for bad in ({}, {'Regex': 7}, {'String': None}, {'Regex': None}, [], 'a', None, 7):
        yield f'pattern {bad!r}', changed(split, bad), 65, 'pre_tokenizer.pattern'
    yield 'pattern with NUL', changed(split, {'Regex': 'a\0b'}), {0, 65, 78}, ''
    yield 'pattern of a million characters', changed(split, {'Regex': 'ab|' * 330000 + 'a'}), {0, 65, 78}, ''
    for field, bad in (('behavior', 'Magic'), ('behavior', 7), ('invert', 'x'), ('type', 'Magic'), ('type', 7), ('type', None)):
        yield f'pre_tokenizer {field} {bad!r}', changed(('pre_tokenizer', field), bad), {65, 78}, 'pre_tokenizer'
    deep = small()['pre_tokenizer']
    for _ in range(20):
        deep = {'type': 'Sequence', 'pretokenizers': [deep]}
    yield '20 sequences in each other', changed(('pre_tokenizer',), deep), {0, 65, 78}, ''
    many = {'type': 'Sequence', 'pretokenizers': [small()['pre_tokenizer']] * 2000}
    yield '2,000 pre-tokenizers', changed(('pre_tokenizer',), many), {0, 65, 78}, ''
    grow = {'type': 'Replace', 'pattern': {'String': 'a'}, 'content': 'aaaaaaaaaaaaaaaa'}
    for count in (3, 12):
        yield f'{count} normalisers that multiply by 16', changed(
            ('normalizer',), {'type': 'Sequence', 'normalizers': [grow] * count}), {0, 65, 71, 78}, ''
    yield 'normaliser of the empty string', changed(('normalizer',), {**grow, 'pattern': {'String': ''}}), {0, 65, 78}, ''
    yield 'normaliser of the empty match', changed(('normalizer',), {**grow, 'pattern': {'Regex': ''}}), {0, 65, 78}, ''
    yield 'Precompiled, not base64', changed(('normalizer',), {'type': 'Precompiled', 'precompiled_charsmap': '!!'}), 65, \
        'normalizer'
    for charsmap in ('', 'AAAA', '////', '/////w==', 'BAAAAAAAAAA=', 'AQAAAA=='):
        yield f'Precompiled {charsmap!r}', changed(('normalizer',), {'type': 'Precompiled', 'precompiled_charsmap': charsmap}), \
            {0, 65}, ''


def rest():
    for bad in (-1, 1.5, 'x', None, 2 ** 22, 2 ** 63, 2 ** 64):
        yield f'added id {bad!r}', changed(('added_tokens',), [added(token=bad)]), 65, 'added_tokens'
    for field in ('content', 'single_word', 'lstrip', 'rstrip', 'normalized', 'special', 'id'):
        lacking = {k: v for k, v in added('<s>', 4).items() if k != field}
        yield f'added token without {field}', changed(('added_tokens',), [lacking]), 65, 'added_tokens'
        yield f'added token with {field} {{}}', changed(('added_tokens',), [{**added('<s>', 4), field: {}}]), 65, 'added_tokens'
    for bad in ({}, 7, 'x', [7], [None], [[]]):
        yield f'added tokens {bad!r}', changed(('added_tokens',), bad), 65, 'added_tokens'
    yield '20,000 added tokens', changed(('added_tokens',), [added('<s>', 4)] + [added(f'<{i}>', 5 + i) for i in range(20000)]), \
        {0, 65}, ''
    yield 'an added token of a million bytes', changed(('added_tokens',), [added('<s>', 4), added('q' * 1000000, 5)]), 0, 'layout'
    yield 'added tokens that are equal once normalised', changed(
        ('added_tokens',), [added('<s>', 4), added('x', 5, normalized=True), added('y', 6, normalized=True)]), 65, 'equal to'
    for field, bad in (('single', []), ('single', 7), ('single', [{}]), ('single', [{'Sequence': {'id': 'B', 'type_id': 0}}]),
                       ('special_tokens', {}), ('special_tokens', 7), ('type', 'Magic'), ('type', None),
                       ('special_tokens', {'<s>': {'ids': [-1]}}), ('special_tokens', {'<s>': {'ids': [9999]}}),
                       ('special_tokens', {'<s>': {'ids': [2 ** 40]}}), ('special_tokens', {'<s>': {'ids': ['x']}}),
                       ('special_tokens', {'<s>': {'ids': [4] * 2000}})):
        yield f'post-processor with {field} {json.dumps(bad)[:40]}', changed(('post_processor', field), bad), {65, 78}, \
            'post_processor'
    for bad in ({'type': 'Magic'}, {'type': 7}, 7, [], 'x', {'type': 'Sequence'}, {'type': 'Sequence', 'decoders': 7},
                {'type': 'Strip', 'content': '', 'start': 0, 'stop': 0}, {'type': 'Strip', 'content': 'ab', 'start': 0, 'stop': 0},
                {'type': 'Strip', 'content': 'a', 'start': -1, 'stop': 0}, {'type': 'WordPiece'}):
        yield f'decoder {json.dumps(bad)[:50]}', changed(('decoder',), bad), {65, 78}, 'decoder'
    yield 'decoder that takes 2^63 away', changed(
        ('decoder',), {'type': 'Strip', 'content': 'a', 'start': 2 ** 63, 'stop': 0}), 65, 'decoder'
    for bad in ('2.0', 1.0, {}):
        yield f'version {bad!r}', changed(('version',), bad), {65, 78}, 'version'


def texts():
    good = json.dumps(small())
    yield 'good', good, 0, 'layout'
    yield 'empty', '', 65, 'not JSON'
    yield 'NUL', '\0', 65, 'zero byte'
    for text in ('[]', '1', 'null', '""', '{}', '{"model":null}'):
        yield text, text, 65, 'tokenizer.json'
    yield 'cut', good[:-1], 65, 'not JSON'
    yield 'more behind', good + '{}', 65, 'not JSON'
    yield 'NUL and more behind', good + '\0{}', 65, 'zero byte'
    yield 'byte order mark', '\ufeff' + good, {0, 65}, ''
    yield 'invalid UTF-8', good.encode()[:-1] + b',"x":"\xff"}', 65, 'not JSON'
    for levels, code in ((60, 0), (63, 0), (65, 65), (1000000, 65)):
        yield f'{levels} levels', good[:-1] + ',"x":' + '[' * levels + ']' * levels + '}', code, 'deeper' if code else 'layout'
    yield 'a million times a field', good[:-1] + ',"x":1' * 1000000 + '}', {0, 65}, ''
    yield '10 million values', good[:-1] + ',"x":[' + '0,' * 10000000 + '0]}', 65, 'values'


def cases(folder):
    corpus = good_corpus(folder / 'corpus.h5')
    weights = (FIXTURES / 'mistral' / 'config.json').read_bytes()
    number = 0
    for name, text, code, message in (entry for part in (texts, vocabularies, patterns, rest) for entry in part()):
        number += 1
        directory = folder / f'tokenizer-{number}'
        write(directory / 'config.json', weights)
        write(directory / 'tokenizer.json', text)
        yield Case('tokenizer, ' + name, ['plan', '--model', directory, '--corpus', corpus, '--machine', MACHINE, '--ranks', 1],
                   code, message, directory)
    for kind, make in (('FIFO', os.mkfifo), ('directory', os.mkdir)):
        directory = folder / f'tokenizer-{kind}'
        write(directory / 'config.json', weights)
        make(directory / 'tokenizer.json')
        yield Case(f'tokenizer, a {kind}', ['plan', '--model', directory, '--corpus', corpus, '--machine', MACHINE, '--ranks', 1],
                   66, 'regular file', directory)
