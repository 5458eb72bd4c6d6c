"""A GPU's energy and memory by the driver's own library; None for all of it where that is missing."""
import ctypes
import os
import threading


class Memory(ctypes.Structure):
    _fields_ = [('total', ctypes.c_ulonglong), ('free', ctypes.c_ulonglong), ('used', ctypes.c_ulonglong)]


class Gpu:
    """The first GPU that programs see."""

    def __init__(self):
        self.library = self.handle = None
        try:
            library = ctypes.CDLL('libnvidia-ml.so.1')
            handle = ctypes.c_void_p()
            if library.nvmlInit_v2() == 0 and self._find(library, handle):
                self.library, self.handle = library, handle
        except (OSError, AttributeError, ValueError):
            pass

    @staticmethod
    def _find(library, handle):
        first = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')[0].strip() or '0'
        if first.isdigit():
            return library.nvmlDeviceGetHandleByIndex_v2(int(first), ctypes.byref(handle)) == 0
        return library.nvmlDeviceGetHandleByUUID(first.encode(), ctypes.byref(handle)) == 0

    def joules(self):
        """Energy since the driver was loaded."""
        value = ctypes.c_ulonglong()
        if self.library and self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle, ctypes.byref(value)) == 0:
            return value.value / 1000
        return None

    def used(self):
        """Bytes of memory in use, by all processes."""
        value = Memory()
        if self.library and self.library.nvmlDeviceGetMemoryInfo(self.handle, ctypes.byref(value)) == 0:
            return value.used
        return None


class Watch:
    """with Watch(gpu) as watch: ...; then watch.most is the most memory that was in use, watch.before the first value."""

    def __init__(self, gpu, seconds=0.02):
        self.gpu, self.seconds, self.stop = gpu, seconds, threading.Event()
        self.before = self.most = gpu.used()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while self.most is not None and not self.stop.wait(self.seconds):
            self.most = max(self.most, self.gpu.used() or 0)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def grown(self):
        return None if self.most is None else self.most - self.before
