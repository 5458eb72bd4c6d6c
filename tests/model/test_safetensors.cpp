#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>

#include "model/refusal.h"
#include "model/scratch.h"
#include "thresher/model/safetensors.h"

namespace thresher::model::test {
namespace {

using base::Exit;

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& begin,
                  const std::string& end) {
  return fmt::format(R"("{}": {{"dtype": "{}", "shape": [{}], "data_offsets": [{}, {}]}})", name, dtype, shape, begin,
                     end);
}

std::string braces(const std::string& inside) {
  return fmt::format("{{{}}}", inside);
}

struct Header {
  std::string text;
  std::int64_t data_bytes;
  const char* part;  // of the refusal; empty where the header is right
};

const std::string big = "9223372036854775807";

const std::vector<Header> documents{
    {"{}", 0, ""},
    {"{}  \n", 0, ""},
    {"{}", 1, "end at byte 0 of the data, the file holds 1 bytes: it is too long"},
    {"", 0, "does not start with"},
    {" {}", 0, "does not start with"},
    {"[]", 0, "does not start with"},
    {"{", 0, "not valid JSON"},
    {"{} {}", 0, "not valid JSON"},
    {std::string("{}\0", 3), 0, "not valid JSON"},
    {R"({"__metadata__": {"format": "pt"}})", 0, ""},
    {R"({"__metadata__": {"format": 1}})", 0, "\"__metadata__\" holds something other than strings"},
    {R"({"__metadata__": {"format": {}}})", 0, "__metadata__"},
    {R"({"__metadata__": {"format": []}})", 0, "__metadata__"},
    {R"({"__metadata__": {"a": "1", "a": "2"}})", 0, "holds \"a\" twice"},
    {R"({"__metadata__": {}, "__metadata__": {}})", 0, "stands twice"},
    {R"({"__metadata__": 3})", 0, "an object is expected"},
};

const std::vector<Header> one_tensor{
    {braces(entry("a", "F32", "2, 3", "0", "24")), 24, ""},
    {braces(entry("a", "F32", "2, 3", "0", "24")), 23, "holds 23 bytes: it is cut short"},
    {braces(entry("a", "F32", "2, 3", "0", "24")), 25, "too long"},
    {braces(entry("a", "F32", "2, 3", "0", "23")), 23, "24 bytes by its shape and 23 by its offsets"},
    {braces(entry("a", "F32", "2, 3", "0", "25")), 25, "24 bytes by its shape and 25"},
    {braces(entry("a", "F32", "", "0", "4")), 4, ""},
    {braces(entry("a", "F32", "0, 5", "0", "0")), 0, ""},
    {braces(entry("a", "F32", "1", "4", "8")), 8, "byte 0 is where it has to start"},
    {braces(entry("a", "F32", "1", "4", "0")), 4, "byte 0 is where it has to start"},
    {braces(entry("a", "F32", "1", "0", "-4")), 4, "2 whole numbers that are not negative"},
    {braces(entry("a", "F32", "1", "0", "4.0")), 4, "data_offsets"},
    {braces(entry("a", "F32", "1", "0", "\"4\"")), 4, "data_offsets"},
    {braces(entry("a", "F32", "1", "0", "4, 4")), 4, "more than 2 numbers"},
    {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}})", 4, "has 1 numbers, not 2"},
    {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": []}})", 4, "has 0 numbers"},
    {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [[0, 4]]}})", 4, "data_offsets"},
    {R"({"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}})", 4, "\"shape\" has to be a list"},
    {R"({"a": {"dtype": "F32", "shape": null, "data_offsets": [0, 4]}})", 4, "\"shape\" has to be a list"},
    {R"({"a": {"dtype": 7, "shape": [1], "data_offsets": [0, 4]}})", 4, "\"dtype\" has to be a string"},
    {R"({"a": {"shape": [1], "data_offsets": [0, 4]}})", 4, "is missing"},
    {R"({"a": {"dtype": "F32", "data_offsets": [0, 4]}})", 4, "is missing"},
    {R"({"a": {"dtype": "F32", "shape": [1]}})", 4, "is missing"},
    {R"({"a": {}})", 4, "is missing"},
    {R"({"a": []})", 4, "an object is expected"},
    {R"({"a": "F32"})", 4, "an object is expected"},
    {R"({"a": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 4, "\"dtype\" stands twice"},
    {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1}})", 4, "unknown field \"more\""},
};

const std::vector<Header> dtypes{
    {braces(entry("a", "F33", "1", "0", "4")), 4, "unknown dtype \"F33\""},
    {braces(entry("a", "f32", "1", "0", "4")), 4, "unknown dtype"},
    {braces(entry("a", "", "1", "0", "4")), 4, "unknown dtype"},
    {braces(entry("a", "BF16", "3", "0", "6")), 6, ""},
    {braces(entry("a", "F64", "3", "0", "24")), 24, ""},
    {braces(entry("a", "F4", "4", "0", "2")), 2, ""},
    {braces(entry("a", "F4", "3", "0", "2")), 2, "not whole bytes"},
    {braces(entry("a", "F6_E2M3", "4", "0", "3")), 3, ""},
};

