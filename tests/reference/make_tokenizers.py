#!/usr/bin/env python3
"""Makes tests/text/data: small tokenizers trained with Hugging Face `tokenizers` (and one SentencePiece model for its
character map), texts, and what the library makes of them. Made once with tokenizers 0.23.3 and sentencepiece 0.2.3:

    make_tokenizers.py ../text/data [--shared SHARED_DIR] [--parts fixtures,expected,digests,variants,shared]

Training text: Debian's fortunes and common licences, and the sentences of tokenizer_texts.py. With SHARED_DIR, digests.json
gets the digests of the real tokenizers in its data/ as well; without it they are kept as they are.
"""
import argparse
import ctypes
import glob
import json
import os
import struct
import sys
import tempfile

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

from tokenizer_texts import MIXED, TEXTS
from tokenizer_variants import variants

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def corpus():
    lines = []
    names = sorted(glob.glob("/usr/share/games/fortunes/*"))
    for path in [p for p in names if "." not in os.path.basename(p)] + sorted(glob.glob("/usr/share/common-licenses/*")):
        with open(path, encoding="utf-8", errors="replace") as file:
            lines += file.read()[:30000].split("\n")
    return lines + MIXED.split("\n") * 20


CORPUS = corpus()


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level_bpe(pre_tokenizer, size=700, normalizer=None, special=(), **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))


def split_then_bytes(pattern, *more):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), *more,
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def changed(tokenizer, change):
    """The tokenizer with its JSON edited."""
    data = json.loads(tokenizer.to_str())
    change(data)
    return Tokenizer.from_str(json.dumps(data))


def with_bytes(data):
    """Byte tokens as SentencePiece has them, after the special tokens: ids move up by 256."""
    model = data["model"]
    first = sum(1 for t in data["added_tokens"])
    old = sorted(model["vocab"].items(), key=lambda item: item[1])
    names = [t for t, _ in old[:first]] + [f"<0x{b:02X}>" for b in range(256)] + [t for t, _ in old[first:]]
    model["vocab"] = {t: i for i, t in enumerate(names)}
    model["byte_fallback"] = True


def sentencepiece_bpe(size=900):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    train(tokenizer, trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"], limit_alphabet=250,
                                         show_progress=False))
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return changed(tokenizer, with_bytes)


def template(tokenizer, single, *names):
    return processors.TemplateProcessing(single=single, pair=single + " $B:1",
                                         special_tokens=[(n, tokenizer.token_to_id(n)) for n in names])


def protobuf_field(data, wanted):
    """The bytes of the first length-delimited field with this number."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            if key >> 3 == wanted:
                return data[at:at + size]
            at += size
        elif key & 7 == 0:
            varint()
        else:
            at += 4 if key & 7 == 5 else 8
    raise ValueError(f"no field {wanted}")


def charsmap(**options):
    """SentencePiece's precompiled character map of a model trained for it alone."""
    import sentencepiece
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        with open(text, "w", encoding="utf-8") as file:
            file.write("\n".join(line for line in CORPUS[:2000] if line))
        if "rules" in options:
            rules = os.path.join(folder, "rules.tsv")
            with open(rules, "w", encoding="utf-8") as file:
                for source, target in options.pop("rules"):
                    file.write(" ".join(f"{ord(c):X}" for c in source) + "\t" +
                               " ".join(f"{ord(c):X}" for c in target) + "\n")
            options["normalization_rule_tsv"] = rules
        sentencepiece.SentencePieceTrainer.train(
            input=text, model_prefix=os.path.join(folder, "m"), vocab_size=300, hard_vocab_limit=False,
            minloglevel=2, **options)
        with open(os.path.join(folder, "m.model"), "rb") as file:
            return protobuf_field(protobuf_field(file.read(), 3), 2)  # normalizer_spec, precompiled_charsmap


SMALL_RULES = [("\t", " "), ("\r\n", "\n"), ("\n", " "), ("A", "a"), ("e\u0301", "E"), ("\u00e9", "e"), ("o", "0"), ("o\u0308", "OE"),
               ("\u200d", ""), ("\ufb01", "fi"), ("\u0130", "i"), ("\u00df", "ss"), ("\u1100\u1161", "G"), ("\u4e00", "one"),
               ("\U0001f44d", ":+1:"), ("\u0600", "N"), ("1\ufe0f", "I"), ("\u0301", "")]


