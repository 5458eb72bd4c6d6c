#!/usr/bin/env python3
"""Prints the folders, with colons, in which Python's packages or a toolkit keep cuBLASLt."""
import glob
import importlib.util
import os

folders = []
spec = importlib.util.find_spec('nvidia')
for root in spec.submodule_search_locations if spec else []:
    folders += glob.glob(os.path.join(root, '*', 'lib'))
folders += sorted(glob.glob('/usr/local/cuda*/lib64'), reverse=True)
print(':'.join(folder for folder in folders if glob.glob(os.path.join(folder, 'libcublasLt.so.*'))))
