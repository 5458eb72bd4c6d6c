// How attention's calls are cut for cuDNN, and the text of who computes it.
#include <boost/test/unit_test.hpp>

#include "device/cuda/attention_choice.h"
#include "device/cuda/packing_plan.h"

namespace thresher::device::cuda {
namespace {

std::vector<HeadRun> runs(std::int64_t query_heads, std::int64_t kv_heads, std::int64_t group, std::int64_t skipped) {
  AttendOptions options;
  options.query_heads = query_heads;
  options.kv_heads = kv_heads;
  options.group = group;
  options.skipped = skipped;
  return runs_of(options);
}

std::vector<PackedChunk> chunks(const std::vector<std::int32_t>& starts, std::int64_t most_rows) {
  Sequences sequences;
  sequences.count = static_cast<std::int64_t>(starts.size()) - 1;
  sequences.host_starts = starts;
  return chunks_of(sequences, starts.back(), most_rows);
}

BOOST_AUTO_TEST_SUITE(cuda_attention)

BOOST_AUTO_TEST_CASE(buckets_hold_what_they_are_for) {
  const std::pair<std::int64_t, std::int64_t> sequences[] = {{1, 16}, {16, 16}, {17, 64}, {256, 256}, {257, 1024}};
  for (const auto& [count, bucket] : sequences) BOOST_TEST(sequences_bucket(count) == bucket);
  BOOST_TEST(sequences_bucket(most_sequences) == most_sequences);
  const std::pair<std::int64_t, std::int64_t> rows[] = {{1, 128},     {128, 128},     {129, 512},      {2048, 2048},
                                                        {2049, 8192}, {32768, 32768}, {131073, 524288}};
  for (const auto& [longest, bucket] : rows) BOOST_TEST(rows_bucket(longest) == bucket);
}

BOOST_AUTO_TEST_CASE(heads_are_cut_where_groups_end) {
  BOOST_TEST((runs(32, 8, 0, 0) == std::vector<HeadRun>{{0, 32, 0, 8}}));
  BOOST_TEST((runs(32, 8, 4, 0) == std::vector<HeadRun>{{0, 32, 0, 8}}));
  BOOST_TEST((runs(5, 1, 0, 0) == std::vector<HeadRun>{{0, 5, 0, 1}}));
  BOOST_TEST((runs(7, 3, 3, 1) == std::vector<HeadRun>{{0, 2, 0, 1}, {2, 3, 1, 1}, {5, 2, 2, 1}}));
  BOOST_TEST((runs(9, 4, 3, 2) == std::vector<HeadRun>{{0, 1, 0, 1}, {1, 6, 1, 2}, {7, 2, 3, 1}}));
  BOOST_TEST((runs(1, 1, 7, 3) == std::vector<HeadRun>{{0, 1, 0, 1}}));
  BOOST_TEST((runs(4, 2, 7, 5) == std::vector<HeadRun>{{0, 2, 0, 1}, {2, 2, 1, 1}}));
  BOOST_TEST(runs(0, 1, 4, 0).empty());
}

// Every head once, each with the kv head that AttendOptions says.
BOOST_AUTO_TEST_CASE(no_head_is_lost_or_misled) {
  for (std::int64_t group = 1; group <= 5; ++group)
    for (std::int64_t skipped = 0; skipped < group; ++skipped)
      for (std::int64_t heads = 1; heads <= 12; ++heads) {
        std::int64_t next = 0;
        const auto all = runs(heads, 12, group, skipped);
        BOOST_TEST(all.size() <= 3u);
        for (const HeadRun& run : all) {
          BOOST_TEST(run.first_query == next);
          BOOST_TEST(run.query_heads % run.kv_heads == 0);
          for (std::int64_t h = 0; h < run.query_heads; ++h)
            BOOST_TEST(run.first_kv + h / (run.query_heads / run.kv_heads) == (next + h + skipped) / group);
          next += run.query_heads;
        }
        BOOST_TEST(next == heads);
      }
}

BOOST_AUTO_TEST_CASE(sequences_are_cut_by_rows_and_by_number) {
  BOOST_TEST((chunks({0, 5, 5, 9}, 100) == std::vector<PackedChunk>{{0, 3, 0, 9, 5}}));
  BOOST_TEST((chunks({0, 5, 5, 9}, 8) == std::vector<PackedChunk>{{0, 2, 0, 5, 5}, {2, 1, 5, 4, 4}}));
  BOOST_TEST(
      (chunks({0, 3, 33, 36}, 8) == std::vector<PackedChunk>{{0, 1, 0, 3, 3}, {1, 1, 3, 30, 30}, {2, 1, 33, 3, 3}}));
  BOOST_TEST(chunks({0, 0, 0}, 8).empty());
  std::vector<std::int32_t> many(2501);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int32_t>(2 * i);
  BOOST_TEST((chunks(many, 1 << 20) ==
              std::vector<PackedChunk>{{0, 1024, 0, 2048, 2}, {1024, 1024, 2048, 2048, 2}, {2048, 452, 4096, 904, 2}}));
  Sequences unknown;
  unknown.count = 1500;
  unknown.longest = 40;
  BOOST_TEST(
      (chunks_of(unknown, 9000, 100) == std::vector<PackedChunk>{{0, 1024, 0, 9000, 40}, {1024, 476, 0, 9000, 40}}));
}

BOOST_AUTO_TEST_CASE(keys_and_choices_come_back) {
  for (const AttentionKey& key : {AttentionKey{DType::f32, 128}, {DType::bf16, 8}})
    BOOST_TEST((read_attention_key(text_of(key)) == key));
  const AttentionChoice own, engine{Engine{2, {{24, 7}, {3, 0}}}, "9.19.0"}, bare{Engine{0, {}}, "10.1"};
  for (const AttentionChoice& choice : {own, engine, bare})
    BOOST_TEST((read_attention_choice(text_of(choice)) == choice));
  BOOST_TEST(text_of(AttentionKey{DType::f32, 128}) == "f32 128");
  BOOST_TEST(text_of(own) == "own");
  BOOST_TEST(text_of(engine) == "cudnn 9.19.0 2 24=7 3=0");
}

BOOST_AUTO_TEST_CASE(damaged_keys_and_choices_are_refused) {
  for (const char* bad : {"", "f32", "f16 128", "f32 0", "f32 257", "f32 -1", "f32 12x", "f32 128 1", " 128"})
    BOOST_TEST(!read_attention_key(bad), bad);
  for (const char* bad : {"", "owner", "own ", "cudnn", "cudnn 9.19.0", "cudnn x 1", "cudnn  1", "cudnn 9.19.0 -1",
                          "cudnn 9.19.0 1 24", "cudnn 9.19.0 1 24=", "cudnn 9.19.0 1 =7", "cudnn 9.19.0 1 24=-7",
                          "cudnn 9.19.0 1  24=7", "cudnn 9.19.0 99999999999999999999"})
    BOOST_TEST(!read_attention_choice(bad), bad);
  BOOST_TEST(!read_attention_by("fast"));
  BOOST_TEST((read_attention_by("cudnn") == AttentionBy::cudnn));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
