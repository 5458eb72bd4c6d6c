#include "store/decoder.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <new>

namespace thresher::store {
namespace {

class Plain final : public Decoder {
 public:
  std::string decode(std::span<const char>& in, std::span<char>& out) override {
    const std::size_t count = std::min(in.size(), out.size());
    std::copy_n(in.begin(), count, out.begin());
    in = in.subspan(count);
    out = out.subspan(count);
    return {};
  }
  bool complete() const override { return true; }
};

class Gzip final : public Decoder {
 public:
  Gzip() {
    constexpr int largest_window_gzip_only = 15 + 16;
    if (::inflateInit2(&stream_, largest_window_gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() override { ::inflateEnd(&stream_); }

  std::string decode(std::span<const char>& in, std::span<char>& out) override {
    if (complete_) {  // tape blocks are padded with zeros
      in = in.subspan(
          static_cast<std::size_t>(std::find_if(in.begin(), in.end(), [](char c) { return c != 0; }) - in.begin()));
      if (in.empty()) return {};
      ::inflateReset(&stream_);
      complete_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    in = in.last(stream_.avail_in);
    out = out.last(stream_.avail_out);
    if (result == Z_STREAM_END) complete_ = true;
    if (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR) return {};
    return fmt::format("not gzip from here: {}", stream_.msg ? stream_.msg : "damaged data");
  }
  bool complete() const override { return complete_; }

 private:
  z_stream stream_{};
  bool complete_ = false;
};

class Zstd final : public Decoder {
 public:
  Zstd() : stream_(ZSTD_createDStream()) {
    if (!stream_) throw std::bad_alloc();
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;

  std::string decode(std::span<const char>& in, std::span<char>& out) override {
    ZSTD_inBuffer source{in.data(), in.size(), 0};
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(stream_, &target, &source);
    in = in.subspan(source.pos);
    out = out.subspan(target.pos);
    if (ZSTD_isError(result)) return fmt::format("not zstd from here: {}", ZSTD_getErrorName(result));
    // Without input the library asks for the next frame.
    if (source.pos > 0 || target.pos > 0) complete_ = result == 0;
    return {};
  }
  bool complete() const override { return complete_; }

 private:
  ZSTD_DStream* stream_;
  bool complete_ = false;
};

}  // namespace

std::string_view compression_of(std::string_view begin) {
  if (begin.starts_with("\x1f\x8b")) return "gzip";
  if (begin.starts_with("\x28\xb5\x2f\xfd")) return "zstd";
  // A skippable frame: 0x184D2A50 to 0x184D2A5F, little-endian.
  if (begin.size() >= 4 && (begin[0] & '\xf0') == '\x50' && begin.substr(1, 3) == "\x2a\x4d\x18") return "zstd";
  return "";
}

std::string_view compression_by_name(std::string_view name) {
  if (name.ends_with(".gz")) return "gzip";
  if (name.ends_with(".zst")) return "zstd";
  return "";
}

std::unique_ptr<Decoder> make_decoder(std::string_view begin) {
  const std::string_view compression = compression_of(begin);
  if (compression == "gzip") return std::make_unique<Gzip>();
  if (compression == "zstd") return std::make_unique<Zstd>();
  return std::make_unique<Plain>();
}

}  // namespace thresher::store
