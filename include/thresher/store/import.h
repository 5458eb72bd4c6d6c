// Rows in, corpus out: text and JSONL files to the HDF5 corpus, in bounded memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/file.h"

namespace thresher::store {

enum class Format : std::uint8_t { jsonl, lines, paragraphs, files };
// "jsonl" ...; throws base::Error (usage) listing the names.
Format format_of(std::string_view name);
// What `--format` defaults to for a file name: .jsonl and .json lines (also .gz, .zst) are jsonl, all else is files.
Format guess_format(const base::Path& path);

struct ImportOptions {
  Format format = Format::jsonl;
  std::string text_field = "text";
  std::string id_field = "id";
  std::string separator;  // paragraphs: the line between two documents ("%" for fortunes); empty: a blank line
  std::string context_field, continuation_field;  // both set: pairs instead of text_field
  int threads = 1;
  std::int64_t document_limit = 64 << 20;  // bytes of text; longer ones are kept as too_long
  std::int64_t line_limit = 256 << 20;     // bytes of a JSONL line
  // Text to token ids, called from many threads at once; empty: the corpus keeps text. For pairs `split` (a byte
  // offset) is replaced by the number of tokens before the continuation.
  std::function<void(std::string_view text, std::int64_t& split, std::vector<std::uint32_t>& ids)> encode;
  // Called now and then by the thread that imports: what it throws ends the import. May be empty.
  std::function<void()> between;
  std::string tokenizer;        // fingerprint, with encode
  std::int64_t vocabulary = 0;  // with encode: ids below 65,536 are stored as uint16
};

struct ImportReport {
  std::int64_t documents = 0;  // rows written, rejected ones included
  std::int64_t rejected = 0;
  std::int64_t duplicates = 0;   // ids seen before
  std::int64_t input_bytes = 0;  // as read from disk
  std::int64_t text_bytes = 0;
  // XXH3-128 of the input bytes; of a spool: of each of its files, one after the other.
  std::string digest;
};

// Expands globs, sorts nothing (the order given is the order of the corpus; a glob's matches are sorted).
// Throws base::Error (no_input) for a name that matches nothing.
std::vector<base::Path> expand(std::span<const std::string> names);

// Import in two steps so that ranks can share the work: each spools its own files, one rank merges the spools.
// A spool is a set of raw column files under the prefix `spool`.
// Every input becomes rows, good or bad, in order; the same rows whatever `threads` is. Throws base::Error: no_input or
// permission (before anything is written), io.
ImportReport spool_files(std::span<const base::Path> inputs, const base::Path& spool, const ImportOptions& options,
                         base::FileSystem& files = base::real_files());

// Concatenates spools in the given order into `output` (written under a temporary name, synced, renamed) and writes
// `rejects` (rejects.jsonl: file, line, reason); removes the spools. Ids seen more than once are counted and listed.
ImportReport merge_spools(std::span<const base::Path> spools, std::span<const ImportReport> reports,
                          const base::Path& output, const base::Path& rejects, const ImportOptions& options,
                          base::FileSystem& files = base::real_files());

// Both steps in one process.
ImportReport import_files(std::span<const base::Path> inputs, const base::Path& output, const base::Path& rejects,
                          const ImportOptions& options, base::FileSystem& files = base::real_files());

}  // namespace thresher::store
