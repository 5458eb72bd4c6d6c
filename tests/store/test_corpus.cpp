#include <boost/test/unit_test.hpp>
#include <functional>
#include <random>

#include "store/bad_hdf5.h"
#include "store/fixture.h"
#include "thresher/store/import.h"

using namespace thresher;
using base::Exit;
using store::Intake;
using tests::CorpusMaker;
using tests::Folder;
using tests::says;

namespace {

// Opens it and looks at everything, as score does.
void read_all_of(const base::Path& path) {
  const auto corpus = store::open_corpus(path);
  const std::int64_t count = corpus->info().documents;
  corpus->digest();
  for (std::int64_t first = 0; first < count; first += 512) {
    const std::int64_t some = std::min<std::int64_t>(512, count - first);
    corpus->read(first, some);
    corpus->ids(first, some);
  }
}

void refused(const std::vector<std::string>& words, const std::function<void(CorpusMaker&)>& make) {
  const Folder folder;
  {
    CorpusMaker maker(folder / "bad.h5");
    make(maker);
  }
  BOOST_CHECK_EXCEPTION(read_all_of(folder / "bad.h5"), base::Error, [&](const base::Error& error) {
    return says(error, Exit::data, words) && says(error, Exit::data, {"bad.h5"});
  });
}

hid_t created(void (*change)(hid_t)) {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  change(properties);
  return properties;
}

const std::string some_text = "onetwothree";

}  // namespace

BOOST_AUTO_TEST_SUITE(corpus)

BOOST_AUTO_TEST_CASE(words_as_the_harness_counts_them) {
  // len(re.split(r"\s+", text)) of Python
  const std::vector<std::pair<std::string, int>> cases{{"", 1},
                                                       {"one", 1},
                                                       {"one two", 2},
                                                       {" one", 2},
                                                       {"one \n", 2},
                                                       {"a\t\r\n b\v", 3},
                                                       {"a\xc2\xa0"
                                                        "b",
                                                        2},
                                                       {"a\xe3\x80\x80"
                                                        "b",
                                                        2},
                                                       {"a\xe2\x80\x8b"
                                                        "b",
                                                        1},
                                                       {"a\x1c"
                                                        "b",
                                                        2},
                                                       {"\xe2\x80\xa8\xe2\x80\xaf", 2}};
  for (const auto& [text, words] : cases) BOOST_TEST(store::count_words(text) == words, text);
}

BOOST_AUTO_TEST_CASE(a_good_corpus_and_spans_of_it) {
  const Folder folder;
  {
    CorpusMaker maker(folder / "good.h5");
    maker.offsets();
    maker.text();
  }
  const auto corpus = store::open_corpus(folder / "good.h5");
  BOOST_TEST(corpus->info().documents == 3);
  BOOST_TEST(corpus->info().text_bytes == 11);
  const store::Documents documents = corpus->read(1, 2);
  BOOST_TEST(documents.first == 1);
  BOOST_TEST(documents.text_of(0) == "two");
  BOOST_TEST(documents.text_of(1) == "three");
  BOOST_TEST(corpus->offsets(1, 2) == (std::vector<std::uint64_t>{3, 6, 11}));
  BOOST_TEST(corpus->read(3, 0).count() == 0);
  BOOST_CHECK_EXCEPTION(corpus->read(2, 2), base::Error,
                        [](const base::Error& error) { return says(error, Exit::internal, {"of 4"}); });
}

BOOST_AUTO_TEST_CASE(bad_documents_are_rows) {
  const Folder folder;
  {
    CorpusMaker maker(folder / "rows.h5");
    maker.offsets({0, 3, 3, 6, 30, 32, 35});
    maker.text("one\xff\xfe\xfd" + std::string(24, 'x') + "\xc3\xa9six");
    const std::uint8_t status[] = {0, 0, 0, 0, 3, 0};
    maker.dataset("/doc/status", H5T_NATIVE_UINT8, {6}, status);
  }
  const auto corpus = store::open_corpus(folder / "rows.h5", 20);
  const store::Documents documents = corpus->read(0, 6);
  BOOST_TEST((documents.status == std::vector<Intake>{Intake::ok, Intake::empty, Intake::invalid_utf8, Intake::too_long,
                                                      Intake::missing_field, Intake::ok}));
  BOOST_TEST(documents.text_of(0) == "one");
  BOOST_TEST(documents.text_of(3) == "");
  BOOST_TEST(documents.text_of(4) == "");
  BOOST_TEST(documents.text_of(5) == "six");
}

