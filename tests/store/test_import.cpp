#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "base/ram_files.h"
#include "store/compressed.h"
#include "store/fixture.h"
#include "thresher/store/import.h"

using namespace thresher;
using base::Exit;
using store::Format;
using store::ImportOptions;
using store::ImportReport;
using store::Intake;
using tests::Folder;
using tests::says;

namespace {

struct Imported {
  ImportReport report;
  store::Documents documents;
  std::vector<std::string> ids;
  std::string rejects;
  std::string bytes;  // of the corpus file
};

Imported import(const Folder& folder, const std::vector<base::Path>& inputs, const ImportOptions& options) {
  const base::Path output = folder / "corpus.h5", rejects = folder / "rejects.jsonl";
  Imported imported;
  imported.report = store::import_files(inputs, output, rejects, options);
  const auto corpus = store::open_corpus(output);
  imported.documents = corpus->read(0, corpus->info().documents);
  imported.ids = corpus->ids(0, corpus->info().documents);
  BOOST_TEST(corpus->info().documents == imported.report.documents);
  BOOST_TEST(corpus->info().source_digest == imported.report.digest);
  imported.rejects = base::read_all(base::real_files(), rejects, 1 << 30);
  imported.bytes = base::read_all(base::real_files(), output, 1 << 30);
  return imported;
}

Imported import_text(std::string_view text, const ImportOptions& options, const std::string& name = "in") {
  const Folder folder;
  return import(folder, {folder.put(name, text)}, options);
}

std::vector<std::string> texts(const Imported& imported) {
  std::vector<std::string> all;
  for (std::int64_t i = 0; i < imported.documents.count(); ++i) all.emplace_back(imported.documents.text_of(i));
  return all;
}

using Texts = std::vector<std::string>;
using Statuses = std::vector<Intake>;

ImportOptions with(Format format) {
  ImportOptions options;
  options.format = format;
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(import_of_text)

BOOST_AUTO_TEST_CASE(lines_are_documents) {
  const Imported imported = import_text("\xef\xbb\xbfone\r\n\ntwo \xc3\xa9\nbad \xff line\nlast", with(Format::lines));
  BOOST_TEST(texts(imported) == (Texts{"one", "", "two \xc3\xa9", "", "last"}));
  BOOST_TEST(
      (imported.documents.status == Statuses{Intake::ok, Intake::empty, Intake::ok, Intake::invalid_utf8, Intake::ok}));
  BOOST_TEST(imported.ids == (Texts{"0", "1", "2", "3", "4"}));
  BOOST_TEST(imported.report.rejected == 2);
  BOOST_TEST(
      imported.rejects.find("\"line\": 4, \"status\": \"invalid_utf8\", \"reason\": \"invalid UTF-8 at byte 4\"") !=
      std::string::npos);
}

BOOST_AUTO_TEST_CASE(paragraphs_end_at_blank_lines) {
  const Imported imported = import_text("\n\nfirst\r\nsecond\r\n \r\n\n\nthird\n\n", with(Format::paragraphs));
  BOOST_TEST(texts(imported) == (Texts{"first\nsecond", "third"}));
}

BOOST_AUTO_TEST_CASE(fortunes_end_at_percent_signs) {
  ImportOptions options = with(Format::paragraphs);
  options.separator = "%";
  const Imported imported = import_text("A man\n\nhis dog\n%\n100%\n%\n%\n%% no end\n%\n", options);
  BOOST_TEST(texts(imported) == (Texts{"A man\n\nhis dog", "100%", "%% no end"}));
}

BOOST_AUTO_TEST_CASE(files_are_documents_named_after_them) {
  const Folder folder;
  const Imported imported = import(
      folder, {folder.put("b.txt", "bee\r\n"), folder.put("a.txt.gz", tests::gzip("ay\n")), folder.put("empty", "")},
      with(Format::files));
  BOOST_TEST(texts(imported) == (Texts{"bee\r\n", "ay\n", ""}));
  BOOST_TEST(imported.ids == (Texts{"b.txt", "a.txt.gz", "empty"}));
  BOOST_TEST((imported.documents.status[2] == Intake::empty));
}

BOOST_AUTO_TEST_CASE(nothing_makes_an_empty_corpus) {
  const Imported imported = import_text("", with(Format::jsonl));
  BOOST_TEST(imported.report.documents == 0);
  BOOST_TEST(imported.rejects == "");
}

BOOST_AUTO_TEST_CASE(jsonl_rows_of_every_kind) {
  struct Row {
    std::string line;
    Intake status;
    std::string text, id, reason;
  };
  const std::vector<Row> rows{
      {R"({"id": "a", "text": "hello"})", Intake::ok, "hello", "a", ""},
      {R"({"text": "nul \u0000 and \ud83d\ude00"})", Intake::ok, std::string("nul \0 and \xf0\x9f\x98\x80", 14), "1",
       ""},
      {R"({"id": 42, "text": "number"})", Intake::ok, "number", "42", ""},
      {R"({"id": -7, "text": "number"})", Intake::ok, "number", "-7", ""},
      {R"({"id": 18446744073709551615, "text": "number"})", Intake::ok, "number", "18446744073709551615", ""},
      {R"({"id": null, "text": "no id"})", Intake::ok, "no id", "5", ""},
      {R"({"id": 1.5, "text": "x"})", Intake::bad_id, "", "6", "expected a string or a whole number"},
      {R"({"id": ["x"], "text": "x"})", Intake::bad_id, "", "7", "is an array"},
      {R"({"id": ")" + std::string(256, 'i') + R"(", "text": "x"})", Intake::ok, "x", std::string(256, 'i'), ""},
      {R"({"id": ")" + std::string(257, 'i') + R"(", "text": "x"})", Intake::bad_id, "", "9", "257 bytes, at most 256"},
      {R"({"id": "a\u0000b", "text": "x"})", Intake::bad_id, "", "10", "NUL"},
      {R"({"id": "b"})", Intake::missing_field, "", "b", "no field \\\"text\\\""},
      {R"({"id": "c", "text": null})", Intake::wrong_type, "", "c", "is null, expected a string"},
      {R"({"id": "d", "text": 5})", Intake::wrong_type, "", "d", "is a number, expected a string"},
      {R"({"id": "e", "text": ""})", Intake::empty, "", "e", "no text"},
      {R"(["text"])", Intake::wrong_type, "", "15", "the line is an array"},
      {R"({"text": "x")", Intake::not_json, "", "16", "not JSON"},
      {R"({"text": "x"} trailing)", Intake::not_json, "", "17", "not JSON"},
      {"{\"text\": \"\xff\"}", Intake::invalid_utf8, "", "18", "invalid UTF-8 at byte 10"},
      {R"({"text": "\ud800"})", Intake::invalid_utf8, "", "19", "surrogate"},
      {R"({"text": "\x"})", Intake::not_json, "", "20", "not JSON"},
      {std::string(5000, '['), Intake::not_json, "", "21", "not JSON"},
      {R"({"id": "f", "text": "last"})", Intake::ok, "last", "f", ""}};
  std::string file;
  for (const Row& row : rows) file += row.line + "\n  \n";
  const Imported imported = import_text(file, with(Format::jsonl));
  BOOST_REQUIRE(imported.documents.count() == static_cast<std::int64_t>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    BOOST_TEST_CONTEXT(rows[i].line.substr(0, 80)) {
      BOOST_TEST((imported.documents.status[i] == rows[i].status));
      BOOST_TEST(imported.documents.text_of(static_cast<std::int64_t>(i)) == rows[i].text);
      BOOST_TEST(imported.ids[i] == rows[i].id);
      if (rows[i].status == Intake::ok) continue;
      const std::string place = "{\"document\": " + std::to_string(i) + ", ";
      const std::size_t at = imported.rejects.find(place);
      BOOST_REQUIRE(at != std::string::npos);
      const std::string reject = imported.rejects.substr(at, imported.rejects.find('\n', at) - at);
      BOOST_TEST(reject.find(rows[i].reason) != std::string::npos, reject);
      BOOST_TEST(reject.find("\"line\": " + std::to_string(2 * i + 1) + ",") != std::string::npos, reject);
    }
  }
}

BOOST_AUTO_TEST_CASE(pairs_know_where_the_continuation_begins) {
  ImportOptions options;
  options.context_field = "ctx";
  options.continuation_field = "cont";
  const Imported imported = import_text(
      "{\"ctx\": \"caf\xc3\xa9\", \"cont\": \" au lait\"}\n{\"ctx\": \"\", \"cont\": \"x\"}\n{\"ctx\": "
      "\"a\"}\n{\"ctx\": \"a\", \"cont\": \"\"}",
      options);
  BOOST_TEST(texts(imported) == (Texts{"caf\xc3\xa9 au lait", "x", "", ""}));
  BOOST_TEST(imported.documents.split == (std::vector<std::int64_t>{5, 0, 0, 0}));
  BOOST_TEST((imported.documents.status == Statuses{Intake::ok, Intake::ok, Intake::missing_field, Intake::empty}));
}

BOOST_AUTO_TEST_CASE(tokens_instead_of_text) {
  for (const std::int64_t vocabulary : {256, 65536, 65537}) {
    ImportOptions options = with(Format::lines);
    options.tokenizer = "fingerprint";
    options.vocabulary = vocabulary;
    options.encode = [&](std::string_view text, std::int64_t&, std::vector<std::uint32_t>& ids) {
      for (const char c : text)
        ids.push_back(static_cast<std::uint32_t>(c) + static_cast<std::uint32_t>(vocabulary) - 256);
    };
    const Folder folder;
    const Imported imported = import(folder, {folder.put("in", "a b\n\nc")}, options);
    const auto top = static_cast<std::uint32_t>(vocabulary) - 256;
    BOOST_TEST(imported.documents.tokens == (std::vector<std::uint32_t>{'a' + top, ' ' + top, 'b' + top, 'c' + top}));
    BOOST_TEST(imported.documents.bytes == (std::vector<std::int64_t>{3, 0, 1}));
    BOOST_TEST(imported.documents.words == (std::vector<std::int64_t>{2, 0, 1}));
    BOOST_TEST(store::open_corpus(folder / "corpus.h5")->info().tokenizer == "fingerprint");
  }
}

BOOST_AUTO_TEST_CASE(a_document_that_the_encoder_refuses_is_a_row) {
  ImportOptions options = with(Format::lines);
  options.encode = [](std::string_view line, std::int64_t&, std::vector<std::uint32_t>& ids) {
    ids.push_back(7);
    if (line == "b") base::fail(Exit::data, "the pattern gave up");
  };
  const Imported imported = import_text("a\nb\nc\n", options);
  BOOST_TEST((imported.documents.status == Statuses{Intake::ok, Intake::no_tokens, Intake::ok}));
  BOOST_TEST(imported.documents.tokens == (std::vector<std::uint32_t>{7, 7}));
  BOOST_TEST(imported.rejects.find("the pattern gave up") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_error_of_the_encoder_ends_the_import) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 400000; ++i) text += "line " + std::to_string(i) + "\n";
  const std::vector<base::Path> inputs{folder.put("in", text)};
  ImportOptions options = with(Format::lines);
  options.threads = 3;
  options.encode = [](std::string_view line, std::int64_t&, std::vector<std::uint32_t>& ids) {
    if (line == "line 300000") base::fail(Exit::internal, "the tokenizer has a bug");
    ids.push_back(1);
  };
  BOOST_CHECK_EXCEPTION(import(folder, inputs, options), base::Error, [](const base::Error& error) {
    return says(error, Exit::internal, {"the tokenizer has a bug"});
  });
  BOOST_TEST(base::real_files().list(folder.path()) == (Texts{"in"}));
}

BOOST_AUTO_TEST_CASE(limits_are_exact) {
  ImportOptions options = with(Format::lines);
  options.document_limit = 10;
  BOOST_TEST((import_text("123456789\n1234567890\n12345678901\n", options).documents.status ==
              Statuses{Intake::ok, Intake::ok, Intake::too_long}));
  options = with(Format::jsonl);
  options.line_limit = 20;
  BOOST_TEST((import_text("{\"text\": \"123456789\"}\n{\"text\": \"12345678\"}\n", options).documents.status ==
              Statuses{Intake::too_long, Intake::ok}));
}

// Longer than what is kept in memory while waiting for an end.
BOOST_AUTO_TEST_CASE(endless_records_are_skipped) {
  const std::string endless(5 << 20, 'x');
  ImportOptions options = with(Format::lines);
  options.document_limit = 1 << 20;
  Imported imported = import_text("a\n" + endless + "\nb\nc\n" + endless, options);
  BOOST_TEST(texts(imported) == (Texts{"a", "", "b", "c", ""}));
  BOOST_TEST((imported.documents.status[1] == Intake::too_long));
  BOOST_TEST((imported.documents.status[4] == Intake::too_long));
  BOOST_TEST(imported.rejects.find("\"line\": 5,") != std::string::npos);

  options.format = Format::paragraphs;
  imported = import_text("a\n\n" + endless + "\n" + endless + "\n\nb\n\nc", options);
  BOOST_TEST(texts(imported) == (Texts{"a", "", "b", "c"}));

  options.format = Format::files;
  BOOST_TEST((import_text(endless, options).documents.status == Statuses{Intake::too_long}));

  options.format = Format::jsonl;
  options.line_limit = 1 << 20;
  imported = import_text("{\"text\": \"" + endless + "\"}\n{\"text\": \"b\"}\n", options);
  BOOST_TEST(texts(imported) == (Texts{"", "b"}));
}

BOOST_AUTO_TEST_CASE(compressed_files_of_several_members) {
  const std::string plain = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"c\"}\n";
  const Imported expected = import_text(plain, with(Format::jsonl));
  for (const auto compress : {tests::gzip, tests::zstd}) {
    const std::string members = compress(plain.substr(0, 20), 6) + compress("", 6) + compress(plain.substr(20), 6);
    BOOST_TEST(texts(import_text(members, with(Format::jsonl))) == texts(expected));
  }
  BOOST_TEST(texts(import_text(tests::gzip(plain) + std::string(5000, '\0'), with(Format::jsonl))) == texts(expected));
}

BOOST_AUTO_TEST_CASE(damaged_streams_keep_what_came_before) {
  std::string plain;
  for (int i = 0; i < 200000; ++i) plain += "line " + std::to_string(i * 7919 % 1000003) + "\n";
  for (const auto compress : {tests::gzip, tests::zstd}) {
    const std::string whole = compress(plain, 6);
    std::string flipped = whole;
    for (std::size_t i = 0; i < 64; ++i)
      flipped[whole.size() / 2 + i] = static_cast<char>(flipped[whole.size() / 2 + i] ^ 0x55);
    for (const std::string& bad :
         {whole.substr(0, whole.size() / 2), flipped, whole.substr(0, whole.size() - 1), whole + "rubbish"}) {
      const Imported imported = import_text(bad, with(Format::lines), "lines");
      BOOST_TEST(imported.report.rejected >= 1);  // a zstd frame without a checksum may give rubbish first
      BOOST_TEST((imported.documents.status.back() == Intake::damaged));
      BOOST_TEST(imported.documents.count() > (bad.size() < whole.size() / 2 + 1 ? 1000 : 1));
      BOOST_TEST(imported.documents.text_of(0) == "line 0");
      BOOST_TEST(imported.rejects.find("\"status\": \"damaged\", \"reason\": \"byte ") != std::string::npos);
    }
  }
  for (const std::string name : {"x.gz", "x.zst"}) {
    const Imported imported = import_text("plain text", with(Format::lines), name);
    BOOST_TEST((imported.documents.status == Statuses{Intake::damaged}));
    BOOST_TEST(imported.rejects.find("as the file's name says") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(bombs_are_refused) {
  const std::string zeros(100 << 20, '\0');
  for (const std::string& bomb : {tests::gzip(zeros), tests::zstd(zeros)}) {
    const Imported imported = import_text(bomb, with(Format::jsonl));
    BOOST_TEST((imported.documents.status == Statuses{Intake::damaged}));
    BOOST_TEST(imported.rejects.find("bomb") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(duplicate_ids_are_listed) {
  const Imported imported = import_text(
      "{\"id\": \"a\", \"text\": \"1\"}\n{\"id\": \"b\", \"text\": \"2\"}\n{\"id\": \"a\", \"text\": \"3\"}\n",
      with(Format::jsonl));
  BOOST_TEST(imported.report.duplicates == 1);
  BOOST_TEST(imported.report.rejected == 0);
  BOOST_TEST(
      imported.rejects ==
      "{\"document\": 2, \"id\": \"a\", \"status\": \"ok\", \"reason\": \"an earlier document has the same id\"}\n");
}

BOOST_AUTO_TEST_CASE(missing_inputs_end_the_import) {
  const Folder folder;
  const std::vector<base::Path> missing{folder.put("a", "x"), folder / "none"};
  BOOST_CHECK_EXCEPTION(import(folder, missing, {}), base::Error, [](const base::Error& error) {
    return says(error, Exit::no_input, {"none", "No such file"});
  });
  BOOST_CHECK_EXCEPTION(import(folder, {folder.path()}, {}), base::Error,
                        [](const base::Error& error) { return says(error, Exit::no_input, {"not a regular file"}); });
  const std::vector<std::string> names{(folder / "*.txt").string()};
  BOOST_CHECK_EXCEPTION(store::expand(names), base::Error,
                        [](const base::Error& error) { return says(error, Exit::no_input, {"*.txt"}); });
  BOOST_CHECK_EXCEPTION(store::format_of("xml"), base::Error, [](const base::Error& error) {
    return says(error, Exit::usage, {"xml", "jsonl"});
  });
}

BOOST_AUTO_TEST_CASE(names_expand_in_order) {
  const Folder folder;
  folder.put("b.txt", "");
  folder.put("a.txt", "");
  folder.put("c.jsonl.gz", "");
  const std::vector<std::string> names{(folder / "c.jsonl.gz").string(), (folder / "*.txt").string(),
                                       folder.path().string()};
  BOOST_TEST(
      (store::expand(names) == std::vector<base::Path>{folder / "c.jsonl.gz", folder / "a.txt", folder / "b.txt",
                                                       folder / "a.txt", folder / "b.txt", folder / "c.jsonl.gz"}));
  BOOST_TEST((store::guess_format("c.jsonl.gz") == Format::jsonl));
  BOOST_TEST((store::guess_format("c.txt.zst") == Format::files));
}

BOOST_AUTO_TEST_CASE(threads_and_spools_do_not_show) {
  const Folder folder;
  std::vector<base::Path> inputs;
  for (int file = 0; file < 7; ++file) {
    std::string text;
    for (int row = 0; row < 30000; ++row) {
      text += row % 1000 == 3
                  ? "{broken\n"
                  : "{\"id\": " + std::to_string(file * 7000 + row) + ", \"text\": \"row " + std::to_string(row * 31) +
                        std::string(static_cast<std::size_t>(row % 97), 'z') + "\"}\n";
    }
    inputs.push_back(folder.put("in" + std::to_string(file), file % 2 == 0 ? text : tests::zstd(text)));
  }
  ImportOptions options;
  const Imported expected = import(folder, inputs, options);
  BOOST_TEST(expected.report.duplicates > 0);
  for (const int threads : {2, 5}) {
    options.threads = threads;
    const Imported other = import(folder, inputs, options);
    BOOST_TEST((other.bytes == expected.bytes));
    BOOST_TEST(other.rejects == expected.rejects);
  }
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
    const std::vector<base::Path> spools{folder / "s0", folder / "s1", folder / "s2"};
    const std::span<const base::Path> all(inputs);
    const std::vector<ImportReport> reports{store::spool_files(all.first(cut), spools[0], options),
                                            store::spool_files(all.subspan(cut, 2), spools[1], options),
                                            store::spool_files(all.subspan(cut + 2), spools[2], options)};
    const ImportReport merged =
        store::merge_spools(spools, reports, folder / "corpus.h5", folder / "rejects.jsonl", options);
    BOOST_TEST(merged.documents == expected.report.documents);
    BOOST_TEST(merged.digest == expected.report.digest);
    BOOST_TEST((base::read_all(base::real_files(), folder / "corpus.h5", 1 << 30) == expected.bytes));
    BOOST_TEST((base::read_all(base::real_files(), folder / "rejects.jsonl", 1 << 30) == expected.rejects));
  }
  BOOST_TEST(base::real_files().list(folder.path()).size() == inputs.size() + 2);
}

// Disk errors at every operation: the import says so, leaves nothing, and works when it is repeated.
BOOST_AUTO_TEST_CASE(any_operation_may_fail) {
  const std::vector<base::Path> inputs{"/in/a", "/in/b"};
  const auto fill = [](tests::RamFiles& files) {
    files.put("/in/a", "{\"text\": \"a\"}\nbad\n");
    files.put("/in/b", "{\"text\": \"b\", \"id\": 9}\n");
    files.make_directories("/out");
    files.heal();
  };
  const auto import_ram = [&](tests::RamFiles& files) {
    store::import_files(inputs, "/out/corpus.h5", "/out/rejects.jsonl", {}, files);
    return files.content("/out/corpus.h5") + files.content("/out/rejects.jsonl");
  };
  tests::RamFiles undisturbed;
  fill(undisturbed);
  const std::string expected = import_ram(undisturbed);
  BOOST_TEST(undisturbed.names().size() == 4u);
  for (std::int64_t k = 0; k < undisturbed.operations(); ++k) {
    tests::RamFiles files;
    fill(files);
    files.fail_at(k, ENOSPC, false);
    try {
      import_ram(files);                                        // only removing a spool may fail without harm
      BOOST_TEST((k < 9 || k > undisturbed.operations() / 2));  // a spool has 9 files
    } catch (const base::Error& error) {
      BOOST_TEST(says(error, Exit::io, {"/out", "No space left"}));
    }
    files.heal();
    BOOST_TEST((import_ram(files) == expected));
  }
  for (std::int64_t k = 0; k < undisturbed.reads(); ++k) {
    tests::RamFiles files;
    fill(files);
    files.fail_read_at(k, EIO);
    BOOST_CHECK_EXCEPTION(import_ram(files), base::Error, [](const base::Error& error) {
      return says(error, Exit::io, {"cannot read", "Input/output"});
    });
    files.heal();
    BOOST_TEST((import_ram(files) == expected));
    BOOST_TEST(files.names() == undisturbed.names());
  }
}

BOOST_AUTO_TEST_SUITE_END()
