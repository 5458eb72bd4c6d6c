"""Parts of a tokenizer.json that make_tokenizers.py puts in the place of a fixture's own."""


def variants():
    """Parts that replace those of suffix_bpe, as JSON."""
    def split(pattern, behaviour, invert=False, kind="Regex"):
        return {"type": "Split", "pattern": {kind: pattern}, "behavior": behaviour, "invert": invert}

    def sequence(*parts):
        return {"type": "Sequence", "pretokenizers": list(parts)}

    result = {}
    for behaviour in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        for invert in [False, True]:
            name = behaviour.lower() + ("_inverted" if invert else "")
            result[f"split_{name}"] = {"pre_tokenizer": split(r"\s+|[aeiou]|\p{P}", behaviour, invert)}
            result[f"empty_{name}"] = {"pre_tokenizer": split(r"\d*(?=[a-f ])", behaviour, invert)}
        result[f"string_{behaviour.lower()}"] = {"pre_tokenizer": split(" ", behaviour, kind="String")}
        result[f"punctuation_{behaviour.lower()}"] = {"pre_tokenizer": {"type": "Punctuation", "behavior": behaviour}}
    result["whitespace"] = {"pre_tokenizer": {"type": "Whitespace"}}
    result["bert_pre"] = {"pre_tokenizer": {"type": "BertPreTokenizer"}}
    result["digits"] = {"pre_tokenizer": {"type": "Digits", "individual_digits": False}}
    result["digits_each"] = {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, {"type": "WhitespaceSplit"})}
    result["delimiter"] = {"pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": "e"}}
    result["fixed_length"] = {"pre_tokenizer": {"type": "FixedLength", "length": 3}}
    result["scripts"] = {"pre_tokenizer": {"type": "UnicodeScripts"}}
    for scheme in ["always", "never", "first"]:
        for cut in [True, False]:
            meta = {"type": "Metaspace", "replacement": "_", "prepend_scheme": scheme, "split": cut}
            result[f"metaspace_{scheme}_{cut}"] = {"pre_tokenizer": meta, "decoder": meta}
    for name, first in [("strip", {"type": "Strip", "strip_left": True, "strip_right": True}), ("nfkd", {"type": "NFKD"}),
                        ("nfc", {"type": "NFC"}), ("prepend", {"type": "Prepend", "prepend": "x y"}),
                        ("lower", {"type": "Lowercase"}), ("accents", {"type": "StripAccents"}),
                        ("replace", {"type": "Replace", "pattern": {"Regex": r"\A\s*\S"}, "content": "Q "}),
                        ("bert", {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                                  "strip_accents": None, "lowercase": True})]:
        result[f"first_after_{name}"] = {
            "normalizer": first,
            "pre_tokenizer": sequence({"type": "WhitespaceSplit"},
                                      {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": True})}
    result["byte_level_early"] = {"pre_tokenizer": sequence(
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "Digits", "individual_digits": True})}
    for name, normaliser in {
        "nfc": {"type": "NFC"}, "nfd": {"type": "NFD"}, "nfkc": {"type": "NFKC"}, "nfkd": {"type": "NFKD"},
        "lowercase": {"type": "Lowercase"}, "strip_left": {"type": "Strip", "strip_left": True, "strip_right": False},
        "strip_right": {"type": "Strip", "strip_left": False, "strip_right": True}, "strip_accents": {"type": "StripAccents"},
        "nmt": {"type": "Nmt"}, "byte_level": {"type": "ByteLevel"},
        "nfd_strip": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "NFC"}]},
        "bert_all": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": True, "lowercase": True},
        "bert_none": {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False},
        "replace_empty": {"type": "Replace", "pattern": {"String": ""}, "content": "-"},
        "replace_regex": {"type": "Replace", "pattern": {"Regex": r"(\w)\b|^\s|$"}, "content": "<$1>"},
    }.items():
        result[f"normalise_{name}"] = {"normalizer": normaliser}
    patterns = {
        "words": r"\w+|\W", "words_in_brackets": r"[\w]+(?:'\w+)?|[^\w\s]+", "bloom": r" ?[^(\s|[.,!?…。，、।۔،])]+", "bounds": r"\b", "spaces": r"\S+|\s", "digits": r"\d+|\D", "hex": r"\h+|\H", "line": r"^.*$", "any": r"(?m:.{1,3}+)",
        "posix": r"[[:space:][:digit:]]+", "negated": r"[^\P{L}a-f]+", "both": r"[\p{L}&&[^aeiou]]+", "lazy": r"a{1,2}?|b{,3}|\x{e9}|\u4f60",
        "case": r"(?i)the|[a-f]+|(?-i:S)", "behind": r"(?<=\s)\S|(?<!a)b", "atomic": r"(?>a|ab)c|(?<name>x)", "script": r"[\p{Han}\p{Hiragana}\p{Katakana}]+|\p{Cyrillic}+|\p{^Latin}",
        "inner": r"a(?i)b|c", "newline": r"\R|\n+", "nested": r"[a-c[x-z]\d]+", "marks": r"\p{M}+|\p{S}|\p{Z}", "anchors": r"\A.|.\z|.\Z",
        "twice": r"(?:a{2}){2}|a{2}{3}|\p{N}{1,2}+",
    }
    for name, pattern in patterns.items():
        result[f"pattern_{name}"] = {"pre_tokenizer": split(pattern, "Isolated")}
    added = [
        {"content": "<s>", "special": True, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False},
        {"content": "word", "special": False, "lstrip": False, "rstrip": False, "single_word": True, "normalized": False},
        {"content": "key", "special": False, "lstrip": True, "rstrip": True, "single_word": False, "normalized": False},
        {"content": "keyword", "special": False, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False},
        {"content": " a", "special": True, "lstrip": False, "rstrip": True, "single_word": False, "normalized": True},
        {"content": "Caf\u00c9", "special": False, "lstrip": True, "rstrip": False, "single_word": True, "normalized": True},
        {"content": "  ", "special": False, "lstrip": False, "rstrip": False, "single_word": False, "normalized": True},
    ]
    for number, token in enumerate(added):
        token["id"] = 5000 + number
    result["added"] = {"added_tokens": added, "normalizer": {"type": "Lowercase"}}
    result["added_plain"] = {"added_tokens": added, "normalizer": None}
    for name, decoder in {
        "wordpiece": {"type": "WordPiece", "prefix": "e", "cleanup": True}, "fuse": {"type": "Fuse"}, "none": None,
        "strip_start": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": "T", "start": 2, "stop": 0}]},
        "strip_stop": {"type": "Strip", "content": "e", "start": 0, "stop": 1},
        "bytes": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Replace", "pattern": {"Regex": "</?w>"}, "content": " "}]},
        "ctc": {"type": "CTC", "pad_token": "<0x20>", "word_delimiter_token": "</w>", "cleanup": True},
        "byte_level": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    }.items():
        result[f"decode_{name}"] = {"decoder": decoder}
    return result