const std::vector<Header> two_tensors{
    {braces(entry("a", "U8", "4", "0", "4") + "," + entry("b", "U8", "2", "4", "6")), 6, ""},
    {braces(entry("b", "U8", "2", "4", "6") + "," + entry("a", "U8", "4", "0", "4")), 6, ""},
    {braces(entry("a", "U8", "4", "0", "4") + "," + entry("b", "U8", "2", "5", "7")), 7,
     "byte 4 is where it has to start"},
    {braces(entry("a", "U8", "4", "0", "4") + "," + entry("b", "U8", "2", "3", "5")), 5,
     "byte 4 is where it has to start"},
    {braces(entry("a", "U8", "4", "0", "4") + "," + entry("b", "U8", "4", "0", "4")), 4, "hole or overlap"},
    {braces(entry("a", "U8", "4", "0", "4") + "," + entry("a", "U8", "4", "4", "8")), 8, "\"a\" stands twice"},
    {braces(entry("a", "U8", "4", "0", "4") + "," + entry("b", "U8", "0", "4", "4")), 4, ""},
};

const std::vector<Header> products_that_wrap{
    {braces(entry("a", "F32", "4398046511105, 4194304", "0", "16777216")), 16777216, "product is too large"},
    {braces(entry("a", "F32", "4294967296, 4294967296", "0", "0")), 0, "product is too large"},
    {braces(entry("a", "F32", "4294967296, 4294967296, 0", "0", "0")), 0, "product is too large"},
    {braces(entry("a", "U8", big, "0", "8")), 8, "product is too large"},
    {braces(entry("a", "U8", "9223372036854775808", "0", "8")), 8, "9223372036854775808 is too large"},
    {braces(entry("a", "U8", "18446744073709551616", "0", "8")), 8, "\"shape\" has to be a list of whole numbers"},
    {braces(entry("a", "U8", "-1", "0", "8")), 8, "\"shape\" has to be a list of whole numbers"},
    {braces(entry("a", "U8", "1e999", "0", "8")), 8, "not valid JSON"},
    {braces(entry("a", "U8", "8", "0", big)), 8, "8 bytes by its shape and 9223372036854775807"},
    {braces(entry("a", "U8", "8", "18446744073709551608", "16")), 8, "18446744073709551608 is too large"},
};

