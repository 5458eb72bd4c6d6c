"""Text for the model in data/model: Debian packages and TinyStories -> documents, tokenizer, token ids.

    python prepare.py --root ROOT --stories tinystories_train_head_b.txt --output WORK

ROOT holds the unpacked packages named in SOURCES (`apt-get download NAME`, `dpkg -x NAME_*.deb ROOT`).
Writes WORK/documents.jsonl (source, held_out, text), WORK/tokenizer.json and WORK/tokens.npz.
The result depends on the input texts alone: documents are selected, ordered and held out by their SHA-256.
"""

import argparse
import gzip
import hashlib
import html.parser
import json
import pathlib
import re

import numpy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCABULARY = 3072
BOS, EOS = "<s>", "</s>"
HELD_OUT_ONE_IN = 20


class Prose(html.parser.HTMLParser):
    """Text of paragraphs, headings and listings; navigation, tables and scripts are left out."""

    TAKEN = {"p", "pre", "h1", "h2", "h3", "h4"}

    def __init__(self):
        super().__init__()
        self.depth, self.listing, self.blocks, self.block = 0, False, [], []

    def handle_starttag(self, tag, attributes):
        if tag in self.TAKEN:
            self.close_block()
            self.depth, self.listing = 1, tag == "pre"

    def handle_endtag(self, tag):
        if tag in self.TAKEN:
            self.close_block()

    def handle_data(self, data):
        if self.depth:
            self.block.append(data)

    def close_block(self):
        text = "".join(self.block).replace("\u00b6", "")
        text = text.strip("\n") if self.listing else " ".join(text.split())
        if text:
            self.blocks.append(text)
        self.depth, self.block = 0, []


def html_page(text):
    prose = Prose()
    prose.feed(text)
    prose.close_block()
    return ["\n\n".join(prose.blocks)]


def fortunes(text):
    return re.split(r"^%[ \t]*$\n?", text, flags=re.M)


def whole(text):
    return [text]


def jargon(text):
    return [re.sub(r"^   ", "", entry, flags=re.M) for entry in re.split(r"(?=^   :[^\n]+:)", text, flags=re.M)]


def devils_dictionary(text):
    return re.split(r"\n(?=[A-Z][A-Z' -]+, [a-z]+\.)", text)


def stories(text):
    """Paragraphs of one story are separated by an empty line, stories by a line break alone."""
    return re.split(r"(?<!\n)\n(?!\n)", text)


# package, glob below ROOT, cut into documents, most bytes taken
SOURCES = [
    ("fortunes", "usr/share/games/fortunes/*", fortunes, 4 << 20),
    ("base-files", "usr/share/common-licenses/*", whole, 1 << 20),
    ("jargon-text", "usr/share/doc/jargon-text/jargon.txt.gz", jargon, 2 << 20),
    ("dict-devil", "usr/share/dictd/devil.dict.dz", devils_dictionary, 1 << 20),
    ("postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html/*.html", html_page, 2 << 20),
    ("sqlite3-doc", "usr/share/doc/sqlite3/*.html", html_page, 2 << 20),
    ("apache2-doc", "usr/share/doc/apache2-doc/manual/**/*.html.en", html_page, 1 << 20),
    ("apache2-doc", "usr/share/doc/apache2-doc/manual/en/**/*.html", html_page, 1 << 20),
    ("python3.11-doc", "usr/share/doc/python3.11/html/**/*.html", html_page, 2 << 20),
]


def read(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8", errors="strict")


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def source_documents(root, pattern, cut, limit, seen):
    """Distinct documents of one source, in digest order, at most `limit` bytes of them."""
    texts = {}
    for path in sorted(root.glob(pattern)):
        if path.is_file() and not path.is_symlink() and path.suffix not in (".dat", ".u8", ".pdf"):
            for document in cut(read(path)):
                document = document.strip("\n")
                if document.strip():
                    texts[digest(document)] = document
    taken, size = [], 0
    for key in sorted(texts.keys() - seen):
        size += len(texts[key].encode())
        if size > limit:
            break
        taken.append(texts[key])
        seen.add(key)
    return taken


def collect(root, story_file):
    seen, documents = set(), []
    sources = [(root, *source) for source in SOURCES]
    sources.append((story_file.parent, "tinystories", story_file.name, stories, 1 << 20))
    for folder, name, pattern, cut, limit in sources:
        for text in source_documents(folder, pattern, cut, limit, seen):
            held_out = int.from_bytes(digest(text)[:8], "little") % HELD_OUT_ONE_IN == 0
            documents.append({"source": name, "held_out": held_out, "text": text})
    return documents


def train_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[BOS, EOS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])
    return tokenizer


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--root", type=pathlib.Path, required=True)
    arguments.add_argument("--stories", type=pathlib.Path, required=True)
    arguments.add_argument("--output", type=pathlib.Path, required=True)
    options = arguments.parse_args()

    options.output.mkdir(parents=True, exist_ok=True)
    documents = collect(options.root, options.stories)
    with open(options.output / "documents.jsonl", "w") as file:
        file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)

    tokenizer = train_tokenizer([document["text"] for document in documents if not document["held_out"]])
    tokenizer.save(str(options.output / "tokenizer.json"))
    encoded = tokenizer.encode_batch([document["text"] for document in documents], add_special_tokens=False)
    ids = [numpy.array(encoding.ids, dtype=numpy.uint16) for encoding in encoded]
    names = sorted({document["source"] for document in documents})
    numpy.savez(
        options.output / "tokens.npz", tokens=numpy.concatenate(ids),
        offsets=numpy.cumsum([0] + [len(row) for row in ids]),
        held_out=numpy.array([document["held_out"] for document in documents]),
        bytes=numpy.array([len(document["text"].encode()) for document in documents]),
        source=numpy.array([names.index(document["source"]) for document in documents]), names=numpy.array(names))

    print(f"{'source':20} {'documents':>9} {'bytes':>9} {'tokens':>9} {'held out':>9}")
    for name in names:
        rows = [k for k, document in enumerate(documents) if document["source"] == name]
        print(f"{name:20} {len(rows):9} {sum(len(documents[k]['text'].encode()) for k in rows):9} "
              f"{sum(len(ids[k]) for k in rows):9} {sum(documents[k]['held_out'] for k in rows):9}")


if __name__ == "__main__":
    main()