BOOST_AUTO_TEST_CASE(identity_is_of_values_not_of_their_form) {
  const Folder folder;
  const auto make = [&](const std::string& name, const std::string& text, hid_t type) {
    {
      CorpusMaker maker(folder / name);
      maker.offsets();
      maker.text(text);
      const std::vector<std::int64_t> ids{1, 2, 3};
      const hid_t properties = created([](hid_t p) {
        const hsize_t chunk = 2;
        H5Pset_chunk(p, 1, &chunk);
      });
      maker.dataset("/doc/id", type, {3}, nullptr, properties);
      const hid_t dataset = H5Dopen2(maker.file(), "/doc/id", H5P_DEFAULT);
      H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids.data());
      H5Dclose(dataset);
    }
    return store::open_corpus(folder / name)->digest().hex();
  };
  const std::string digest = make("a.h5", some_text, H5T_NATIVE_INT64);
  BOOST_TEST(make("b.h5", some_text, H5T_STD_U16BE) == digest);
  BOOST_TEST(make("c.h5", "onetwothrEe", H5T_NATIVE_INT64) != digest);
}

BOOST_AUTO_TEST_CASE(offsets_are_checked) {
  refused({"no dataset /doc/offsets"}, [](CorpusMaker& maker) { maker.text(); });
  refused({"neither /doc/text and /doc/tokens"}, [](CorpusMaker& maker) { maker.offsets(); });
  refused({"both"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.text();
    maker.dataset("/doc/tokens", H5T_NATIVE_UINT8, {11}, some_text.data());
  });
  refused({"0 to 12", "0 to 11"}, [](CorpusMaker& maker) {
    maker.offsets({0, 3, 6, 12});
    maker.text();
  });
  refused({"from 1 to 11"}, [](CorpusMaker& maker) {
    maker.offsets({1, 3, 6, 11});
    maker.text();
  });
  refused({"/doc/offsets[2] is 2, expected 3 to 11"}, [](CorpusMaker& maker) {
    maker.offsets({0, 3, 2, 11});
    maker.text();
  });
  refused({"/doc/offsets: element 1 is -3"}, [](CorpusMaker& maker) {
    maker.offsets({0, -3, 6, 11});
    maker.text();
  });
}

BOOST_AUTO_TEST_CASE(types_are_checked) {
  refused({"expected one number more"}, [](CorpusMaker& maker) {
    maker.offsets({});
    maker.text();
  });
  refused({"/doc/offsets", "float64", "expected integers"}, [](CorpusMaker& maker) {
    const double values[] = {0, 3, 6, 11};
    maker.dataset("/doc/offsets", H5T_NATIVE_DOUBLE, {4}, values);
    maker.text();
  });
  refused({"/doc/text holds int32, expected uint8"}, [](CorpusMaker& maker) {
    const std::int32_t values[11] = {};
    maker.offsets();
    maker.dataset("/doc/text", H5T_NATIVE_INT32, {11}, values);
  });
  refused({"has 3 dimensions"}, [](CorpusMaker& maker) {
    const std::uint8_t values[8] = {};
    maker.offsets();
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {2, 2, 2}, values);
  });
  refused({"/doc/id holds 2 x 1 elements, expected 3 x 1"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.text();
    maker.dataset("/doc/id", H5T_NATIVE_UINT8, {2}, "xx");
  });
  refused({"/doc/status[1] is 77"}, [](CorpusMaker& maker) {
    const std::uint8_t values[] = {0, 77, 0};
    maker.offsets();
    maker.text();
    maker.dataset("/doc/status", H5T_NATIVE_UINT8, {3}, values);
  });
  refused({"type that is not read here"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.text();
    maker.dataset("/doc/id", H5T_STD_REF_OBJ, {3}, nullptr);
  });
}

BOOST_AUTO_TEST_CASE(other_formats_and_newer_versions_are_refused) {
  refused({"thresher-results", "expected a thresher-corpus"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.text();
    maker.attribute("format", "thresher-results");
  });
  refused({"version 2", "reads up to 1"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.text();
    maker.attribute("format", "thresher-corpus");
    maker.attribute("version", 2);
  });
  refused({"version", "not one integer"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.text();
    maker.attribute("version", "one");
  });
  const Folder folder;
  BOOST_CHECK_EXCEPTION(store::open_corpus(folder / "none.h5"), base::Error, [](const base::Error& error) {
    return says(error, Exit::no_input, {"none.h5", "No such file"});
  });
  BOOST_CHECK_EXCEPTION(store::open_corpus(folder.put("text.h5", "just text")), base::Error,
                        [](const base::Error& error) {
                          return says(error, Exit::data, {"text.h5", "not a complete HDF5 file"});
                        });
}

