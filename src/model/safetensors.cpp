#include "thresher/model/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_set>

#include "thresher/base/check.h"

namespace thresher::model {
namespace {

using base::Exit;
using nlohmann::json;

constexpr std::int64_t name_limit = 1024;
constexpr std::size_t rank_limit = 8, metadata_limit = 10'000;
constexpr std::int64_t size_bytes = 8;

struct StoredType {
  std::string_view name;
  std::int64_t bits;
};
constexpr std::array stored_types{
    StoredType{"BOOL", 8},        StoredType{"F4", 4},          StoredType{"F6_E2M3", 6}, StoredType{"F6_E3M2", 6},
    StoredType{"U8", 8},          StoredType{"I8", 8},          StoredType{"F8_E5M2", 8}, StoredType{"F8_E4M3", 8},
    StoredType{"F8_E8M0", 8},     StoredType{"I16", 16},        StoredType{"U16", 16},    StoredType{"F16", 16},
    StoredType{"BF16", 16},       StoredType{"I32", 32},        StoredType{"U32", 32},    StoredType{"F32", 32},
    StoredType{"C64", 64},        StoredType{"F64", 64},        StoredType{"I64", 64},    StoredType{"U64", 64},
    StoredType{"F8_E4M3FNUZ", 8}, StoredType{"F8_E5M2FNUZ", 8},
};

// Walks the header's JSON without building a tree: tensors grow in `tensors_`, everything unexpected is an error.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  HeaderReader(std::vector<StoredTensor>& tensors, const std::string& file) : tensors_(tensors), file_(file) {}

  bool start_object(std::size_t) override {
    if (place_ == Place::file) return move(Place::names);
    if (place_ == Place::value) return move(metadata_ ? Place::metadata : Place::fields);
    if (place_ == Place::metadata_value) fail("a string is expected in \"__metadata__\", found an object");
    fail(expected());
  }
  bool end_object() override {
    if (place_ == Place::fields) {
      if (seen_ != 7)
        fail(fmt::format("tensor \"{}\": one of \"dtype\", \"shape\" and \"data_offsets\" is missing",
                         tensors_.back().name));
      return move(Place::names);
    }
    return move(place_ == Place::metadata ? Place::names : Place::end);
  }
  bool key(std::string& name) override {
    if (place_ == Place::names) return tensor_name(name);
    if (place_ == Place::metadata) {
      if (!metadata_keys_.insert(name).second) fail(fmt::format("\"__metadata__\" holds \"{}\" twice", name));
      if (metadata_keys_.size() > metadata_limit) fail(fmt::format("more than {} entries of metadata", metadata_limit));
      return move(Place::metadata_value);
    }
    return field_name(name);
  }
  bool string(std::string& text) override {
    if (place_ == Place::metadata_value) return move(Place::metadata);
    if (place_ != Place::dtype) fail(expected());
    tensors_.back().dtype = text;
    return move(Place::fields);
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::shape) return move(Place::dimensions);
    if (place_ == Place::offsets) return move(Place::bounds);
    fail(expected());
  }
  bool end_array() override {
    if (place_ == Place::bounds && bounds_ != 2)
      fail(fmt::format("tensor \"{}\": \"data_offsets\" has {} numbers, not 2", tensors_.back().name, bounds_));
    return move(Place::fields);
  }
  bool number_unsigned(std::uint64_t value) override {
    if (place_ != Place::dimensions && place_ != Place::bounds) fail(expected());
    StoredTensor& tensor = tensors_.back();
    if (value > static_cast<std::uint64_t>(INT64_MAX))
      fail(fmt::format("tensor \"{}\": the number {} is too large", tensor.name, value));
    const auto number = static_cast<std::int64_t>(value);
    if (place_ == Place::dimensions) {
      tensor.shape.push_back(number);
      if (tensor.shape.size() > rank_limit)
        fail(fmt::format("tensor \"{}\" has more than {} dimensions", tensor.name, rank_limit));
    } else if (++bounds_ <= 2) {
      (bounds_ == 1 ? tensor.begin : tensor.end) = number;
    } else {
      fail(fmt::format("tensor \"{}\": \"data_offsets\" has more than 2 numbers", tensor.name));
    }
    return true;
  }
  bool null() override { fail(expected()); }
  bool boolean(bool) override { fail(expected()); }
  bool number_integer(std::int64_t) override { fail(expected()); }
  bool number_float(double, const std::string&) override { fail(expected()); }
  bool binary(json::binary_t&) override { fail(expected()); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    fail(fmt::format("the header is not valid JSON: {}", error.what()));
  }

 private:
  enum class Place {
    file,
    names,
    value,
    metadata,
    metadata_value,
    fields,
    dtype,
    shape,
    dimensions,
    offsets,
    bounds,
    end
  };