def unigram(normalizer, pre_tokenizer, size=900, special=("<s>", "<pad>", "</s>", "<unk>"), unk="<unk>"):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    return train(tokenizer, trainers.UnigramTrainer(vocab_size=size, special_tokens=list(special), unk_token=unk,
                                                    show_progress=False, n_sub_iterations=1, max_piece_length=12))


def wordpiece(lowercase, strip_accents=None, size=1100):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    train(tokenizer, trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=350,
        show_progress=False))
    return tokenizer


def fixtures():
    f = {}
    level = pre_tokenizers.ByteLevel
    t = f["gpt2"] = byte_level_bpe(level(add_prefix_space=False), special=["<|endoftext|>"])
    t.post_processor = processors.ByteLevel(trim_offsets=False)

    t = f["roberta"] = byte_level_bpe(level(add_prefix_space=True), special=["<s>", "<pad>", "</s>", "<unk>"])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))

    t = f["neox"] = byte_level_bpe(level(add_prefix_space=False), normalizer=normalizers.NFC(),
                                   special=["<|endoftext|>", "<|padding|>"])
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])

    t = f["falcon"] = byte_level_bpe(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), level(add_prefix_space=False), pre_tokenizers.Digits(),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]), special=[">>TITLE<<", "<|endoftext|>"])

    t = byte_level_bpe(split_then_bytes(LLAMA3), special=["<|begin_of_text|>", "<|end_of_text|>"])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                            template(t, "<|begin_of_text|> $A", "<|begin_of_text|>")])

    def words_without_merges(data):
        # Words that no sequence of merges makes, as Llama-3's vocabulary has them.
        data["model"]["ignore_merges"] = True
        vocabulary = data["model"]["vocab"]
        for word in ["Ġzażółć", "supercalifragilistic", "ĠKöln", "Ġdog", "ä½łå¥½"]:
            vocabulary.setdefault("".join(level(add_prefix_space=False, use_regex=False).pre_tokenize_str(
                word.replace("Ġ", " "))[0][0]) if "ä" not in word else word, len(vocabulary))
    f["llama3"] = changed(t, words_without_merges)

    t = f["qwen2"] = byte_level_bpe(split_then_bytes(QWEN2), normalizer=normalizers.NFC(), special=[])
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("keyword", single_word=True, normalized=False), AddedToken("café", normalized=True)])
    f["cl100k"] = byte_level_bpe(split_then_bytes(CL100K), size=500)
    f["o200k"] = byte_level_bpe(split_then_bytes(O200K), size=600)
    f["kimi"] = byte_level_bpe(split_then_bytes(KIMI), size=500)
    f["deepseek"] = byte_level_bpe(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥\u3040-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"), level(add_prefix_space=False, use_regex=False)]), size=600)

    t = f["clip"] = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
                                               level(add_prefix_space=False)])
    t.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    train(t, trainers.BpeTrainer(vocab_size=900, special_tokens=["<|startoftext|>", "<|endoftext|>"],
                                 initial_alphabet=level.alphabet(), end_of_word_suffix="</w>", show_progress=False))
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False,
                                                    add_prefix_space=False)

    f["llama2"] = sentencepiece_bpe()
    t = f["llama2_first"] = sentencepiece_bpe(600)
    t.normalizer = None
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)

    def gemma(data):
        data["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        data["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                                 "invert": False}
        data["decoder"] = {"type": "Sequence", "decoders": data["decoder"]["decoders"][:3]}
        data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]
    f["gemma"] = changed(sentencepiece_bpe(600), gemma)

    t = f["bert_uncased"] = wordpiece(True)
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t = f["bert_cased"] = wordpiece(False)
    t.post_processor = template(t, "[CLS] $A [SEP]", "[CLS]", "[SEP]")

    t = f["t5"] = unigram(normalizers.Precompiled(charsmap(normalization_rule_name="nmt_nfkc")),
                          pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
                          special=["<pad>", "</s>", "<unk>"])
    t.add_special_tokens([f"<extra_id_{n}>" for n in range(3)])
    t.post_processor = template(t, "$A </s>", "</s>")

    small = charsmap(rules=SMALL_RULES)
    t = f["xlmr"] = unigram(normalizers.Sequence([normalizers.Precompiled(small), normalizers.Replace(Regex(" {2,}"), " ")]),
                            pre_tokenizers.Metaspace())
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=True, special=True)])
    t.post_processor = template(t, "<s> $A </s>", "<s>", "</s>")

    f["albert"] = unigram(normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Strip(True, True)]), pre_tokenizers.Metaspace(), size=700)

    def unigram_bytes(data):
        model = data["model"]
        model["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        model["byte_fallback"] = True
        data["decoder"] = {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}]}
    f["unigram_bytes"] = changed(unigram(normalizers.Nmt(), pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                                         size=700), unigram_bytes)

    t = f["wordlevel"] = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    train(t, trainers.WordLevelTrainer(vocab_size=800, special_tokens=["[UNK]"], show_progress=False))

    t = f["prefix_bpe"] = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    t.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=True, handle_chinese_chars=False)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece(cleanup=False)
    train(t, trainers.BpeTrainer(vocab_size=900, special_tokens=["[UNK]", "[MASK]"], continuing_subword_prefix="##",
                                 limit_alphabet=150, show_progress=False))
    f["suffix_bpe"] = suffix_bpe()
    return f


