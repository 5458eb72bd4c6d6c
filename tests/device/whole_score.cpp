#include "device/whole_score.h"

#include <cstring>
#include <vector>

namespace thresher::device::contract {
namespace {

// A tensor on the device and its copy on the host.
class Mirror {
 public:
  Mirror(Device& device, DType dtype, std::int64_t rows, std::int64_t columns)
      : device_(device),
        there_(device.allocate(rows * columns * tensor::size_of(dtype))),
        here_(tensor::host_buffer(rows * columns * tensor::size_of(dtype))),
        view_(tensor::matrix(there_.data(), dtype, rows, columns)) {}

  const Tensor& view() const { return view_; }
  Tensor host() const { return tensor::matrix(here_.data(), view_.dtype, view_.rows, view_.columns); }
  void read() { device_.download(view_, host()); }
  void write() { device_.upload(host(), view_); }
  template <class T>
  T* row(std::int64_t r) const {
    return host().row<T>(r);
  }

 private:
  Device& device_;
  Buffer there_, here_;
  Tensor view_;
};

struct Answer {
  Answer(Device& device, std::int64_t rows, std::int64_t top)
      : reference(device, DType::f32, vocabulary_segments, rows),
        sum(device, DType::f32, vocabulary_segments, rows),
        weighted(device, DType::f32, vocabulary_segments, rows),
        above(device, DType::i32, 1, rows),
        found(device, DType::f32, 1, rows),
        expected(device, DType::f32, 1, rows),
        top_id(device, DType::i32, rows, top),
        top_logit(device, DType::f32, rows, top) {}

  Mirror reference, sum, weighted, above, found, expected, top_id, top_logit;

  SoftmaxPart softmax(std::int64_t r) const {
    SoftmaxPart parts[vocabulary_segments];
    for (std::int64_t s = 0; s < vocabulary_segments; ++s)
      parts[s] = {reference.row<float>(s)[r], sum.row<float>(s)[r], weighted.row<float>(s)[r]};
    return merge(parts);
  }
};

void write(Device& device, const Answer& answer, const ScoreOutput& out, std::int64_t rows, std::int64_t top) {
  Mirror logprob(device, DType::f32, 1, rows), entropy(device, DType::f32, 1, rows),
      top_logprob(device, DType::f32, rows, top);
  for (std::int64_t r = 0; r < rows; ++r) {
    const SoftmaxPart whole = answer.softmax(r);
    logprob.row<float>(0)[r] = logprob_of(whole, answer.found.row<float>(0)[r]);
    entropy.row<float>(0)[r] = entropy_of(whole);
    for (std::int64_t i = 0; i < top; ++i) {
      const float logit = answer.top_logit.row<float>(r)[i];
      top_logprob.row<float>(r)[i] = answer.top_id.row<std::int32_t>(r)[i] < 0 ? logit : logprob_of(whole, logit);
    }
  }
  if (out.logprob) device.upload(logprob.host(), out.logprob);
  if (out.entropy) device.upload(entropy.host(), out.entropy);
  if (out.rank) device.upload(answer.above.host(), out.rank);
  if (out.top_id) device.upload(answer.top_id.host(), out.top_id);
  if (out.top_logprob) device.upload(top_logprob.host(), out.top_logprob);
}

}  // namespace

void score_whole(Device& device, const Tensor& hidden, const Weight& head, const Tensor& targets,
                 const ScoreOutput& out) {
  const std::int64_t rows = hidden.rows;
  if (rows == 0) return;
  const std::int64_t top = out.top_id ? out.top_id.columns : out.top_logprob ? out.top_logprob.columns : 0;
  Answer answer(device, rows, top);
  const auto cuts = vocabulary_cuts(head.outputs());
  ScoreQuestion question{.targets = targets, .first_id = 0, .cuts = cuts, .target_logits = {}};
  if (out.rank) question.target_logits = answer.expected.view();
  ScoreParts parts{.reference = answer.reference.view(),
                   .sum = answer.sum.view(),
                   .weighted = answer.weighted.view(),
                   .above = out.rank ? answer.above.view() : Tensor{},
                   .found = answer.found.view(),
                   .top_id = top ? answer.top_id.view() : Tensor{},
                   .top_logit = top ? answer.top_logit.view() : Tensor{}};
  if (out.rank) device.target_logits(hidden, head, targets, 0, answer.expected.view());
  device.score(hidden, head, question, parts);
  answer.found.read();
  if (out.rank) {
    answer.expected.read();
    if (std::memcmp(answer.expected.row<float>(0), answer.found.row<float>(0), static_cast<std::size_t>(rows) * 4)) {
      std::memcpy(answer.expected.row<float>(0), answer.found.row<float>(0), static_cast<std::size_t>(rows) * 4);
      answer.expected.write();
      device.score(hidden, head, question, parts);
    }
  }
  for (Mirror* mirror :
       {&answer.reference, &answer.sum, &answer.weighted, &answer.above, &answer.top_id, &answer.top_logit})
    mirror->read();
  write(device, answer, out, rows, top);
}

}  // namespace thresher::device::contract
