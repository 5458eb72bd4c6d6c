#include "model/made_tokenizer.h"

#include <fmt/format.h>

#include <deque>
#include <string>
#include <vector>

namespace thresher::model {
namespace {

// GPT-2's letters for the 256 bytes: printable Latin-1 stands for itself, the rest for code points from 256 on.
std::vector<std::string> byte_letters() {
  const auto utf8 = [](int code) {
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return std::string{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
  };
  std::vector<std::string> letters;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    letters.push_back(utf8(printable ? byte : next++));
  }
  return letters;
}

std::string quoted(const std::string& token) {
  std::string text = "\"";
  for (const char c : token) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

// A word's beginning and one more lower-case letter, shortest first: every such token has one way to come about, and
// words of real text fall into pieces of a few letters.
struct Merges {
  std::string vocabulary, merges;
};

Merges make_merges(const std::vector<std::string>& letters, std::int64_t count, std::int64_t first_id) {
  Merges made;
  std::deque<std::string> beginnings{letters[' ']};
  for (int letter = 'a'; letter <= 'z'; ++letter) beginnings.push_back(letters[static_cast<std::size_t>(letter)]);
  for (std::int64_t done = 0; done < count;) {
    const std::string beginning = beginnings.front();
    beginnings.pop_front();
    for (int letter = 'a'; letter <= 'z' && done < count; ++letter, ++done) {
      const char c = static_cast<char>(letter);
      const std::string token = beginning + c;
      made.vocabulary += fmt::format(",\n{}: {}", quoted(token), first_id + done);
      made.merges += fmt::format("{}{}", done == 0 ? "\n" : ",\n", quoted(beginning + ' ' + c));
      beginnings.push_back(token);
    }
  }
  return made;
}

}  // namespace

void write_made_tokenizer(base::FileSystem& files, const base::Path& directory, std::int64_t vocabulary) {
  const std::vector<std::string> letters = byte_letters();
  std::string tokens = fmt::format("\"<s>\": {},\n\"</s>\": {}", made_bos, made_eos);
  for (std::size_t byte = 0; byte < letters.size(); ++byte)
    tokens += fmt::format(",\n{}: {}", quoted(letters[byte]), byte + 2);
  const Merges made = make_merges(letters, vocabulary - made_vocabulary_least, made_vocabulary_least);
  const auto added = [](std::int64_t id, std::string_view content) {
    return fmt::format(
        R"({{"id": {}, "content": "{}", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}})",
        id, content);
  };
  const std::string text = fmt::format(
      R"({{"version": "1.0", "truncation": null, "padding": null,
"added_tokens": [{}, {}],
"normalizer": null,
"pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}},
"post_processor": {{"type": "TemplateProcessing",
"single": [{{"SpecialToken": {{"id": "<s>", "type_id": 0}}}}, {{"Sequence": {{"id": "A", "type_id": 0}}}}],
"pair": [{{"SpecialToken": {{"id": "<s>", "type_id": 0}}}}, {{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"Sequence": {{"id": "B", "type_id": 1}}}}],
"special_tokens": {{"<s>": {{"id": "<s>", "ids": [{}], "tokens": ["<s>"]}}}}}},
"decoder": {{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}},
"model": {{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": {{
{}{}
}}, "merges": [{}]}}}}
)",
      added(made_bos, "<s>"), added(made_eos, "</s>"), made_bos, tokens, made.vocabulary, made.merges);
  base::write_atomically(files, directory / "tokenizer.json", text);
  base::write_atomically(files, directory / "tokenizer_config.json", std::string_view(R"({
  "bos_token": "<s>",
  "eos_token": "</s>",
  "tokenizer_class": "PreTrainedTokenizerFast"
}
)"));
}

}  // namespace thresher::model