def suffix_bpe():
    """Words end in </w>, so that every cut shows; characters without a token fall back to bytes."""
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=False))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.decoder = decoders.BPEDecoder()
    train(t, trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", "<s>", "</s>"], end_of_word_suffix="</w>",
                                 limit_alphabet=200, show_progress=False))

    def closing_bytes(data):
        with_bytes(data)
        for character in "</w>":
            data["model"]["vocab"].setdefault(character, len(data["model"]["vocab"]))
    return changed(t, closing_bytes)


# Texts that tests/text/corpora.h generates in the same way.

RANGES = [(0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0x30, 0x39), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
          (0x900, 0xDFF), (0xE00, 0xEFF), (0x1000, 0x11FF), (0x1E00, 0x206F), (0x2100, 0x27BF), (0x3000, 0x30FF),
          (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFEF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0, 0x10FFFF)]


def mixed_texts():
    state = 88172645463325252
    texts = []
    for _ in range(2000):
        text = []
        while len(text) < 100:
            state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
            state ^= state >> 7
            state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
            low, high = RANGES[state % len(RANGES)]
            for step in range(1 + (state >> 8) % 6):
                code = low + ((state >> 16) + step * 7) % (high - low + 1)
                if not 0xD800 <= code < 0xE000:
                    text.append(chr(code))
            if (state >> 40) % 3 == 0:
                text.append(" ")
        texts.append("".join(text))
    return texts


def every_code_point():
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["".join(f"a{chr(c)} " for c in codes[i:i + 256]) for i in range(0, len(codes), 256)]


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


LIBRARY = ctypes.CDLL("libxxhash.so.0")
LIBRARY.XXH3_128bits.restype = Hash128
LIBRARY.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def digest(tokenizer, texts, decode):
    """XXH3-128 of every text's number of ids and ids (32 bits, little endian), and with `decode` its decoded text."""
    data = bytearray()
    for begin in range(0, len(texts), 512):
        for encoding in tokenizer.encode_batch_fast(texts[begin:begin + 512]):
            ids = encoding.ids
            data += struct.pack(f"<I{len(ids)}I", len(ids), *ids)
            if decode and ids:
                data += tokenizer.decode(ids, skip_special_tokens=False).encode()
                data += tokenizer.decode(ids, skip_special_tokens=True).encode()
    value = LIBRARY.XXH3_128bits(bytes(data), len(data))
    return f"{value.high:016x}{value.low:016x}"


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"), indent=None)
        file.write("\n")


def made(folder):
    for path in sorted(glob.glob(f"{folder}/*/tokenizer.json")):
        yield os.path.basename(os.path.dirname(path)), Tokenizer.from_file(path)