const std::vector<Header> ranks_and_names{
    {braces(entry("a", "U8", "1, 1, 1, 1, 1, 1, 1, 1", "0", "1")), 1, ""},
    {braces(entry("a", "U8", "1, 1, 1, 1, 1, 1, 1, 1, 1", "0", "1")), 1, "more than 8 dimensions"},
    {braces(entry(std::string(1024, 'n'), "U8", "1", "0", "1")), 1, ""},
    {braces(entry(std::string(1025, 'n'), "U8", "1", "0", "1")), 1, "1025 bytes, the limit is 1024"},
    {braces(entry("a\\u0000b", "U8", "1", "0", "1")), 1, "zero byte"},
    {braces(entry("a\xff", "U8", "1", "0", "1")), 1, "not valid JSON"},
    {braces(entry("\xc3\xa4\xe2\x82\xac", "U8", "1", "0", "1")), 1, ""},
    {braces(entry("\\ud800", "U8", "1", "0", "1")), 1, "not valid JSON"},
    {std::string("{").append(500'000, '['), 0, "not valid JSON"},
    {R"({"a": )" + std::string(500'000, '['), 0, "an object is expected"},
    {R"({"a": {"shape": )" + std::string(500'000, '['), 0, "\"shape\" has to be a list"},
};

std::string with_size(std::uint64_t size, std::string_view rest) {
  std::string file;
  for (int b = 0; b < 8; ++b) file += static_cast<char>(size >> (8 * b) & 0xff);
  return file + std::string(rest);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors_format)

BOOST_AUTO_TEST_CASE(every_rule_of_the_header) {
  for (const auto* headers : {&documents, &one_tensor, &dtypes, &two_tensors, &products_that_wrap, &ranks_and_names})
    for (const Header& header : *headers)
      BOOST_TEST_CONTEXT(header.text.substr(0, 120) << " with " << header.data_bytes << " bytes")
  check_refusal([&] { parse_safetensors_header(header.text, header.data_bytes, "file"); }, Exit::data, header.part);
}

BOOST_AUTO_TEST_CASE(sizes_of_file_and_header) {
  const Scratch scratch;
  const auto check = [&](const std::string& bytes, const char* part) {
    const auto path = scratch.write("x.safetensors", bytes);
    BOOST_TEST_CONTEXT(part) check_refusal([&] { SafetensorsFile(base::real_files(), path); }, Exit::data, part);
  };
  check("", "0 bytes, a safetensors file has at least 8");
  check("1234567", "7 bytes, a safetensors file has at least 8");
  check(with_size(0, ""), "does not start with");
  check(with_size(2, "{}"), "");
  check(with_size(3, "{}"), "a header of 3 bytes in a file of 10 bytes");
  check(with_size(1, "{}"), "not valid JSON");
  check(with_size(~std::uint64_t{0}, "{}"), "a header of 18446744073709551615 bytes, the limit is 100000000");
  check(with_size(std::uint64_t{1} << 63, "{}"), "the limit is");
  check(with_size(100'000'001, "{}"), "a header of 100000001 bytes, the limit is 100000000");
  check(with_size(100'000'000, "{}"), "a header of 100000000 bytes in a file of 10 bytes");
  check(safetensors(braces(entry("a", "F32", "2", "0", "8")), 8), "");
  check(safetensors(braces(entry("a", "F32", "2", "0", "8")), 7), "cut short");
  check_refusal([&] { SafetensorsFile(base::real_files(), scratch.path() / "none.safetensors"); }, Exit::no_input,
                "none.safetensors");
}

BOOST_AUTO_TEST_CASE(a_header_at_the_limit_is_read) {
  const Scratch scratch;
  std::string header = "{}";
  header.resize(safetensors_header_limit, ' ');
  const auto path = scratch.write("x.safetensors", safetensors(header, 0));
  BOOST_CHECK(SafetensorsFile(base::real_files(), path).tensors().empty());
}

BOOST_AUTO_TEST_CASE(tensor_count_limit) {
  const auto many = [](std::int64_t count) {
    std::string header = "{";
    for (std::int64_t t = 0; t < count; ++t)
      header += fmt::format("{}\"{}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", t ? "," : "", t);
    return header + "}";
  };
  BOOST_CHECK_EQUAL(parse_safetensors_header(many(safetensors_tensor_limit), 0, "file").size(),
                    safetensors_tensor_limit);
  check_refusal([&] { parse_safetensors_header(many(safetensors_tensor_limit + 1), 0, "file"); }, Exit::data,
                "more than 1000000 tensors");
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  const Scratch scratch;
  const base::Path path = scratch.path() / "x.safetensors";
  SafetensorsWriter writer(base::real_files(), path,
                           {{"b", tensor::DType::f32, {2, 1}}, {"a", tensor::DType::bf16, {3}}});
  const float first[2] = {1.5f, -2};
  const std::uint16_t second[3] = {1, 2, 0x7f80};
  writer.add(std::as_bytes(std::span(first)));
  check_refusal([&] { writer.finish(); }, Exit::internal, "planned");
  writer.add(std::as_bytes(std::span(second)));
  writer.finish();

  const SafetensorsFile file(base::real_files(), path);
  BOOST_REQUIRE_EQUAL(file.tensors().size(), 2);
  const StoredTensor &b = file.tensors()[0], &a = file.tensors()[1];
  BOOST_CHECK_EQUAL(b.name, "b");
  BOOST_CHECK_EQUAL(b.dtype, "F32");
  BOOST_CHECK(b.shape == (std::vector<std::int64_t>{2, 1}));
  BOOST_CHECK_EQUAL(a.name, "a");
  float read_first[2];
  file.read(b, 0, std::as_writable_bytes(std::span(read_first)));
  BOOST_CHECK_EQUAL(std::memcmp(first, read_first, sizeof first), 0);
  std::uint16_t read_second[2];
  file.read(a, 2, std::as_writable_bytes(std::span(read_second)));
  BOOST_CHECK_EQUAL(std::memcmp(second + 1, read_second, sizeof read_second), 0);
  check_refusal([&] { file.read(a, 4, std::as_writable_bytes(std::span(read_second))); }, Exit::internal, "asked for");
}

// Damage anywhere in a header is refused or harmless; never a crash, never a range outside of the data.
BOOST_AUTO_TEST_CASE(damaged_headers) {
  const std::string header =
      braces("\"__metadata__\": {\"format\": \"pt\"}, " + entry("model.a", "BF16", "4, 3", "0", "24") + "," +
             entry("model.b", "F32", "5", "24", "44"));
  std::mt19937 random(20240);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = header;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % damaged.size();
      if (const unsigned kind = random() % 4; kind == 0)
        damaged.erase(at, 1 + random() % 8);
      else if (kind == 1)
        damaged.insert(at, 1, "0123456789{}[],:\"\\ -.eE"[random() % 23]);
      else
        damaged[at] = static_cast<char>(random() % 256);
      if (damaged.empty()) damaged = "x";
    }
    try {
      for (const StoredTensor& tensor : parse_safetensors_header(damaged, 44, "file"))
        BOOST_REQUIRE(tensor.begin >= 0 && tensor.begin <= tensor.end && tensor.end <= 44);
      ++accepted;
    } catch (const base::Error& error) {
      BOOST_REQUIRE(error.code() == Exit::data);
    }
  }
  BOOST_CHECK(accepted > 0 && accepted < 10'000);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
