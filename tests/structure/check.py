#!/usr/bin/env python3
"""Checks that the tree keeps to its plan: check.py TREE. Prints each breach as file:line: reason; exits 1 if any.

Floors (an include points down, never up or sideways), third-party headers in their places, plain public headers, file
and function sizes, one rank's role decided in one place, no other names at the top level.
"""
import re
import sys
from pathlib import Path

FLOORS = {'base': 0, 'tensor': 1, 'device': 2, 'store': 2, 'text': 2, 'comm': 3, 'model': 4, 'engine': 5,
          'optimise': 5, 'schedule': 6, 'app': 7}

# Third-party headers: what an include begins with, and the paths (regular expressions) that may have it.
THIRD_PARTY = [
    ('CUDA', r'cuda|cublas|cudnn|nvml|nvtx', [r'src/device/cuda/', r'tests/device/(cuda_runtime|cudnn)/',
                                          r'tests/comm/nccl/fake/']),
    ('NCCL', r'nccl', [r'src/comm/nccl_', r'tests/comm/nccl/fake/']),
    ('oneDNN', r'dnnl|oneapi/', [r'src/device/cpu/', r'tests/device/']),
    ('MPI', r'mpi\.h|mpi/', [r'src/comm/', r'src/app/main\.cpp', r'tests/\w+/?\w*main\.cpp', r'tests/comm/']),
    ('HDF5', r'hdf5|H5', [r'src/store/', r'tests/store/']),
    ('Boost.Program_options', r'boost/program_options', [r'src/app/']),
    ('Boost.Test', r'boost/test', [r'tests/']),
    ('Boost.Context', r'boost/context', [r'tests/device/emulation/']),
    ('nlohmann/json', r'nlohmann', [r'src/(app|model|schedule|store|text)/', r'tests/']),
    ('simdjson', r'simdjson', [r'src/store/']),
    ('zlib', r'zlib', [r'src/store/', r'tests/store/']),
    ('zstd', r'zstd', [r'src/store/', r'tests/store/']),
    ('PCRE2', r'pcre2', [r'src/text/', r'tests/reference/']),
    ('utf8proc', r'utf8proc', [r'src/text/', r'tests/reference/']),
    ('xxHash', r'xxh', [r'src/base/']),
    ('fmt', r'fmt/', [r'src/', r'tests/']),
    ('OpenMP', r'omp\.h', [r'src/device/cpu/', r'src/base/', r'tests/device/']),
    ('hwloc', r'hwloc', [r'src/device/cpu/', r'src/base/']),
    ('llama.cpp', r'llama\.h', [r'tests/bench/']),
]

# The files that read or write a JSON format, and which.
JSON_FILES = {
    'src/app/commands/diff.cpp': 'what thresher diff --json prints',
    'src/app/commands/doctor.cpp': 'what thresher doctor --json prints',
    'src/app/commands/inspect.cpp': 'summary.json, for people',
    'src/model/config.cpp': 'config.json',
    'src/model/safetensors.cpp': 'the header of safetensors',
    'src/model/shard_index.cpp': 'model.safetensors.index.json',
    'src/schedule/machine_file.cpp': 'machine descriptions',
    'src/schedule/plan_json.cpp': 'what thresher plan --json prints',
    'src/schedule/report_json.cpp': 'summary.json and run.json',
    'src/store/plan_file.cpp': 'plan.json',
    'src/schedule/status_json.cpp': 'status.json',
    'src/store/summary_file.cpp': 'totals of summary.json',
    'src/text/load.cpp': 'tokenizer.json',
}

SYSTEM = re.compile(r'(sys|net|arpa|linux)/|[a-z0-9_]+$|(unistd|fcntl|signal|sched|dlfcn|poll|pthread|malloc|glob|'
                    r'fnmatch|errno|spawn|immintrin|x86intrin|cpuid|execinfo|stdlib|string|stdint)\.h$')
KERNELS = re.compile(r'src/device/(cpu|cuda)/kernels')
# Names at the top level, next to those that begin with a dot; the last two are what builds and jobs write.
TOP = {'CMakeLists.txt', 'CMakePresets.json', 'LICENSE', 'README.md', 'configs', 'data', 'include', 'jobs', 'slurm', 'src',
       'tests', 'build', 'runs'}
FILE_LINES = 500
FUNCTION_LINES = 60
CODE = {'.cpp', '.h', '.cu', '.cuh'}


