// What the steps of any device may be asked; see thresher/device/device.h. Throws base::Error (internal).
#pragma once

#include <fmt/format.h>

#include "thresher/base/check.h"
#include "thresher/device/device.h"

namespace thresher::device {

inline void expect(bool right, const char* what) {
  if (!right) base::fail(base::Exit::internal, fmt::format("device call with impossible operands: {}", what));
}

inline void expect_copy(const Tensor& from, const Tensor& to) {
  expect(from.dtype == to.dtype && from.rows == to.rows && from.columns == to.columns, "a copy of another shape");
}

inline void expect_matmul(const Tensor& x, const Weight& weight, bool accumulate, const Tensor& out) {
  expect(x.columns == weight.inputs() && out.columns == weight.outputs() && x.rows == out.rows, "matmul's shapes");
  const bool quantised = weight.dtype() == DType::i8 && (x.dtype == DType::f32 || x.dtype == DType::bf16);
  expect((x.dtype == weight.dtype() || quantised) && (out.dtype == DType::f32 || (out.dtype == DType::bf16 && !accumulate)),
         "matmul's types");
}

inline void expect_add(const Tensor& x, const Tensor& bias, const Tensor& out) {
  expect(x.rows == out.rows && x.columns == out.columns && (!bias || bias.columns == out.columns), "add's shapes");
  expect(x.dtype == DType::f32 && out.dtype == DType::f32, "add's types");
}

inline void expect_target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, const Tensor& out) {
  expect(hidden.columns == head.inputs() && hidden.dtype == head.dtype() && targets.columns == hidden.rows &&
             out.columns == hidden.rows,
         "target_logits");
}

inline void expect_score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
                         const ScoreParts& parts) {
  const std::int64_t rows = hidden.rows, segments = static_cast<std::int64_t>(question.cuts.size()) - 1;
  expect(hidden.columns == head.inputs() && hidden.dtype == head.dtype() && question.targets.columns == rows &&
             parts.found.columns == rows && parts.reference.columns == rows && parts.sum.columns == rows,
         "score");
  expect(segments >= 1 && segments <= vocabulary_segments && question.cuts.front() == 0 &&
             question.cuts.back() == head.outputs() && parts.reference.rows == segments && parts.sum.rows == segments &&
             question.first_id % vocabulary_tile == 0,
         "score's segments");
  expect(!parts.weighted || (parts.weighted.columns == rows && parts.weighted.rows == segments), "score's entropy");
  expect(!question.target_logits || (question.target_logits.columns == rows && parts.above.columns == rows),
         "score's ranks");
  expect(!parts.top_id || (parts.top_id.rows == rows && parts.top_logit.rows == rows &&
                           parts.top_id.columns == parts.top_logit.columns),
         "score's best");
  for (std::size_t i = 1; i < question.cuts.size(); ++i)
    expect(question.cuts[i - 1] <= question.cuts[i] &&
               (question.cuts[i] % vocabulary_tile == 0 || question.cuts[i] == head.outputs()),
           "score's cuts");
}

}  // namespace thresher::device