  [[noreturn]] void fail(const std::string& message) const { base::fail(Exit::data, file_ + ": " + message); }
  bool move(Place place) {
    place_ = place;
    return true;
  }
  std::string expected() const {
    const std::string where = tensors_.empty() ? "the header" : fmt::format("tensor \"{}\"", tensors_.back().name);
    switch (place_) {
      case Place::file:
        return "the header has to be a JSON object";
      case Place::metadata_value:
        return "\"__metadata__\" holds something other than strings";
      case Place::dtype:
        return where + ": \"dtype\" has to be a string";
      case Place::dimensions:
      case Place::shape:
        return where + ": \"shape\" has to be a list of whole numbers that are not negative";
      case Place::bounds:
      case Place::offsets:
        return where + ": \"data_offsets\" has to be a list of 2 whole numbers that are not negative";
      default:
        return where + ": an object is expected";
    }
  }

  bool tensor_name(const std::string& name) {
    metadata_ = name == "__metadata__";
    if (static_cast<std::int64_t>(name.size()) > name_limit)
      fail(fmt::format("a tensor's name has {} bytes, the limit is {}", name.size(), name_limit));
    if (name.find('\0') != std::string::npos) fail("a tensor's name holds a zero byte");
    if (!names_.insert(name).second) fail(fmt::format("the name \"{}\" stands twice in the header", name));
    if (!metadata_) {
      if (static_cast<std::int64_t>(tensors_.size()) == safetensors_tensor_limit)
        fail(fmt::format("more than {} tensors", safetensors_tensor_limit));
      tensors_.emplace_back().name = name;
      seen_ = 0;
      bounds_ = 0;
    }
    return move(Place::value);
  }

  bool field_name(const std::string& name) {
    constexpr std::array<std::string_view, 3> fields{"dtype", "shape", "data_offsets"};
    constexpr std::array places{Place::dtype, Place::shape, Place::offsets};
    for (std::size_t f = 0; f < fields.size(); ++f) {
      if (name != fields[f]) continue;
      if (seen_ & (1u << f))
        fail(fmt::format("tensor \"{}\": the field \"{}\" stands twice", tensors_.back().name, name));
      seen_ |= 1u << f;
      return move(places[f]);
    }
    fail(fmt::format("tensor \"{}\": unknown field \"{}\"", tensors_.back().name, name));
  }

  std::vector<StoredTensor>& tensors_;
  const std::string& file_;
  Place place_ = Place::file;
  bool metadata_ = false;
  unsigned seen_ = 0;  // bits: dtype, shape, data_offsets
  int bounds_ = 0;
  std::unordered_set<std::string> names_, metadata_keys_;
};

// Bytes of a tensor; fails when they do not fit in 63 bits or are not whole bytes.
std::int64_t checked_bytes(const StoredTensor& tensor, std::int64_t bits, const std::string& file) {
  std::int64_t total = bits;
  bool overflow = false;
  // Kept once seen: an extent of 0 further on would hide it.
  for (const std::int64_t extent : tensor.shape) overflow |= __builtin_mul_overflow(total, extent, &total);
  if (overflow)
    base::fail(Exit::data, fmt::format("{}: tensor \"{}\": the shape's product is too large", file, tensor.name));
  if (total % 8 != 0)
    base::fail(Exit::data, fmt::format("{}: tensor \"{}\" has {} bits, not whole bytes", file, tensor.name, total));
  return total / 8;
}

void check_layout(std::vector<StoredTensor>& tensors, std::int64_t data_bytes, const std::string& file) {
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::int64_t expected = 0;
  for (const StoredTensor& tensor : tensors) {
    const auto type = std::find_if(stored_types.begin(), stored_types.end(),
                                   [&](const StoredType& known) { return known.name == tensor.dtype; });
    if (type == stored_types.end())
      base::fail(Exit::data, fmt::format("{}: tensor \"{}\" has the unknown dtype \"{}\"", file, tensor.name,
                                         tensor.dtype.substr(0, 40)));
    if (tensor.begin != expected || tensor.end < tensor.begin)
      base::fail(Exit::data,
                 fmt::format("{}: tensor \"{}\" lies at bytes {} to {}, but byte {} is where it has to start: "
                             "tensors have to follow each other without hole or overlap",
                             file, tensor.name, tensor.begin, tensor.end, expected));
    const std::int64_t bytes = checked_bytes(tensor, type->bits, file);
    if (bytes != tensor.end - tensor.begin)
      base::fail(Exit::data, fmt::format("{}: tensor \"{}\" has {} bytes by its shape and {} by its offsets", file,
                                         tensor.name, bytes, tensor.end - tensor.begin));
    expected = tensor.end;
  }
  if (expected != data_bytes)
    base::fail(Exit::data, fmt::format("{}: the tensors end at byte {} of the data, the file holds {} bytes: it is {}",
                                       file, expected, data_bytes, expected > data_bytes ? "cut short" : "too long"));
}

}  // namespace

