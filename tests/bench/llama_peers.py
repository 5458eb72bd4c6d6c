"""llama.cpp and ik_llama.cpp as programs to compare with: builds found, the scorer compiled, settings chosen, runs timed."""
import dataclasses
import math
import os
import pathlib
import re
import subprocess
import time

import numpy

HERE = pathlib.Path(__file__).resolve().parent
LENGTH = 512  # tokens of a document
CHECKED = 4  # documents whose log-probabilities are compared


@dataclasses.dataclass(frozen=True)
class Settings:
    together: int = 4  # documents in a call of llama_decode
    ubatch: int = 512  # tokens in a batch inside of it
    flash: bool = True
    repack: bool = False  # at load; ik_llama.cpp only
    cache: str = "f16"  # of keys and values

    def text(self):
        words = [f"-b {self.together * LENGTH} -ub {self.ubatch}", "-fa on" if self.flash else "-fa off"]
        words += ["-rtr"] * self.repack + [f"-ctk {self.cache} -ctv {self.cache}"] * (self.cache != "f16")
        return " ".join(words)


@dataclasses.dataclass
class Run:
    tokens: int
    seconds: float
    mean: float  # log-probability of a token of the first CHECKED documents; llama-perplexity: of their second halves
    logprobs: numpy.ndarray | None = None  # documents x (LENGTH - 1)
    products_fraction: float | None = None


class ProgramFailed(Exception):
    pass


class Peer:
    """One of the two: its sources for llama.h, its build for the libraries and programs."""

    def __init__(self, name, source, build, work, threads):
        self.name, self.source, self.build, self.work, self.threads = name, source, build, work, threads
        self.repacks = "repack_tensors" in (source / "include" / "llama.h").read_text()
        self.scorer = work / f"all_positions-{name}"
        self.compile_scorer()

    def find(self, name):
        found = [path for path in self.build.rglob(name) if path.is_file()]
        if not found:
            raise SystemExit(f"{self.build}: has no {name}; build it there, with shared libraries")
        return found[0]

    def compile_scorer(self):
        libraries = {self.find(name).parent for name in ("libllama.so", "libggml.so")}
        words = ["g++", "-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-o", self.scorer,
                 HERE / "all_positions.cpp", "-I", self.source / "include", "-I", self.source / "ggml" / "include",
                 *(["-DIK_LLAMA"] if self.repacks else []), self.find("libllama.so"),
                 *(f"-Wl,-rpath,{folder},-rpath-link,{folder}" for folder in libraries)]
        subprocess.run(list(map(str, words)), check=True)

    def tune(self, gguf, corpus, repacks):
        """The settings that score a few documents fastest, and what all that were tried gave in tokens/s."""
        tried = {}

        def rate(settings):
            if settings not in tried:
                run = self.score_all(gguf, corpus, CHECKED, settings)
                tried[settings] = run.tokens / run.seconds
            return tried[settings]

        best = max((Settings(together, ubatch, repack=repacks) for together, ubatch in ((1, 512), (4, 512), (4, 2048))),
                   key=rate)
        best = max(best, dataclasses.replace(best, flash=False), dataclasses.replace(best, cache="bf16"), key=rate)
        if repacks:
            best = max(best, dataclasses.replace(best, repack=False), key=rate)
        return best, tried

    def score_all(self, gguf, corpus, documents, settings):
        """Every position's log-probability, by our scorer on this peer's library."""
        out = self.work / "logprobs.f32"
        words = [self.scorer, gguf, corpus.ids, documents, LENGTH, settings.together, settings.ubatch,
                 int(settings.flash), int(settings.repack), int(settings.cache == "bf16"), self.threads, out]
        done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, text=True, check=True, cwd=self.work)
        logprobs = numpy.fromfile(out, numpy.float32).reshape(documents, LENGTH - 1)
        return Run(documents * LENGTH, float(done.stdout), float(logprobs[:CHECKED].mean()), logprobs)

    def perplexity(self, gguf, corpus, documents, settings):
        """llama-perplexity over the same documents, first chunk to last number; without settings as it comes."""
        words = [self.find("llama-perplexity"), "-m", gguf, "-f", corpus.text, "-c", LENGTH, "--chunks", documents,
                 "-t", self.threads]
        if settings:
            words += ["-tb", self.threads, "-b", settings.together * LENGTH, "-ub", settings.ubatch,
                      "-fa", "on" if settings.flash else "off", *(["-rtr"] if settings.repack else []),
                      "-ctk", settings.cache, "-ctv", settings.cache]
        process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   cwd=self.work)  # where ik_llama.cpp leaves its log
        output, begin, end = "", None, None
        while data := os.read(process.stdout.fileno(), 1 << 16):
            now = time.perf_counter()
            output += data.decode(errors="replace")
            if begin is None and f"calculating perplexity over {documents} chunks" in output:
                begin = now
            if end is None and re.search(rf"\[{documents}\]\d+\.\d+,", output):
                end = now
        if process.wait() or begin is None or end is None:
            raise ProgramFailed(f"{' '.join(map(str, words))}: ended with {process.returncode}\n{output[-2000:]}")
        perplexity = float(re.search(rf"\[{CHECKED}\](\d+\.\d+),", output).group(1))
        return Run(documents * LENGTH, end - begin, -math.log(perplexity))
