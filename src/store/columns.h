// The columns of results, shared by parts, results.h5 and their readers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "store/hdf5_read.h"
#include "store/hdf5_write.h"
#include "thresher/store/result.h"

namespace thresher::store {

// Datasets of `rows` documents and `tokens` scored tokens, without /id, in the order of `column_bytes`.
std::vector<hdf5::ColumnPlan> plan_columns(const Columns& columns, std::int64_t rows, std::int64_t tokens);

// The bytes of each of them.
std::vector<std::span<const std::byte>> column_bytes(const Rows& rows, const Columns& columns);

// Index of /token/offsets in plan_columns; its values in results.h5 go on from part to part.
std::size_t offsets_column(const Columns& columns);

// Throws base::Error (internal) unless all of the columns have the sizes that `status` and `token_offsets` ask for.
void check_rows(const Rows& rows, const Columns& columns);

// Columns found in a results or part file.
Columns columns_of(const hdf5::InputFile& file);

// Offsets [first, first + count] of /token/offsets, which is of `tokens` rows in all. Throws base::Error (data) when
// they fall or are out of range.
std::vector<std::uint64_t> read_offsets(const hdf5::InputColumn& column, std::int64_t first, std::int64_t count,
                                        std::int64_t tokens);

// Documents [first, first + count) of an open results or part file.
class RowReader {
 public:
  RowReader(const hdf5::InputFile& file, const Columns& columns);
  std::int64_t rows() const { return status_.rows(); }
  std::int64_t tokens() const { return columns_.per_token ? token_id_->rows() : 0; }
  // With `with_tokens` false the per-token columns stay empty.
  Rows read(std::int64_t first, std::int64_t count, bool with_tokens) const;
  std::vector<std::uint64_t> offsets(std::int64_t first, std::int64_t count) const {
    return read_offsets(*offsets_, first, count, tokens());
  }

 private:
  void read_tokens(Rows& rows, std::int64_t first, std::int64_t count) const;

  std::string name_;
  Columns columns_;
  hdf5::InputColumn status_, scored_, logprob_, bytes_, words_;
  std::optional<hdf5::InputColumn> is_greedy_, offsets_, token_id_, token_logprob_, token_rank_, token_entropy_,
      top_id_, top_logprob_;
};

}  // namespace thresher::store
