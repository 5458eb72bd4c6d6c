// Parts of a text (delimiters and what lies between) to pieces, by what becomes of the delimiters.
#pragma once

#include <cstddef>
#include <optional>

#include "text/pretokenize.h"

namespace thresher::text {

// Takes contiguous parts in order and passes pieces on; finish() passes what waits for its neighbour.
class Splitter {
 public:
  Splitter(const Piece& piece, Behaviour behaviour, const Flow& next)
      : piece_(piece), behaviour_(behaviour), next_(next) {}

  void take(std::size_t begin, std::size_t end, bool delimiter) {
    switch (behaviour_) {
      case Behaviour::removed:
        if (!delimiter) pass({begin, end, delimiter});
        return;
      case Behaviour::isolated:
        return pass({begin, end, delimiter});
      case Behaviour::contiguous:
        return join_or_wait({begin, end, delimiter}, waiting_ && waiting_->delimiter == delimiter);
      case Behaviour::merged_with_previous:
        return join_or_wait({begin, end, delimiter}, waiting_ && delimiter && !waiting_->delimiter);
      case Behaviour::merged_with_next:
        return join_or_wait({begin, end, delimiter}, waiting_ && waiting_->delimiter && !delimiter);
    }
  }

  void finish() {
    if (waiting_) pass(*waiting_);
    waiting_.reset();
  }

 private:
  struct Part {
    std::size_t begin;
    std::size_t end;
    bool delimiter;
  };

  void join_or_wait(Part part, bool join) {
    if (join) {
      waiting_->end = part.end;
      waiting_->delimiter = part.delimiter;
    } else {
      finish();
      waiting_ = part;
    }
  }

  void pass(const Part& part) const { next_.pass(piece_.part(part.begin, part.end)); }

  const Piece& piece_;
  Behaviour behaviour_;
  const Flow& next_;
  std::optional<Part> waiting_;
};

// Every character for which `is_delimiter` holds is a delimiter of its own.
template <typename IsDelimiter>
void split_on_characters(const Piece& piece, Behaviour behaviour, const Flow& next, IsDelimiter&& is_delimiter) {
  Splitter splitter(piece, behaviour, next);
  std::size_t begin = 0;
  for (std::size_t at = 0; at < piece.text.size();) {
    const CodePoint point = decode_at(piece.text.data() + at);
    if (is_delimiter(point.code)) {
      if (begin < at) splitter.take(begin, at, false);
      begin = at + point.size;
      splitter.take(at, begin, true);
    }
    at += point.size;
  }
  if (begin < piece.text.size()) splitter.take(begin, piece.text.size(), false);
  splitter.finish();
}

}  // namespace thresher::text
