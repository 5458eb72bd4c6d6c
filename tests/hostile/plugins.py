"""HDF5's filter plugins: code that a file asks for by number and the environment says where to find. Never loaded."""
import os
import shutil
import subprocess

import h5py
from case import FIXTURES, MACHINE, THRESHER, Case
from corpus import filtered, good_corpus, replaced

FILTER = 32768

# Looks like a plugin to the library, and leaves a file behind when it is only loaded.
SOURCE = r'''
#include <stdio.h>
static struct { int version, id; unsigned encoder, decoder; const char* name; void *can, *set, *run; } filter = {
    1, %d, 1, 1, "hostile", 0, 0, 0};
__attribute__((constructor)) static void loaded(void) {
  FILE* file = fopen("%s", "w");
  if (file) fclose(file);
}
int H5PLget_plugin_type(void) { return 0; }
const void* H5PLget_plugin_info(void) { return &filter; }
'''


def cases(folder):
    compiler = shutil.which('cc') or shutil.which('gcc')
    if not compiler:
        return
    mark = folder / 'was-loaded'
    plugins = folder / 'plugins'
    plugins.mkdir()
    subprocess.run([compiler, '-shared', '-fPIC', '-x', 'c', '-', '-o', plugins / 'libhostile.so'], check=True, text=True,
                   input=SOURCE % (FILTER, mark))
    paths = {}
    for name in ('doc/text', 'doc/offsets'):
        paths[name] = good_corpus(folder / (name.replace('/', '-') + '.h5'))
        with h5py.File(paths[name], 'r+') as file:
            replaced(name, filtered(FILTER, 1))(file)
            chunked = file[name].id
            chunked.write_direct_chunk((0,), b'\0' * 1000)
    # The trap works: without the program's care the library would fall for it.
    probe = f'import h5py; h5py.File("{paths["doc/text"]}")["doc/text"][...]'
    subprocess.run(['/usr/bin/python3', '-c', probe], env={'HDF5_PLUGIN_PATH': str(plugins)}, capture_output=True, check=False)
    if not mark.exists():
        raise AssertionError('the fake plugin is not loaded by h5py either: the test shows nothing')
    mark.unlink()
    environment = {'HDF5_PLUGIN_PATH': str(plugins)}

    trace = folder / 'trace'
    strace = shutil.which('strace')
    if strace and subprocess.run([strace, 'true'], capture_output=True, check=False).returncode != 0:
        strace = None  # not allowed here

    def untouched(words, path):
        def check(_):
            if mark.exists():
                return 'the plugin was loaded'
            if not strace:
                return ''
            subprocess.run([strace, '-f', '-e', 'trace=%file', '-o', trace, THRESHER, *map(str, words)], check=False,
                           capture_output=True, env={**os.environ, **environment})
            seen = trace.read_text()
            if path.name not in seen:
                return 'strace did not see the corpus being opened'
            return 'the folder of the plugins was looked at' if str(plugins) in seen else ''
        return check

    for name, path in paths.items():
        for words in (['inspect', path],
                      ['plan', '--model', FIXTURES / 'mistral', '--corpus', path, '--machine', MACHINE, '--ranks', 1]):
            yield Case(f'plugin for {name}, {words[0]}', words, 65, 'is compressed with filter', path, None,
                       untouched(words, path), environment)
