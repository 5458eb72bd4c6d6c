// The normalizer, pre_tokenizer and decoder of a tokenizer.json.
#include <fmt/core.h>

#include <cstdint>
#include <utility>

#include "text/assemble.h"
#include "text/unicode_scripts.h"

namespace thresher::text {
namespace {

constexpr std::size_t most_stages = 64;

// Calls take(field) for every component of nested Sequences, in order.
template <typename Take>
void each_component(const Field& field, std::string_view list, Take&& take) {
  if (!field.present()) return;
  if (field["type"].text() != "Sequence") return take(field);
  for (const Field& element : field[list].elements()) each_component(element, list, take);
}

template <typename Stage, typename Read>
std::vector<std::unique_ptr<Stage>> read_all(const Field& field, std::string_view list, Read&& read) {
  std::vector<std::unique_ptr<Stage>> stages;
  each_component(field, list, [&](const Field& component) {
    if (stages.size() == most_stages) field.fail(fmt::format("has more than {} components", most_stages));
    stages.push_back(read(component));
  });
  return stages;
}

[[noreturn]] void refuse_type(const Field& field, std::string_view type) {
  field["type"].refuse(fmt::format("\"{}\" is not supported", type));
}

Behaviour read_behaviour(const Field& field) {
  const std::string_view name = field.text();
  if (name == "Removed") return Behaviour::removed;
  if (name == "Isolated") return Behaviour::isolated;
  if (name == "MergedWithPrevious") return Behaviour::merged_with_previous;
  if (name == "MergedWithNext") return Behaviour::merged_with_next;
  if (name == "Contiguous") return Behaviour::contiguous;
  field.refuse(fmt::format("\"{}\" is not a behaviour", name));
}

PrependScheme read_scheme(const Field& field) {
  const Field scheme = field["prepend_scheme"];
  const Field space = field["add_prefix_space"];
  auto result = PrependScheme::always;
  if (scheme.present()) {
    const std::string_view name = scheme.text();
    if (name == "never") {
      result = PrependScheme::never;
    } else if (name == "first") {
      result = PrependScheme::first;
    } else if (name != "always") {
      scheme.refuse(fmt::format("\"{}\" is not a scheme", name));
    }
  }
  if (!space.boolean_or(true)) {
    if (scheme.present() && result != PrependScheme::never) space.fail("is false and prepend_scheme is not \"never\"");
    result = PrependScheme::never;
  }
  return result;
}

std::unique_ptr<Normaliser> read_replace(const Field& field) {
  const Field text = field["pattern"]["String"];
  std::string content(field["content"].text());
  if (text.present() && !text.text().empty()) return replace_text(std::string(text.text()), std::move(content));
  return replace(read_pattern(field["pattern"]), std::move(content));
}

std::unique_ptr<Normaliser> read_normaliser(const Field& field) {
  const std::string_view type = field["type"].text();
  if (type == "BertNormalizer") {
    BertCleaning cleaning;
    cleaning.clean_text = field["clean_text"].boolean();
    cleaning.handle_chinese_characters = field["handle_chinese_chars"].boolean();
    cleaning.lowercase = field["lowercase"].boolean();
    cleaning.strip_accents = field["strip_accents"].boolean_or(cleaning.lowercase);
    return bert_normaliser(cleaning);
  }
  if (type == "Strip") return strip(field["strip_left"].boolean(), field["strip_right"].boolean());
  if (type == "StripAccents") return strip_accents();
  if (type == "Lowercase") return lowercase();
  if (type == "NFC") return unicode_form(UnicodeForm::nfc);
  if (type == "NFD") return unicode_form(UnicodeForm::nfd);
  if (type == "NFKC") return unicode_form(UnicodeForm::nfkc);
  if (type == "NFKD") return unicode_form(UnicodeForm::nfkd);
  if (type == "Nmt") return nmt();
  if (type == "Prepend") return prepend(std::string(field["prepend"].text()));
  if (type == "Replace") return read_replace(field);
  if (type == "ByteLevel") return byte_level_normaliser();
  if (type == "Precompiled") {
    const Field map = field["precompiled_charsmap"];
    return precompiled(map.text(), map.path());
  }
  refuse_type(field, type);
}

std::unique_ptr<PreTokenizer> read_pre_tokenizer(const Field& field, bool as_bytes) {
  const std::string_view type = field["type"].text();
  if (type == "ByteLevel") {
    return byte_level(field["add_prefix_space"].boolean(), field["use_regex"].boolean_or(true), as_bytes);
  }
  if (type == "Split") {
    return split_on(read_pattern(field["pattern"]), read_behaviour(field["behavior"]), field["invert"].boolean());
  }
  if (type == "Metaspace") {
    return metaspace(field["replacement"].character(), read_scheme(field), field["split"].boolean_or(true));
  }
  if (type == "Whitespace") return whitespace();
  if (type == "WhitespaceSplit") return whitespace_split();
  if (type == "BertPreTokenizer") return bert_pre_tokenizer();
  if (type == "Punctuation") {
    const Field behaviour = field["behavior"];
    return punctuation(behaviour.present() ? read_behaviour(behaviour) : Behaviour::isolated);
  }
  if (type == "Digits") return digits(field["individual_digits"].boolean());
  if (type == "CharDelimiterSplit" || type == "Delimiter") return character_delimiter(field["delimiter"].character());
  if (type == "FixedLength") {
    const Field length = field["length"];
    return fixed_length(static_cast<std::size_t>(length.present() ? length.integer(1, std::int64_t{1} << 30) : 5));
  }
  if (type == "UnicodeScripts") return unicode_scripts();
  refuse_type(field, type);
}

std::unique_ptr<Decoder> read_decoder(const Field& field) {
  const std::string_view type = field["type"].text();
  const auto count = [&](std::string_view key) {
    return static_cast<std::size_t>(field[key].integer(0, std::int64_t{1} << 30));
  };
  const auto string = [&](std::string_view key) { return std::string(field[key].text()); };
  if (type == "ByteLevel") return decode_byte_level();
  if (type == "ByteFallback") return decode_byte_fallback();
  if (type == "Fuse") return decode_fuse();
  if (type == "Strip") return decode_strip(field["content"].character(), count("start"), count("stop"));
  if (type == "Replace") return decode_replace(read_pattern(field["pattern"]), string("content"));
  if (type == "Metaspace") {
    return decode_metaspace(field["replacement"].character(), read_scheme(field) != PrependScheme::never);
  }
  if (type == "WordPiece") return decode_wordpiece(string("prefix"), field["cleanup"].boolean());
  if (type == "BPEDecoder") return decode_bpe(string("suffix"));
  if (type == "CTC") return decode_ctc(string("pad_token"), string("word_delimiter_token"), field["cleanup"].boolean());
  refuse_type(field, type);
}

}  // namespace

Pattern read_pattern(const Field& field) {
  if (field.is_object() && field["String"].present()) {
    return Pattern::literal(field["String"].text(), field["String"].path());
  }
  if (field.is_object() && field["Regex"].present()) return Pattern(field["Regex"].text(), field["Regex"].path());
  field.fail("has neither String nor Regex");
}

std::vector<std::unique_ptr<Normaliser>> read_normalisers(const Field& field) {
  return read_all<Normaliser>(field, "normalizers", read_normaliser);
}

bool ends_in_byte_level(const Field& pre_tokenizer) {
  bool last = false;
  each_component(pre_tokenizer, "pretokenizers",
                 [&](const Field& component) { last = component["type"].text() == "ByteLevel"; });
  return last;
}

std::vector<std::unique_ptr<PreTokenizer>> read_pre_tokenizers(const Field& field, bool last_byte_level_as_bytes) {
  std::size_t count = 0;
  each_component(field, "pretokenizers", [&](const Field&) { ++count; });
  return read_all<PreTokenizer>(field, "pretokenizers", [&](const Field& component) {
    return read_pre_tokenizer(component, --count == 0 && last_byte_level_as_bytes);
  });
}

std::vector<std::unique_ptr<Decoder>> read_decoders(const Field& field) {
  return read_all<Decoder>(field, "decoders", read_decoder);
}

}  // namespace thresher::text