def without_comments_and_strings(text):
    """The code with comments, strings and characters blanked and line numbers kept."""
    def blank(match):
        return ''.join(c if c == '\n' else ' ' for c in match.group(0))
    pattern = (r'R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"|//[^\n]*|/\*.*?\*/'
               r'|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'')
    return re.sub(pattern, blank, text, flags=re.S)


def without_directives(code):
    """The code with preprocessor lines (and their continuations) blanked."""
    def blank(match):
        return ''.join(c if c == '\n' else ' ' for c in match.group(0))
    return re.sub(r'^[ \t]*#(?:[^\n\\]|\\.|\\\n)*', blank, code, flags=re.M)


def functions(code):
    """(first line, name, lines) of every function body, from its signature to its closing brace."""
    found = []
    scopes = []  # (what, start of statement)
    start = 0    # of the statement that the next brace belongs to
    for i, c in enumerate(code):
        if c == '{':
            head = code[start:i]
            plain = re.sub(r'\([^()]*\)', '()', re.sub(r'<[^<>]*>', '', head))
            inside = any(what == 'function' for what, _ in scopes)
            if inside:
                what = 'block'
            elif re.search(r'\b(namespace|class|struct|enum|union)\b', plain) and not re.search(r'\)\s*(const\s*)?$', plain):
                what = 'scope'
            elif '(' in head and not re.search(r'=\s*$', head) and not re.search(r'[\w>]\s*=[^=].*$', plain.split('\n')[0]):
                what = 'function'
            else:
                what = 'block'
            scopes.append((what, start + len(head) - len(head.lstrip())))
            start = i + 1
        elif c == '}' and scopes:
            what, begin = scopes.pop()
            if what == 'function':
                first = code.count('\n', 0, begin) + 1
                name = re.search(r'([\w:~]+)\s*\(', code[begin:])
                found.append((first, name.group(1) if name else '?', code.count('\n', begin, i) + 1))
            start = i + 1
        elif c == ';':
            start = i + 1
    return found


def floor_of(path):
    parts = path.split('/')
    if parts[0] == 'src' and len(parts) > 2:
        return parts[1]
    if parts[:2] == ['include', 'thresher'] and len(parts) > 3:
        return parts[2]
    return None


def check_own_include(path, target):
    """A quoted include: only a floor below, or the same one; private headers only of the same floor."""
    floor = floor_of(path)
    if floor is None:
        return
    if floor not in FLOORS:
        yield f"'{floor}' is no floor of the plan"
        return
    public = target.startswith('thresher/')
    named = target.split('/')[1 if public else 0]
    if named not in FLOORS:
        yield f'"{target}" names no floor (write "thresher/<floor>/..." or "<floor>/...")'
    elif named != floor and FLOORS[named] >= FLOORS[floor]:
        kind = 'sideways to' if FLOORS[named] == FLOORS[floor] else 'up to'
        yield f'"{target}" points {kind} floor {named} from {floor}'
    elif named != floor and not public:
        yield f'"{target}" is private to floor {named}'


def check_system_include(path, target):
    """An include in angle brackets: standard and system headers anywhere, others where the table says."""
    for name, begin, places in THIRD_PARTY:
        if re.match(begin, target):
            if not any(re.match(place, path) for place in places):
                yield f'<{target}>: {name} is not allowed here'
            elif name == 'nlohmann/json' and path.startswith('src/') and path not in JSON_FILES:
                yield f'<{target}>: not listed among the files of a JSON format (JSON_FILES in tests/structure/check.py)'
            return
    if not SYSTEM.match(target):
        yield f'<{target}> is of no library in the plan'


def check_file(path, text):
    """Yields (line, reason)."""
    lines = text.count('\n')
    if lines > FILE_LINES:
        yield lines, f'{lines} lines; {FILE_LINES} at most'
    if Path(path).suffix not in CODE:
        return
    code = without_comments_and_strings(text)
    for number, (line, raw) in enumerate(zip(code.split('\n'), text.split('\n')), 1):
        directive = re.match(r'\s*#\s*(\w+)', line)
        if directive and directive.group(1) == 'include':
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', raw)
            check = check_own_include if match.group(1) == '"' else check_system_include
            for reason in check(path, match.group(2)):
                yield number, reason
            if path.startswith('include/') and match.group(1) == '<' and any(
                    re.match(begin, match.group(2)) for _, begin, _ in THIRD_PARTY):
                yield number, f'<{match.group(2)}>: public headers have no third-party include'
        elif directive and directive.group(1) in ('if', 'ifdef', 'ifndef') and path.startswith('include/'):
            yield number, f'#{directive.group(1)} in a public header'
        decides = re.search(r'\brank(\(\)|_)?\s*[!=]=\s*0\b|!\s*[\w.>-]*\brank(\(\)|_)?(?=[\s)&|])', line)
        if decides and re.match(r'(src|include)/', path) and floor_of(path) != 'schedule' and path != 'src/app/main.cpp':
            yield number, 'only schedule and app/main.cpp know what rank zero does'
    if not KERNELS.match(path):
        for first, name, length in functions(without_directives(code)):
            if length > FUNCTION_LINES:
                yield first, f'{name} has {length} lines; {FUNCTION_LINES} at most'


def check_tree(tree):
    """Every breach as 'path:line: reason'."""
    breaches = [f'{path.name}:1: no name of the top level' for path in sorted(tree.iterdir())
                if path.name not in TOP and not path.name.startswith('.')]
    for top in ('include', 'src', 'tests'):
        for file in sorted((tree / top).rglob('*')):
            if file.is_file() and file.suffix in CODE | {'.py', '.sh', '.cmake'}:
                path = file.relative_to(tree).as_posix()
                text = file.read_text(encoding='utf-8')
                breaches += [f'{path}:{line}: {reason}' for line, reason in check_file(path, text)]
    return breaches


def main():
    tree = Path(sys.argv[1])
    breaches = check_tree(tree)
    print('\n'.join(breaches) if breaches else f'{tree}: floors, includes and sizes are in order')
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())
