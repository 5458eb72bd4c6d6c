#include <boost/test/unit_test.hpp>

#include "thresher/base/check.h"
#include "thresher/engine/encode.h"
#include "thresher/text/tokenizer.h"

namespace thresher::engine {
namespace {

using text::TokenId;

// Gives each byte as an id; one text is too much for it, and for another there is no memory.
class Bytes : public text::Tokenizer {
 public:
  void encode(std::string_view text, bool, std::vector<TokenId>& ids) const override {
    for (const char c : text.substr(0, 2)) ids.push_back(static_cast<unsigned char>(c));
    if (text == "give up") base::fail(base::Exit::data, "the pattern gave up");
    if (text == "no memory") base::fail(base::Exit::os, "no memory for a pattern");
    for (const char c : text.substr(2)) ids.push_back(static_cast<unsigned char>(c));
  }
  std::string decode(std::span<const TokenId>, bool) const override { return {}; }
  std::int64_t vocabulary_size() const override { return 256; }
  std::optional<TokenId> id_of(std::string_view) const override { return {}; }
  std::string token_of(TokenId) const override { return {}; }
  std::span<const TokenId> special_prefix() const override { return {}; }
  std::span<const TokenId> special_suffix() const override { return {}; }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  std::string fingerprint_ = "bytes";
};

store::Documents documents_of(const std::vector<std::string>& texts) {
  store::Documents documents;
  documents.offsets = {0};
  for (const std::string& text : texts) {
    documents.text += text;
    documents.offsets.push_back(documents.text.size());
    documents.status.push_back(store::Intake::ok);
  }
  documents.split.assign(texts.size(), 0);
  return documents;
}

EncodedShard encoded(const std::vector<std::string>& texts) {
  const Bytes tokenizer;
  EncodePolicy policy;
  policy.tokenizer = &tokenizer;
  policy.vocabulary = 256;
  return encode(documents_of(texts), 0, policy);
}

BOOST_AUTO_TEST_SUITE(encoding)

BOOST_AUTO_TEST_CASE(a_document_that_cannot_be_encoded_is_a_row) {
  const EncodedShard shard = encoded({"abc", "give up", "de"});
  BOOST_TEST_REQUIRE(shard.count() == 3);
  BOOST_TEST((shard.items[0].status == store::Status::ok && shard.items[2].status == store::Status::ok));
  BOOST_TEST((shard.items[1].status == store::Status::rejected));
  BOOST_TEST(shard.items[1].reason == "the pattern gave up");
  BOOST_TEST(shard.tokens == (std::vector<TokenId>{'a', 'b', 'c', 'd', 'e'}));
}

BOOST_AUTO_TEST_CASE(a_lack_of_memory_is_no_fault_of_the_document) {
  BOOST_CHECK_EXCEPTION(encoded({"abc", "no memory"}), base::Error,
                        [](const base::Error& error) { return error.code() == base::Exit::os; });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::engine