std::int64_t StoredTensor::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

std::optional<tensor::DType> dtype_of(std::string_view stored) {
  if (stored == "F32") return tensor::DType::f32;
  if (stored == "BF16") return tensor::DType::bf16;
  if (stored == "F16") return tensor::DType::f16;
  return std::nullopt;
}

std::string_view stored_name(tensor::DType dtype) {
  switch (dtype) {
    case tensor::DType::f32:
      return "F32";
    case tensor::DType::bf16:
      return "BF16";
    case tensor::DType::f16:
      return "F16";
    case tensor::DType::i32:
      return "I32";
    case tensor::DType::u8:
      return "U8";
    case tensor::DType::i8:
      return "I8";
  }
  return "?";
}

std::vector<StoredTensor> parse_safetensors_header(std::string_view header, std::int64_t data_bytes,
                                                   const std::string& name) {
  if (header.empty() || header.front() != '{')
    base::fail(Exit::data, name + ": the header does not start with \"{\": this is not a safetensors file");
  // The JSON library would take a zero byte for the end and leave what follows unread.
  if (header.find('\0') != std::string_view::npos)
    base::fail(Exit::data, name + ": the header is not valid JSON: it holds a zero byte");
  std::vector<StoredTensor> tensors;
  HeaderReader reader(tensors, name);
  json::sax_parse(header, &reader);
  check_layout(tensors, data_bytes, name);
  return tensors;
}

SafetensorsFile::SafetensorsFile(base::FileSystem& files, const base::Path& path) : file_(files.open(path)) {
  const std::string name = path.string();
  const std::int64_t bytes = file_->size();
  if (bytes < size_bytes)
    base::fail(Exit::data, fmt::format("{}: {} bytes, a safetensors file has at least {}", name, bytes, size_bytes));
  std::array<std::byte, size_bytes> prefix{};
  file_->read_at(0, prefix);
  std::uint64_t header = 0;
  for (std::size_t b = prefix.size(); b-- > 0;) header = header << 8 | std::to_integer<std::uint64_t>(prefix[b]);
  if (header > static_cast<std::uint64_t>(safetensors_header_limit))
    base::fail(Exit::data,
               fmt::format("{}: a header of {} bytes, the limit is {}", name, header, safetensors_header_limit));
  if (header > static_cast<std::uint64_t>(bytes - size_bytes))
    base::fail(Exit::data, fmt::format("{}: a header of {} bytes in a file of {} bytes: it is cut short or not a "
                                       "safetensors file",
                                       name, header, bytes));
  std::string text(static_cast<std::size_t>(header), '\0');
  file_->read_at(size_bytes, std::as_writable_bytes(std::span(text)));
  data_ = size_bytes + static_cast<std::int64_t>(header);
  tensors_ = parse_safetensors_header(text, bytes - data_, name);
}

void SafetensorsFile::read(const StoredTensor& tensor, std::int64_t offset, std::span<std::byte> bytes) const {
  const auto count = static_cast<std::int64_t>(bytes.size());
  if (offset < 0 || count > tensor.end - tensor.begin - offset)
    base::fail(Exit::internal, fmt::format("bytes {} to {} asked for of tensor \"{}\" with {} bytes", offset,
                                           offset + count, tensor.name, tensor.end - tensor.begin));
  file_->read_at(data_ + tensor.begin + offset, bytes);
}

SafetensorsWriter::SafetensorsWriter(base::FileSystem& files, const base::Path& path,
                                     const std::vector<Planned>& tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::int64_t offset = 0;
  for (const Planned& tensor : tensors) {
    std::int64_t bytes = tensor::size_of(tensor.dtype);
    for (const std::int64_t extent : tensor.shape) bytes *= extent;
    header[tensor.name] = {
        {"dtype", stored_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts at a multiple of 8
  std::array<std::byte, size_bytes> prefix{};
  for (std::size_t b = 0; b < prefix.size(); ++b) prefix[b] = static_cast<std::byte>(text.size() >> (8 * b));
  file_ = files.create(path);
  end_ = size_bytes + static_cast<std::int64_t>(text.size()) + offset;
  add(prefix);
  add(std::as_bytes(std::span(text)));
}

void SafetensorsWriter::add(std::span<const std::byte> bytes) {
  file_->write_at(position_, bytes);
  position_ += static_cast<std::int64_t>(bytes.size());
}

void SafetensorsWriter::finish() {
  if (position_ != end_)
    base::fail(Exit::internal, fmt::format("a safetensors file of {} bytes planned, {} written", end_, position_));
  file_->sync();
}

}  // namespace thresher::model
