#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "model/refusal.h"
#include "model/scratch.h"
#include "thresher/model/checkpoint.h"

namespace thresher::model::test {
namespace {

using base::Exit;

std::string shard(const std::string& tensor) {
  return safetensors(fmt::format(R"({{"{}": {{"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}}})", tensor), 4,
                     'x');
}

std::string index_of(const std::string& pairs) {
  return "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {" + pairs + "}}";
}

void check_open(const Scratch& scratch, Exit code, const std::string& part) {
  check_refusal([&] { Checkpoint(base::real_files(), scratch.path()); }, code, part);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(shard_names_are_plain) {
  const auto check = [](const std::string& name, bool good) {
    BOOST_TEST_CONTEXT(name)
    check_refusal([&] { parse_shard_index(index_of("\"a\": \"" + name + "\""), "index"); }, Exit::data,
                  good ? "" : "plain name");
  };
  check("model-00001-of-00002.safetensors", true);
  check("x.safetensors", true);
  check("/etc/passwd.safetensors", false);
  check("/tmp/x.safetensors", false);
  check("../x.safetensors", false);
  check("..", false);
  check("sub/x.safetensors", false);
  check("sub\\\\x.safetensors", false);
  check("C:\\\\x.safetensors", false);
  check(".hidden.safetensors", false);
  check(".safetensors", false);
  check("x\\u0000.safetensors", false);
  check("x.safetensors\\u0000", false);
  check("pytorch_model.bin", false);
  check("x.safetensors.bin", false);
  check("x.SAFETENSORS", false);
  check("", false);
  check(std::string(244, 'n') + ".safetensors", false);
  check(std::string(243, 'n') + ".safetensors", true);
}

BOOST_AUTO_TEST_CASE(index_documents) {
  const auto check = [](const std::string& text, const std::string& part) {
    BOOST_TEST_CONTEXT(text.substr(0, 100)) check_refusal([&] { parse_shard_index(text, "index"); }, Exit::data, part);
  };
  check("", "not valid JSON");
  check("3", "an object is expected");
  check("[]", "an object is expected");
  check("{}", "\"weight_map\" is missing");
  check(index_of(R"("a": "x.safetensors")") + '\0' + "{}", "zero byte");
  check(index_of(R"("a": "x.safetensors")") + "{}", "not valid JSON");
  check(R"({"weight_map": {}})", "\"weight_map\" is empty");
  check(R"({"weight_map": 1})", "\"weight_map\" has to be an object");
  check(R"({"weight_map": null})", "\"weight_map\" has to be an object");
  check(R"({"weight_map": ["x.safetensors"]})", "\"weight_map\" has to be an object");
  check(R"({"weight_map": {"a": 1}})", "the shard of \"a\" has to be a string");
  check(R"({"weight_map": {"a": null}})", "the shard of \"a\" has to be a string");
  check(R"({"weight_map": {"a": {"b": "x.safetensors"}}})", "the shard of \"a\" has to be a string");
  check(R"({"weight_map": {"a": ["x.safetensors"]}})", "the shard of \"a\" has to be a string");
  check(R"({"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}})", "\"a\" stands twice");
  check(R"({"weight_map": {"a": "x.safetensors"}, "weight_map": {"b": "x.safetensors"}})",
        "\"weight_map\" stands twice");
  check(R"({"metadata": {"weight_map": {"a": "x.safetensors"}}})", "\"weight_map\" is missing");
  check(R"({"metadata": {"deep": [[1, {"weight_map": 2}]]}, "weight_map": {"a": "x.safetensors"}})", "");
  check("{\"weight_map\": {\"a\xff\": \"x.safetensors\"}}", "not valid JSON");
  check(
      "{\"metadata\": " + std::string(62, '[') + std::string(62, ']') + ", \"weight_map\": {\"a\": \"x.safetensors\"}}",
      "");
  check("{\"metadata\": " + std::string(100'000, '['), "nested deeper than 64");
}

BOOST_AUTO_TEST_CASE(shard_count_limit) {
  const auto index = [](int shards) {
    std::string pairs;
    for (int s = 0; s < shards; ++s) pairs += fmt::format("{}\"t{}\": \"{}.safetensors\"", s ? "," : "", s, s);
    return index_of(pairs);
  };
  BOOST_CHECK_EQUAL(parse_shard_index(index(10'000), "index").size(), 10'000);
  check_refusal([&] { parse_shard_index(index(10'001), "index"); }, Exit::data, "more than 10000 shards");
}

BOOST_AUTO_TEST_CASE(shards_agree_with_the_index) {
  const Scratch scratch;
  const std::string good = R"("a": "1.safetensors", "b": "2.safetensors")";
  scratch.write("1.safetensors", shard("a"));
  scratch.write("2.safetensors", shard("b"));
  const auto check = [&](const std::string& pairs, Exit code, const std::string& part) {
    scratch.write("model.safetensors.index.json", index_of(pairs));
    BOOST_TEST_CONTEXT(pairs) check_open(scratch, code, part);
  };
  check(good, Exit::ok, "");
  check(good + R"(, "c": "2.safetensors")", Exit::data, "tensor \"c\" is not in 2.safetensors");
  check(R"("a": "1.safetensors", "b": "1.safetensors")", Exit::data, "\"b\" is not in 1.safetensors");
  check(R"("a": "2.safetensors", "b": "2.safetensors")", Exit::data, "\"a\" is not in 2.safetensors");
  check(R"("a": "2.safetensors", "b": "1.safetensors")", Exit::data, "which the index places in 2.safetensors");
  check(R"("a": "1.safetensors", "c": "2.safetensors")", Exit::data,
        "holds tensor \"b\", which the index does not name");
  check(good + R"(, "c": "3.safetensors")", Exit::no_input, "3.safetensors");
  scratch.write("2.safetensors", shard("a"));
  check(good, Exit::data, "which the index places in 1.safetensors");
}

BOOST_AUTO_TEST_CASE(links_of_fixed_names_are_followed) {
  const Scratch elsewhere, scratch;
  elsewhere.write("secret.safetensors", shard("a"));
  elsewhere.write("index", index_of(R"("a": "1.safetensors")"));
  std::filesystem::create_symlink(elsewhere.path() / "secret.safetensors", scratch.path() / "model.safetensors");
  check_open(scratch, Exit::ok, "");
  std::filesystem::remove(scratch.path() / "model.safetensors");
  std::filesystem::create_symlink("/dev/zero", scratch.path() / "model.safetensors");
  check_open(scratch, Exit::no_input, "not a regular file");
  std::filesystem::remove(scratch.path() / "model.safetensors");
  std::filesystem::create_symlink(elsewhere.path() / "index", scratch.path() / "model.safetensors.index.json");
  scratch.write("1.safetensors", shard("a"));
  check_open(scratch, Exit::ok, "");
}

BOOST_AUTO_TEST_CASE(links_of_shards_out_of_the_directory_are_refused) {
  const Scratch outside, scratch;
  outside.write("secret.safetensors", shard("a"));
  std::filesystem::create_symlink(outside.path() / "secret.safetensors", scratch.path() / "1.safetensors");
  scratch.write("model.safetensors.index.json", index_of(R"("a": "1.safetensors")"));
  check_open(scratch, Exit::data, "outside of the model's directory");
  std::filesystem::remove(scratch.path() / "1.safetensors");

  scratch.write("real.safetensors", shard("a"));
  std::filesystem::create_symlink("real.safetensors", scratch.path() / "1.safetensors");
  check_open(scratch, Exit::ok, "");
  std::filesystem::remove(scratch.path() / "1.safetensors");
  std::filesystem::create_directory(scratch.path() / "1.safetensors");
  check_open(scratch, Exit::no_input, "not a regular file");
}

BOOST_AUTO_TEST_CASE(hugging_faces_cache_is_read) {
  const Scratch scratch;
  const base::Path snapshot = scratch.path() / "models--a--b/snapshots/0123";
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_directories(scratch.path() / "models--a--b/blobs");
  scratch.write("models--a--b/blobs/feed", shard("a"));
  scratch.write("models--a--b/beef", shard("a"));
  const base::Path link = snapshot / "model-00001-of-00001.safetensors";
  scratch.write("models--a--b/blobs/cafe", index_of(R"("a": "model-00001-of-00001.safetensors")"));
  std::filesystem::create_symlink("../../blobs/cafe", snapshot / "model.safetensors.index.json");
  std::filesystem::create_symlink("../../blobs/feed", link);
  Checkpoint weights(base::real_files(), snapshot);
  BOOST_CHECK_EQUAL(weights.tensors().size(), 1);
  char bytes[4];
  weights.read(*weights.find("a"), 0, std::as_writable_bytes(std::span(bytes)));
  BOOST_CHECK_EQUAL(std::string_view(bytes, 4), "xxxx");
  std::filesystem::rename(scratch.path() / "models--a--b/blobs", scratch.path() / "elsewhere");
  std::filesystem::create_directory_symlink("../elsewhere", scratch.path() / "models--a--b/blobs");
  BOOST_CHECK_EQUAL(Checkpoint(base::real_files(), snapshot).tensors().size(), 1);
  std::filesystem::remove(link);
  std::filesystem::create_symlink("../../beef", link);
  check_refusal([&] { Checkpoint(base::real_files(), snapshot); }, Exit::data, "outside");
}

BOOST_AUTO_TEST_CASE(missing_and_pickled_weights) {
  const Scratch scratch;
  check_open(scratch, Exit::no_input, "neither model.safetensors nor");
  scratch.write("pytorch_model.bin", "\x80\x02}q");
  check_open(scratch, Exit::config, "save_pretrained('converted')");
  check_refusal([&] { Checkpoint(base::real_files(), scratch.path() / "none"); }, Exit::no_input, "none");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