def make_expected(folder):
    """For every text its ids, the text decoded from them, and the same without special tokens where that differs.
    null stands for the text itself."""
    write(f"{folder}/texts.json", TEXTS)
    for name, tokenizer in made(folder):
        expected = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            decoded = [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (False, True)]
            decoded = [None if d == text else d for d in decoded]
            expected.append([ids, *(decoded if decoded[0] != decoded[1] else decoded[:1])])
        write(f"{folder}/{name}/expected.json", expected)


def shared_tokenizers(shared):
    data = f"{shared}/data"
    result = {}
    for name, path in {"gpt_neox_20b": "tokenizers/gpt-neox-20b", "phi_3_mini": "tokenizers/phi-3-mini",
                       "t5_small": "tokenizers/t5-small", "tinystories656K": "tinystories656K",
                       "stories260K": "stories260K-hf", "bert_tiny_banking77": "bert-tiny-banking77"}.items():
        result[name] = Tokenizer.from_file(f"{data}/{path}/tokenizer.json")
    merges = open(f"{data}/tokenizers/gpt2/merges.txt", encoding="utf-8").read().split("\n")[1:]
    t = result["gpt2"] = Tokenizer(models.BPE(json.load(open(f"{data}/tokenizers/gpt2/vocab.json")),
                                              [tuple(m.split(" ")) for m in merges if m]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    words = open(f"{data}/tokenizers/bert-base-uncased/vocab.txt", encoding="utf-8").read().split("\n")
    t = result["bert_base_uncased"] = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words[:-1])}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    return result


# Variants whose meaning depends on what a single code point is.
BY_CODE_POINT = ("normalise_", "whitespace", "bert_pre", "digits", "scripts", "punctuation_isolated", "pattern_words",
                 "pattern_spaces", "pattern_digits", "pattern_negated", "pattern_script", "pattern_marks")


def make_fixtures(folder):
    for name, tokenizer in fixtures().items():
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        write(f"{folder}/{name}/tokenizer.json", json.loads(tokenizer.to_str()))


def make_digests(folder, digests):
    all_codes, mixed = every_code_point(), mixed_texts()
    for name, tokenizer in made(folder):
        digests[name] = {"every_code_point": digest(tokenizer, all_codes, False), "mixed": digest(tokenizer, mixed, True)}
        print(name, tokenizer.get_vocab_size(), digests[name], flush=True)


def make_variants(folder):
    all_codes, mixed = every_code_point(), mixed_texts()[:500]
    base = json.load(open(f"{folder}/suffix_bpe/tokenizer.json", encoding="utf-8"))
    listed = []
    for name, parts in variants().items():
        tokenizer = Tokenizer.from_str(json.dumps({**base, **parts}))
        made = {"texts": digest(tokenizer, TEXTS, True), "mixed": digest(tokenizer, mixed, True)}
        if name.startswith(BY_CODE_POINT):
            made["every_code_point"] = digest(tokenizer, all_codes, False)
        listed.append({"name": name, "parts": parts, "digests": made})
    write(f"{folder}/variants.json", listed)


def make_shared(shared, digests):
    all_codes, mixed = every_code_point(), mixed_texts()
    wiki = open(f"{shared}/data/wikitext2/wiki.valid.tokens", encoding="utf-8").read()
    for name, tokenizer in shared_tokenizers(shared).items():
        digests[name] = {"wikitext2_lines": digest(tokenizer, wiki.split("\n"), False),
                         "wikitext2": digest(tokenizer, [wiki], False), "mixed": digest(tokenizer, mixed, True),
                         "every_code_point": digest(tokenizer, all_codes, False)}
        print(name, digests[name], flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--shared", help="the folder with data/ in it")
    parser.add_argument("--parts", default="fixtures,expected,digests,variants,shared")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    path = f"{options.folder}/digests.json"
    digests = json.load(open(path)) if os.path.exists(path) else {"fixtures": {}, "shared": {}}
    parts = options.parts.split(",")
    if "fixtures" in parts:
        make_fixtures(options.folder)
    if "expected" in parts:
        make_expected(options.folder)
    if "digests" in parts:
        make_digests(options.folder, digests["fixtures"])
        write(path, digests)
    if "variants" in parts:
        make_variants(options.folder)
    if "shared" in parts and options.shared:
        make_shared(options.shared, digests["shared"])
        write(path, digests)


main()
