#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/core.h>
#include <pcre2.h>

#include <array>
#include <utility>

#include "text/oniguruma.h"
#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

template <auto free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};

constexpr std::size_t jit_stack_start = 32 * 1024;
constexpr std::size_t jit_stack_most = 8 * 1024 * 1024;

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct MatchMemory::State {
  std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>> match{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>> context{pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>> stack{
      pcre2_jit_stack_create(jit_stack_start, jit_stack_most, nullptr)};
};

MatchMemory::MatchMemory() : state_(std::make_unique<State>()) {
  if (!state_->match || !state_->context || !state_->stack) base::fail(base::Exit::os, "no memory for PCRE2");
  pcre2_set_match_limit(state_->context.get(), Pattern::match_limit);
  pcre2_set_heap_limit(state_->context.get(), Pattern::heap_limit_kib);
  pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
}

MatchMemory::~MatchMemory() = default;
MatchMemory::MatchMemory(MatchMemory&&) noexcept = default;
MatchMemory& MatchMemory::operator=(MatchMemory&&) noexcept = default;

struct Pattern::Compiled {
  std::unique_ptr<pcre2_code, Freed<pcre2_code_free>> code;
  bool jit = false;
  std::string shown;  // the pattern as the file has it
  std::string field;
};

Pattern::Pattern(std::string_view oniguruma, const std::string& field)
    : Pattern(Translated{pcre2_pattern_of(oniguruma, field)}, oniguruma, field) {}

Pattern Pattern::literal(std::string_view text, const std::string& field) {
  return {Translated{pcre2_literal_of(text)}, text, field};
}

Pattern::Pattern(const Translated& translated, std::string_view shown, const std::string& field)
    : compiled_(std::make_unique<Compiled>()) {
  compiled_->shown = shown;
  compiled_->field = field;
  const std::unique_ptr<pcre2_compile_context, Freed<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  constexpr std::uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK;
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.pcre2.data()), translated.pcre2.size(),
                                      options, &error, &offset, context.get()));
  if (!compiled_->code) {
    base::fail(base::Exit::config,
               fmt::format("{}: the pattern \"{}\" does not compile: {}", field, shown, message_of(error)));
  }
  compiled_->jit = pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE) == 0;
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

std::optional<Pattern::Span> Pattern::find(std::string_view text, std::size_t from, MatchMemory& memory) const {
  auto* const match = memory.state_->match.get();
  const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const int result = compiled_->jit ? pcre2_jit_match(compiled_->code.get(), subject, text.size(), from, 0, match,
                                                      memory.state_->context.get())
                                    : pcre2_match(compiled_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                                                  match, memory.state_->context.get());
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    base::fail(base::Exit::data, fmt::format("{}: the pattern \"{}\" gave up in a text of {} bytes: {}",
                                             compiled_->field, compiled_->shown, text.size(), message_of(result)));
  }
  const PCRE2_SIZE* const span = pcre2_get_ovector_pointer(match);
  return Span{span[0], span[1]};
}

}  // namespace thresher::text
