"""What a user does with h5py: `write` makes corpora, `read` checks the files that test_store made in the folder."""
import sys

import h5py
import numpy as np

TEXTS = ["one", "zwei \u00fc", "", "tr\u00e8s long"]


def write(folder):
    data = [text.encode() for text in TEXTS]
    with h5py.File(folder + "/three_lines.h5", "w") as f:
        f["doc/offsets"] = np.cumsum([0] + [len(text) for text in data])
        f["doc/text"] = np.frombuffer(b"".join(data), "u1")
        f["doc/id"] = ["a", "b", "\u00e7", "d"]
    with h5py.File(folder + "/without_ids.h5", "w") as f:
        f["doc/offsets"] = np.cumsum([0] + [len(text) for text in data], dtype="u8")
        f["doc/text"] = np.frombuffer(b"".join(data), "u1")
    with h5py.File(folder + "/compressed.h5", "w") as f:
        f.create_dataset("doc/offsets", data=np.cumsum([0] + [len(text) for text in data]), compression="gzip")
        f.create_dataset("doc/text", data=np.frombuffer(b"".join(data), "u1"), compression="gzip", shuffle=True)
        f["doc/id"] = np.array([7, 8, 9, 10])
    with h5py.File(folder + "/tokens.h5", "w") as f:
        f["doc/offsets"] = [0, 2, 2, 5]
        f["doc/tokens"] = np.array([5, 6, 7, 8, 70000])
        f["doc/id"] = np.array([b"x", b"yy", b"zzz"])


def read(folder):
    with h5py.File(folder + "/corpus.h5", "r") as f:
        offsets, text = f["doc/offsets"][:], f["doc/text"][:].tobytes()
        documents = [text[a:b].decode() for a, b in zip(offsets, offsets[1:])]
        assert documents == ["first", "", "dritt\u00e9"], documents
        assert list(f["doc/id"].asstr()[:]) == ["0", "id-2", "2"], f["doc/id"][:]
        assert f["doc/status"][:].tolist() == [0, 4, 0]
        assert f["doc/status"].attrs["names"][4] == b"wrong_type"
        assert f.attrs["format"] == b"thresher-corpus" and f.attrs["version"] == 1
    with h5py.File(folder + "/results.h5", "r") as f:
        assert list(f["id"].asstr()[:2]) == ["id-0", "id-1"]
        assert f["logprob"].dtype == "f8" and np.isnan(f["logprob"][4]) and f["logprob"][3] == -0.375
        names = f["status"].attrs["names"].astype(str)
        assert names[f["status"][4]] == "rejected", names
        a, b = f["token/offsets"][3:5]
        assert b - a == f["tokens"][3] == 3
        assert f["token/id"][a:b].tolist() == [300, 301, 302]
        assert f["token/top_logprob"][a:b].shape == (3, 2)
        assert f["is_greedy"][:3].tolist() == [0, 0, 1]


def same(folder):
    """A sharded results.h5 and a gathered one of the same rows."""
    with h5py.File(folder + "/sharded/results.h5", "r") as a, h5py.File(folder + "/gathered/results.h5", "r") as b:
        names = []
        b.visititems(lambda name, thing: names.append(name) if isinstance(thing, h5py.Dataset) else None)
        assert len(names) > 4
        for name in names:
            assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
            assert a[name][...].tobytes() == b[name][...].tobytes(), name
        for name in ("id", "token/offsets"):
            assert name not in a or not a[name].is_virtual, name
        assert a["logprob"].is_virtual == (len(a["logprob"]) > 0)
        for source in a["logprob"].virtual_sources() if a["logprob"].is_virtual else []:
            assert source.file_name.startswith("parts/part-"), source
        assert list(a["status"].attrs["names"]) == list(b["status"].attrs["names"])
        assert a.attrs["format"] == b.attrs["format"] and a.attrs["version"] == b.attrs["version"]
        assert a["parts/rows"][:].sum() == len(a["id"])


def holes(folder):
    """A sharded results.h5 whose part 1 (documents 7 to 13) has gone: nothing there looks like a result."""
    with h5py.File(folder + "/sharded/results.h5", "r") as f:
        assert np.isnan(f["logprob"][7:14]).all() and (f["status"][7:14] == 255).all()
        for name in ("tokens", "bytes", "words"):
            assert (f[name][7:14] == -1).all() and (f[name][:7] >= 0).all() and (f[name][14:] >= 0).all()
        a, b = f["token/offsets"][7], f["token/offsets"][14]
        assert b > a and np.isnan(f["token/logprob"][a:b]).all() and np.isnan(f["token/top_logprob"][a:b]).all()
        assert (f["token/id"][a:b] == 2**32 - 1).all() and (f["token/rank"][a:b] == -1).all()
        assert np.isfinite(f["token/logprob"][:a]).all() and np.isfinite(f["token/logprob"][b:]).all()


if __name__ == "__main__":
    {"write": write, "read": read, "same": same, "holes": holes}[sys.argv[1]](sys.argv[2])
    print("read_with_h5py: good")
