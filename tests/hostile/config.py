"""config.json."""
import json
import os
import shutil

from case import FIXTURES, Case, write

DROP = object()

# A whole number's least and greatest, and whether it has to be there. Values inside that the weights contradict are
# told apart by the message.
WHOLE = {'num_hidden_layers': (1, 1024, True), 'hidden_size': (1, 65536, True), 'intermediate_size': (1, 1000000, True),
         'vocab_size': (1, 4000000, True), 'num_attention_heads': (1, 65536, True),
         'num_key_value_heads': (1, 65536, False), 'head_dim': (2, 256, False),
         'max_position_embeddings': (1, 16000000, False), 'sliding_window': (1, 16000000, False),
         'bos_token_id': (0, 383, False), 'eos_token_id': (0, 383, False)}
REAL = {'rms_norm_eps': (0, 1), 'rope_theta': (1, 1e15)}
FLAGS = ('tie_word_embeddings',)
TEXTS = ('hidden_act', 'torch_dtype', 'model_type')


def edits():
    """(field, value, code, message)."""
    range_message = 'has to be a whole number from'
    for field, (least, most, needed) in WHOLE.items():
        yield field, DROP, 65 if needed else {0, 65}, 'is missing' if needed else ''
        yield field, None, 65 if needed else {0, 65}, 'is missing' if needed else ''
        for bad in ('8', 1.5, 8.0, 1e3, True, [] if 'token' not in field else '', {}, '', -1, least - 1, most + 1, 2 ** 31,
                    2 ** 31 - 1, 2 ** 32, 2 ** 32 + 8, 2 ** 53 + 1, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1, 2 ** 64, 2 ** 200,
                    -2 ** 31, -2 ** 63, -2 ** 63 - 1):
            yield field, bad, 65, range_message
    for field, (least, most) in REAL.items():
        yield field, DROP, {0, 65}, ''
        for bad in ('1', True, [], {}, -1, least, least - 0.5, most * 1.01, 1e300, -1e300, 2 ** 64):
            yield field, bad, 65, 'has to be a number'
    for field in FLAGS:
        for bad in ('true', 0, 1, [], {}, 1.0):
            yield field, bad, 65, 'true or false'
    for field in TEXTS:
        for bad in (0, 1.5, True, [], {}):
            if field != 'model_type':  # not read where "architectures" is there
                yield field, bad, 65, 'a string'
        if field != 'model_type':
            for bad in ('', 'x', 'SILU', 'float8', 'a' * 100000, '\0', '\u202e'):
                yield field, bad, 78, 'is not supported'
    for bad in ('LlamaForCausalLM', 7, {}, [], [7], [None], [[]]):
        yield 'architectures', bad, 65, 'a list of strings'
    for bad in (['GPT2LMHeadModel'], [''], ['MistralForCausalLM\0'], ['x' * 100000]):
        yield 'architectures', bad, 78, 'supported are'
    for bad in (7, 'x', [], True):
        yield 'rope_scaling', bad, 65, 'an object'
        yield 'quantization_config', bad, 65, 'an object'
        yield 'layer_types', bad if bad != [] else [1], {65, 78}, 'layer_types'
    for bad in ({'rope_type': 'x'}, {'rope_type': 7}, {'type': []}, {'rope_type': 'linear'},
                {'rope_type': 'linear', 'factor': 0}, {'rope_type': 'linear', 'factor': -1},
                {'rope_type': 'linear', 'factor': '2'}, {'rope_type': 'linear', 'factor': 1e300},
                {'rope_type': 'llama3', 'factor': 8}, {'rope_type': 'dynamic', 'factor': 0.5},
                {'rope_type': 'llama3', 'factor': 8, 'low_freq_factor': 4, 'high_freq_factor': 4},
                {'rope_type': 'llama3', 'factor': 8, 'low_freq_factor': 4, 'high_freq_factor': 1},
                {'rope_type': 'yarn', 'factor': 2, 'beta_fast': -1}, {'rope_type': 'yarn', 'truncate': 1},
                {'rope_type': 'yarn', 'factor': 2, 'original_max_position_embeddings': 0},
                {'rope_type': 'yarn', 'factor': 2, 'original_max_position_embeddings': 2 ** 63},
                {'rope_type': 'default', 'partial_rotary_factor': 0.5}, {'full_attention': {}}):
        yield 'rope_scaling', bad, {65, 78}, 'rope_scaling'
    yield 'quantization_config', {'quant_method': 'gptq'}, 78, 'quantised by gptq'
    yield 'quantization_config', {'quant_method': 7}, 65, 'a string'
    yield 'quantization_config', {}, 78, 'unnamed method'
    yield 'auto_map', {'AutoModel': 'evil.py'}, 0, 'never run'
    yield 'num_key_value_heads', 3, 65, 'a multiple of'
    yield 'num_attention_heads', 7, 65, 'a multiple of'
    for bad in ([384], [0, 384], [0, '1'], [[0]], [-1], [0, 2 ** 64]):
        yield 'eos_token_id', bad, 65, range_message
    yield 'eos_token_id', [1, 2], 0, ''
    yield 'eos_token_id', [], {0, 65}, ''
    # Inside the limits, but not these weights.
    for field, value in (('num_hidden_layers', 1), ('num_hidden_layers', 1024), ('hidden_size', 65536),
                         ('vocab_size', 4000000), ('intermediate_size', 1000000), ('head_dim', 256)):
        yield field, value, {65, 78}, ''


