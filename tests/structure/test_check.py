#!/usr/bin/env python3
"""The check of the tree has to accept a good tree and to reject one breach of every rule."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check  # noqa: E402

GOOD = {
    'include/thresher/base/check.h': '#pragma once\n#include <string>\n',
    'include/thresher/device/device.h': '#pragma once\n#include "thresher/base/check.h"\n',
    'include/thresher/store/document.h': '#pragma once\n#include "thresher/base/check.h"\n',
    'src/store/hdf5.h': '#pragma once\n#include <hdf5.h>\n#include "thresher/base/check.h"\n',
    'src/store/hdf5.cpp': '#include "store/hdf5.h"\n#include <fmt/format.h>\n#include <sys/stat.h>\n',
    'src/app/main.cpp': '#include <mpi.h>\n#include "thresher/store/document.h"\nbool first(int rank) { return rank == 0; }\n',
    'tests/store/test_hdf5.cpp': '#include <boost/test/unit_test.hpp>\n',
}

# One breach each: file, content, a part of the reason.
BAD = [
    ('include/thresher/base/clock.h', '#include "thresher/store/document.h"\n', 'points up'),
    ('src/base/clock.cpp', '#include "thresher/app/options.h"\n', 'points up'),
    ('src/device/cpu/device.cpp', '#include "thresher/store/document.h"\n', 'points sideways'),
    ('src/app/options.cpp', '#include "store/hdf5.h"\n', 'private to floor store'),
    ('src/app/options.cpp', '#include "elsewhere.h"\n', 'names no floor'),
    ('src/cellar/a.cpp', '#include "thresher/base/check.h"\n', 'no floor of the plan'),
    ('src/model/a.cpp', '#include <mpi.h>\n', 'MPI is not allowed'),
    ('src/schedule/a.cpp', '#include <hdf5.h>\n', 'HDF5 is not allowed'),
    ('src/device/a.cpp', '#include <dnnl.hpp>\n', 'oneDNN is not allowed'),
    ('src/device/cpu/a.cpp', '#include <cuda_runtime.h>\n', 'CUDA is not allowed'),
    ('src/comm/mpi.cpp', '#include <nccl.h>\n', 'NCCL is not allowed'),
    ('src/schedule/a.cpp', '#include <boost/program_options.hpp>\n', 'Boost.Program_options is not allowed'),
    ('src/base/a.cpp', '#include <nlohmann/json.hpp>\n', 'nlohmann/json is not allowed'),
    ('src/model/other.cpp', '#include <nlohmann/json.hpp>\n', 'not listed among the files of a JSON format'),
    ('src/text/a.cpp', '#include <simdjson.h>\n', 'simdjson is not allowed'),
    ('src/text/a.cpp', '#include <zstd.h>\n', 'zstd is not allowed'),
    ('src/store/a.cpp', '#include <pcre2.h>\n', 'PCRE2 is not allowed'),
    ('src/store/a.cpp', '#include <xxhash.h>\n', 'xxHash is not allowed'),
    ('src/engine/a.cpp', '#include <omp.h>\n', 'OpenMP is not allowed'),
    ('src/engine/a.cpp', '#include <boost/asio.hpp>\n', 'no library in the plan'),
    ('include/thresher/base/a.h', '#include <fmt/format.h>\n', 'no third-party include'),
    ('include/thresher/base/a.h', '#ifdef NDEBUG\n#endif\n', '#ifdef in a public header'),
    ('src/engine/a.cpp', 'bool f(Comm& c) { return c.rank() == 0; }\n', 'rank zero'),
    ('src/engine/a.cpp', 'void f(Comm& c) { if (!c.rank()) return; }\n', 'rank zero'),
    ('src/engine/a.cpp', 'int a;\n' * 501, '501 lines'),
    ('src/engine/a.cpp', 'int f(int a) {\n' + '  a += 1;\n' * 59 + '}\n', 'f has 61 lines'),
    ('src/engine/a.cpp', 'struct S {\n  int f() const {\n' + '    g();\n' * 60 + '  }\n};\n', 'f has 62 lines'),
    ('with', '', 'no name of the top level'),
    ('tests/base/a.cpp', 'BOOST_AUTO_TEST_CASE(a) {\n' + '  g();\n' * 70 + '}\n', 'BOOST_AUTO_TEST_CASE has 72 lines'),
]

# Looks like a breach, but is none.
FINE = [
    ('src/engine/a.cpp', '// #include <mpi.h>\n/* rank() == 0 */ const char* s = "rank() == 0 {";\n'),
    ('src/engine/a.cpp', 'const char* s = R"(\n#include <mpi.h>\n)";\n'),
    ('src/schedule/a.cpp', 'bool f(Comm& c) { return c.rank() == 0; }\n'),
    ('src/engine/a.cpp', 'int f(int a) {\n' + '  a += 1;\n' * 58 + '}\n'),
    ('src/device/cpu/kernels/attend.h', 'int kernel(int a) {\n' + '  a += 1;\n' * 80 + '}\n'),
    ('.ci/run', ''),
    ('src/engine/a.cpp', 'namespace a {\n' + 'int b = c({1});\n' * 100 + '}\n'),
]


def breaches(extra):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in {**GOOD, **extra}.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding='utf-8')
        return check.check_tree(Path(folder))


class Check(unittest.TestCase):
    def test_good_tree(self):
        self.assertEqual(breaches({}), [])

    def test_every_breach_is_found(self):
        for path, text, reason in BAD:
            with self.subTest(path=path, reason=reason):
                found = breaches({path: text})
                self.assertEqual([b for b in found if not b.startswith(path)], [])
                self.assertTrue(any(reason in b for b in found), found)

    def test_look_alikes_pass(self):
        for path, text in FINE:
            with self.subTest(path=path, text=text[:60]):
                self.assertEqual(breaches({path: text}), [])


if __name__ == '__main__':
    unittest.main()
