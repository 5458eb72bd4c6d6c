#include "text/assemble.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

#include "text/utf8.h"
#include "text/workspace.h"
#include "thresher/base/check.h"
#include "thresher/base/hash.h"

namespace thresher::text {
namespace {

constexpr std::size_t most_added_tokens = 1'000'000;
constexpr std::size_t most_special_around = 1024;

// Workspaces that no call is using.
class WorkspacePool {
 public:
  class Lease {
   public:
    explicit Lease(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take() {
    {
      const std::scoped_lock lock(mutex_);
      if (!free_.empty()) {
        auto workspace = std::move(free_.back());
        free_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>();
  }
  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

// What stands around a single sequence.
struct Surround {
  std::vector<TokenId> prefix;
  std::vector<TokenId> suffix;
};

struct Parts {
  std::vector<std::unique_ptr<Normaliser>> normalisers;
  std::vector<std::unique_ptr<PreTokenizer>> pre_tokenizers;
  std::unique_ptr<Model> model;
  std::unique_ptr<AddedTokens> added;
  std::vector<std::unique_ptr<Decoder>> decoders;
  bool decodes = false;  // without a decoder tokens are joined by spaces
  Surround surround;
  std::string fingerprint;
};

class AssembledTokenizer final : public Tokenizer {
 public:
  explicit AssembledTokenizer(Parts parts) : parts_(std::move(parts)) {}

  void encode(std::string_view text, bool special, std::vector<TokenId>& ids) const override {
    if (const auto invalid = find_invalid_utf8(text)) {
      base::fail(base::Exit::data, fmt::format("the text is not UTF-8 at byte {} of {}", *invalid, text.size()));
    }
    WorkspacePool::Lease workspace(pool_);
    if (special) ids.insert(ids.end(), parts_.surround.prefix.begin(), parts_.surround.prefix.end());
    parts_.added->cut(text, false, [&](const AddedTokens::Part& part) {
      if (part.id) return ids.push_back(*part.id);
      encode_stretch(text, part, *workspace, ids);
    });
    if (special) ids.insert(ids.end(), parts_.surround.suffix.begin(), parts_.surround.suffix.end());
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const TokenId id : ids) {
      const bool added = parts_.added->holds(id);
      if (!added && !parts_.model->holds(id)) continue;
      const std::string_view token = added ? parts_.added->decoded(id) : parts_.model->token_of(id);
      if (skip_special && parts_.added->is_special(token)) continue;
      tokens.emplace_back(token);
    }
    for (const auto& decoder : parts_.decoders) decoder->apply(tokens);
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && !parts_.decodes) text += ' ';
      text += tokens[i];
    }
    return text;
  }

  std::int64_t vocabulary_size() const override {
    return static_cast<std::int64_t>(std::max(parts_.model->id_limit(), parts_.added->id_limit()));
  }
  std::optional<TokenId> id_of(std::string_view token) const override {
    const auto id = parts_.added->find(token);
    return id ? id : parts_.model->id_of(token);
  }
  std::string token_of(TokenId id) const override {
    return std::string(parts_.added->holds(id) ? parts_.added->content(id) : parts_.model->token_of(id));
  }
  std::span<const TokenId> special_prefix() const override { return parts_.surround.prefix; }
  std::span<const TokenId> special_suffix() const override { return parts_.surround.suffix; }
  const std::string& fingerprint() const override { return parts_.fingerprint; }

 private:
  // A stretch between tokens that match before normalisation.
  void encode_stretch(std::string_view text, const AddedTokens::Part& part, Workspace& workspace,
                      std::vector<TokenId>& ids) const {
    std::string_view normal = text.substr(part.begin, part.end - part.begin);
    std::size_t lead = part.begin == 0 && !normal.empty() ? decode_at(normal.data()).size : 0;
    if (!parts_.normalisers.empty()) {
      workspace.normal.assign(normal);
      Draft draft{workspace.normal, workspace.normal_next, lead, workspace.match};
      for (const auto& normaliser : parts_.normalisers) normaliser->apply(draft);
      normal = workspace.normal;
      lead = draft.lead;
    }
    const Piece whole{normal, lead};
    const Flow flow(parts_.pre_tokenizers, *parts_.model, workspace, ids);
    parts_.added->cut(normal, true, [&](const AddedTokens::Part& inner) {
      if (inner.id) return ids.push_back(*inner.id);
      flow.pass(whole.part(inner.begin, inner.end));
    });
  }

  Parts parts_;
  mutable WorkspacePool pool_;
};

std::vector<AddedToken> read_added(const Field& field) {
  std::vector<AddedToken> tokens;
  if (!field.present()) return tokens;
  if (field.size() > most_added_tokens) {
    field.fail(fmt::format("has {} tokens, at most {}", field.size(), most_added_tokens));
  }
  for (const Field& entry : field.elements()) {
    entry["id"].integer(0, highest_id);
    AddedToken& token = tokens.emplace_back();
    token.content = entry["content"].text();
    token.single_word = entry["single_word"].boolean();
    token.left_strip = entry["lstrip"].boolean();
    token.right_strip = entry["rstrip"].boolean();
    token.normalised = entry["normalized"].boolean();
    token.special = entry["special"].boolean();
  }
  return tokens;
}

void append_special(const Field& tokens, std::string_view name, std::vector<TokenId>& ids) {
  for (const Field& id : tokens[name]["ids"].elements()) ids.push_back(static_cast<TokenId>(id.integer(0, highest_id)));
}

Surround read_template(const Field& field) {
  Surround surround;
  bool seen = false;
  for (const Field& piece : field["single"].elements()) {
    if (piece["Sequence"].present()) {
      if (piece["Sequence"]["id"].text() != "A" || seen) piece.refuse("is not the text, once");
      seen = true;
    } else {
      append_special(field["special_tokens"], piece["SpecialToken"]["id"].text(),
                     seen ? surround.suffix : surround.prefix);
    }
  }
  if (!seen) field["single"].refuse("leaves the text out");
  return surround;
}

// A ["token", id] pair.
TokenId read_token_pair(const Field& field) {
  const auto both = field.elements();
  if (both.size() != 2) field.fail("is not a token and its id");
  return static_cast<TokenId>(both[1].integer(0, highest_id));
}

Surround read_post_processor(const Field& field) {
  if (!field.present()) return {};
  const std::string_view type = field["type"].text();
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return read_template(field);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    return {{read_token_pair(field["cls"])}, {read_token_pair(field["sep"])}};
  }
  if (type != "Sequence") field["type"].refuse(fmt::format("\"{}\" is not supported", type));
  Surround surround;
  for (const Field& element : field["processors"].elements()) {
    Surround next = read_post_processor(element);
    if (next.prefix.empty() && next.suffix.empty()) continue;
    if (!surround.prefix.empty() || !surround.suffix.empty()) element.refuse("is a second one that adds tokens");
    surround = std::move(next);
  }
  return surround;
}

void check_surround(const Field& field, const Surround& surround, const Tokenizer& tokenizer) {
  if (surround.prefix.size() + surround.suffix.size() > most_special_around) {
    field.fail(fmt::format("adds {} tokens, at most {}", surround.prefix.size() + surround.suffix.size(),
                           most_special_around));
  }
  for (const auto& side : {surround.prefix, surround.suffix}) {
    for (const TokenId id : side) {
      if (id >= tokenizer.vocabulary_size()) {
        field.fail(fmt::format("adds id {}, and the vocabulary has {} ids", id, tokenizer.vocabulary_size()));
      }
    }
  }
}

}  // namespace

// "truncation" and "padding" are not read: a text is never cut or filled up here.
std::unique_ptr<Tokenizer> assemble_tokenizer(const Field& root, std::string_view json) {
  if (root["version"].present() && root["version"].text() != "1.0") root["version"].refuse("is not \"1.0\"");
  Parts parts;
  parts.normalisers = read_normalisers(root["normalizer"]);
  bool byte_words = ends_in_byte_level(root["pre_tokenizer"]);
  parts.model = read_model(root["model"], byte_words);
  parts.pre_tokenizers = read_pre_tokenizers(root["pre_tokenizer"], byte_words);
  parts.added = std::make_unique<AddedTokens>(read_added(root["added_tokens"]), *parts.model, parts.normalisers,
                                              root["added_tokens"].path());
  parts.decoders = read_decoders(root["decoder"]);
  parts.decodes = root["decoder"].present();
  parts.surround = read_post_processor(root["post_processor"]);
  parts.fingerprint = base::digest_of(json).hex();
  const Surround surround = parts.surround;
  auto tokenizer = std::make_unique<AssembledTokenizer>(std::move(parts));
  check_surround(root["post_processor"], surround, *tokenizer);
  return tokenizer;
}

}  // namespace thresher::text
