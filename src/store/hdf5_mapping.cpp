// Mappings of virtual datasets.
#include <fmt/format.h>

#include <utility>

#include "store/hdf5_read.h"

namespace thresher::store::hdf5 {
namespace {

using base::Exit;
using base::fail;

struct Block {
  int rank = 1;
  hsize_t first = 0, rows = 0, width = 1;  // selected
  hsize_t size = 0;                        // rows there are
};

// The selection of a dataspace, which has to be of whole rows.
Block block_of(hid_t space, const std::string& what) {
  Block block;
  block.rank = check(H5Sget_simple_extent_ndims(space), what);
  hsize_t sizes[2] = {0, 1}, least[2] = {0, 0}, most[2] = {0, 0};
  if (block.rank < 1 || block.rank > 2) fail(Exit::data, fmt::format("{} is over {} dimensions", what, block.rank));
  check(H5Sget_simple_extent_dims(space, sizes, nullptr), what);
  check(H5Sget_select_bounds(space, least, most), what);
  const hssize_t selected = check(H5Sget_select_npoints(space), what);
  block.size = sizes[0];
  block.width = sizes[1];
  block.first = least[0];
  block.rows = most[0] - least[0] + 1;
  hsize_t expected = 0;
  const bool whole = most[0] < sizes[0] && least[0] <= most[0] && least[1] == 0 && most[1] + 1 == block.width &&
                     !__builtin_mul_overflow(block.rows, block.width, &expected) &&
                     std::cmp_equal(selected, expected) && std::in_range<std::int64_t>(most[0]);
  if (!whole) fail(Exit::data, what + " does not stand for whole rows of another dataset");
  return block;
}

std::string text_of(const std::string& what, const auto& call) {
  const ssize_t size = check(call(nullptr, std::size_t{0}), what);
  std::string text(static_cast<std::size_t>(size) + 1, '\0');
  check(call(text.data(), text.size()), what);
  text.pop_back();
  return text;
}

}  // namespace

std::vector<MappedRows> read_mapping(hid_t properties, const std::string& name) {
  std::size_t count = 0;
  check(H5Pget_virtual_count(properties, &count), name);
  std::vector<MappedRows> mapping;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string what = fmt::format("{}: piece {} of the virtual dataset", name, i);
    const Space there = own<Space>(H5Pget_virtual_vspace(properties, i), what);
    const Space source = own<Space>(H5Pget_virtual_srcspace(properties, i), what);
    const Block to = block_of(there.raw(), what), from = block_of(source.raw(), what);
    if (from.first != 0 || from.rows != from.size || from.rows != to.rows || from.width != to.width ||
        from.rank != to.rank) {
      fail(Exit::data, what + " does not stand for all of another dataset");
    }
    const auto file = [&](char* out, std::size_t size) { return H5Pget_virtual_filename(properties, i, out, size); };
    const auto dataset = [&](char* out, std::size_t size) { return H5Pget_virtual_dsetname(properties, i, out, size); };
    mapping.push_back({text_of(what, file), text_of(what, dataset), static_cast<std::int64_t>(to.first),
                       static_cast<std::int64_t>(to.rows)});
  }
  return mapping;
}

}  // namespace thresher::store::hdf5