def texts(good):
    """(name, the file, code, message)."""
    whole = json.dumps(good)
    yield 'empty', '', 65, 'not valid JSON'
    yield 'NUL', '\0', 65, 'zero byte'
    yield 'array', '[]', 65, 'an object is expected'
    yield 'number', '1', 65, 'an object is expected'
    yield 'null', 'null', 65, 'an object is expected'
    yield 'empty object', '{}', 65, 'neither "architectures" nor'
    yield 'cut', whole[:-1], 65, 'not valid JSON'
    yield 'more behind', whole + '{}', 65, 'not valid JSON'
    yield 'NUL and more behind', whole + '\0x', 65, 'zero byte'
    yield 'byte order mark', '\ufeff' + whole, {0, 65}, ''
    yield 'UTF-16', whole.encode('utf-16'), 65, 'JSON'
    yield 'Latin-1', whole.encode()[:-1] + b', "name": "\xe4"}', 65, 'not valid JSON'
    yield 'field twice', whole[:-1] + ', "vocab_size": 1}', 65, 'stands twice'
    yield 'field twice in an object', whole[:-1] + ', "x": {"a": 1, "a": 2}}', 65, 'stands twice'
    for number in ('NaN', 'Infinity', '-Infinity', '1e999', '-1e999', '0x10', '010', '1.', '.5', '--1'):
        for field in ('rope_theta', 'hidden_size'):
            changed = json.dumps({**good, field: 'HERE'}).replace('"HERE"', number)
            yield f'{field} {number}', changed, 65, 'JSON'
    for levels, code in ((60, 0), (63, 0), (65, 65), (100000, 65)):
        yield f'{levels} arrays', whole[:-1] + ', "x": ' + '[' * levels + ']' * levels + '}', code, \
            'nested deeper' if code else 'Mistral'
        inner = '{"a":' * levels + '1' + '}' * levels
        if levels != 63:
            yield f'{levels} objects', whole[:-1] + ', "x": ' + inner + '}', code, 'nested deeper' if code else 'Mistral'
    for size, code in ((1_000_000, 0), (1_000_001, 65), (30_000_000, 65)):
        yield f'{size} bytes', whole + ' ' * (size - len(whole)), code, 'at most 1000000' if code else 'Mistral'
    yield '900,000 bytes of numbers', whole[:-1] + ', "x": [' + '0,' * 440000 + '0]}', 0, 'Mistral'


def cases(folder):
    good = json.loads((FIXTURES / 'mistral' / 'config.json').read_text())
    weights = folder / 'weights'
    shutil.copytree(FIXTURES / 'mistral', weights, ignore=lambda *_: ['config.json', 'tokenizer.json'])
    number = 0

    def case(name, text, code, message):
        nonlocal number
        number += 1
        directory = folder / f'config-{number}'
        shutil.copytree(weights, directory, copy_function=os.link)
        write(directory / 'config.json', text)
        return Case('config, ' + name, ['inspect', directory], code, message, directory)

    for field, value, code, message in edits():
        changed = {k: v for k, v in good.items() if k != field}
        if value is not DROP:
            changed[field] = value
        shown = 'absent' if value is DROP else json.dumps(value)[:60]
        yield case(f'{field} {shown}', json.dumps(changed), code, message)
    for name, text, code, message in texts(good):
        yield case(name, text, code, message)