BOOST_AUTO_TEST_CASE(nothing_outside_the_file_is_read) {
  const Folder folder;
  const std::string secret = folder.put("secret", "do not read").string();
  refused({"/doc/text", "external storage"}, [&](CorpusMaker& maker) {
    maker.offsets();
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, secret.c_str(), 0, 11);
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {11}, nullptr, properties);
    H5Pclose(properties);
  });
  refused({"/doc/text is an external link"}, [&](CorpusMaker& maker) {
    maker.offsets();
    H5Lcreate_external((folder / "other.h5").c_str(), "/doc/text", maker.file(), "/doc/text", H5P_DEFAULT, H5P_DEFAULT);
  });
  refused({"/doc/text is a soft link"}, [](CorpusMaker& maker) {
    maker.offsets();
    H5Lcreate_soft("/doc/text", maker.file(), "/doc/text", H5P_DEFAULT, H5P_DEFAULT);
  });
  refused({"/doc is a soft link"},
          [](CorpusMaker& maker) { H5Lcreate_soft("/", maker.file(), "/doc", H5P_DEFAULT, H5P_DEFAULT); });
  refused({"/doc/text", "virtual dataset"}, [&](CorpusMaker& maker) {
    maker.offsets();
    const hsize_t size = 11;
    const hid_t space = H5Screate_simple(1, &size, nullptr), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(properties, space, "other.h5", "/doc/text", space);
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {11}, nullptr, properties);
    H5Pclose(properties);
    H5Sclose(space);
  });
}

BOOST_AUTO_TEST_CASE(filters_bombs_and_huge_sizes_are_refused) {
  refused({"/doc/text is compressed with filter 3", "deflate and shuffle"}, [](CorpusMaker& maker) {
    maker.offsets();
    const hid_t properties = created([](hid_t p) {
      const hsize_t chunk = 11;
      H5Pset_chunk(p, 1, &chunk);
      H5Pset_fletcher32(p);
    });
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {11}, some_text.data(), properties);
  });
  refused({"/doc/text declares 1125899906842624 bytes but 0 are stored"}, [](CorpusMaker& maker) {
    maker.offsets();
    const hid_t properties = created([](hid_t p) {
      const hsize_t chunk = 1024;
      H5Pset_chunk(p, 1, &chunk);
    });
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {hsize_t{1} << 50}, nullptr, properties);
  });
  refused({"/doc/text declares 4294967296 bytes but 0 are stored"}, [](CorpusMaker& maker) {
    maker.offsets();
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {hsize_t{1} << 32}, nullptr);
  });
  refused({"chunks of 300000000"}, [](CorpusMaker& maker) {
    maker.offsets();
    const hid_t properties = created([](hid_t p) {
      const hsize_t chunk = 300000000;
      H5Pset_chunk(p, 1, &chunk);
    });
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {300000000}, nullptr, properties);
  });
  refused({"decompression bomb"}, [](CorpusMaker& maker) {
    constexpr hsize_t size = hsize_t{128} << 20;
    maker.offsets({0, static_cast<std::int64_t>(size)});
    const hid_t properties = created([](hid_t p) {
      const hsize_t chunk = hsize_t{64} << 20;
      H5Pset_chunk(p, 1, &chunk);
      H5Pset_deflate(p, 9);
    });
    const std::vector<std::uint8_t> zeros(size);
    maker.dataset("/doc/text", H5T_NATIVE_UINT8, {size}, zeros.data(), properties);
  });
}

// A cut or flipped file gives an error or other bytes, never a crash.
BOOST_AUTO_TEST_CASE(damaged_files_do_not_crash) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += "{\"id\": \"row " + std::to_string(i) + "\", \"text\": \"some text " + std::to_string(i) + "\"}\n";
  const std::vector<base::Path> inputs{folder.put("in.jsonl", text)};
  store::import_files(inputs, folder / "good.h5", folder / "rejects.jsonl", {});
  const std::string good = base::read_all(base::real_files(), folder / "good.h5", 1 << 20);
  for (std::size_t size = 0; size < good.size(); size += 512) {
    BOOST_CHECK_EXCEPTION(read_all_of(folder.put("cut.h5", good.substr(0, size))), base::Error,
                          [](const base::Error& error) { return says(error, Exit::data, {"cut.h5"}); });
  }
  std::mt19937 random(20240607);
  int refusals = 0;
  for (int i = 0; i < 500; ++i) {
    std::string flipped = good;
    const std::size_t at = random() % (i % 2 == 0 ? 2048 : good.size());
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random() % 8)));
    try {
      read_all_of(folder.put("flipped.h5", flipped));
    } catch (const base::Error& error) {
      BOOST_TEST(says(error, Exit::data, {"flipped.h5"}));
      ++refusals;
    }
  }
  BOOST_TEST(refusals > 20);
}

BOOST_AUTO_TEST_SUITE_END()
