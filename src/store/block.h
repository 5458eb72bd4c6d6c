// Input files cut into blocks of whole records, so that threads can parse them apart.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "thresher/store/document.h"
#include "thresher/store/import.h"

namespace thresher::store {

// Whole records of one file; or, with `intake` other than ok, one record whose content is not here.
struct Block {
  std::int64_t number = 0;  // in the order of the corpus
  std::shared_ptr<const base::Path> file;
  std::int64_t line = 1;  // number of the first line in the file
  std::string bytes;
  Intake intake = Intake::ok;
  std::string reason;
};

// Bytes in as they come, blocks out.
class Cutter {
 public:
  using Emit = std::function<void(Block)>;
  Cutter(const ImportOptions& options, std::shared_ptr<const base::Path> file, Emit emit);

  void add(std::string_view bytes);
  // At the end of the file; `damage` is the input's, or empty. A record that a damage cuts is not kept.
  void finish(const std::string& damage);

 private:
  bool is_boundary(std::string_view line) const;
  std::size_t first_boundary();
  std::size_t last_boundary();
  void strip_mark();
  void emit_block(std::size_t size);
  void emit_record(Intake intake, std::string reason);

  const ImportOptions& options_;
  std::shared_ptr<const base::Path> file_;
  Emit emit_;
  std::int64_t limit_;  // bytes of a record that are kept waiting for its end
  std::string pending_;
  std::int64_t line_ = 1;    // number of the first line in pending_
  std::size_t scanned_ = 0;  // where to go on looking for boundaries
  bool begun_ = false;       // a byte order mark has been looked for
  bool skipping_ = false;    // inside a record that is too long
};

}  // namespace thresher::store
