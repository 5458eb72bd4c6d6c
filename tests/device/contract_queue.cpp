// Copies that take their place in the queue, and marks there.
#include <algorithm>

#include "device/device_contract.h"
#include "device/plain.h"

namespace thresher::device::contract {
namespace {

constexpr std::int64_t rows = 37, columns = 24;

// A matrix in memory of allocate_host.
class HostGrid {
 public:
  explicit HostGrid(Device& device) : memory_(device.allocate_host(rows * columns * 4)) {}
  Tensor view() const { return tensor::matrix(memory_.data(), DType::f32, rows, columns); }
  void fill(float value) { std::fill_n(view().as<float>(), rows * columns, value); }
  bool holds(float value) const {
    return std::all_of(view().as<float>(), view().as<float>() + rows * columns, [&](float x) { return x == value; });
  }

 private:
  Buffer memory_;
};

}  // namespace

// What is queued is done in its order, whatever the host does meanwhile: each copy up is seen by the steps behind it
// and by the copies down behind those, not by later ones.
void check_queue(Device& device) {
  const auto first = device.make_mark(), second = device.make_mark();
  BOOST_TEST(first->passed(), "a mark that was never set has been passed");
  first->wait();
  HostGrid in[] = {HostGrid(device), HostGrid(device)}, out[] = {HostGrid(device), HostGrid(device)};
  Plain x(device, DType::f32, rows, columns), sum(device, DType::f32, rows, columns);
  sum.fill([](auto, auto) { return 100; });
  for (int i = 0; i < 2; ++i) {
    in[i].fill(static_cast<float>(i + 1));
    out[i].fill(-1);
    device.queue_upload(in[i].view(), x.view());
    device.add(x.view(), {}, sum.view());
    device.queue_download(sum.view(), out[i].view());
    (i == 0 ? first : second)->set();
  }
  first->wait();
  BOOST_TEST(first->passed());
  BOOST_TEST(out[0].holds(101));
  // Behind the first mark its memory is the host's again, with the second batch still under way.
  in[0].fill(50);
  out[0].fill(-1);
  while (!second->passed()) continue;
  BOOST_TEST(out[1].holds(103));
  BOOST_TEST(out[0].holds(-1));
  // The mark once more: where it was is forgotten.
  device.queue_upload(in[0].view(), x.view());
  device.add(x.view(), {}, sum.view());
  device.queue_download(sum.view(), out[0].view());
  first->set();
  first->wait();
  BOOST_TEST(out[0].holds(153));
}

// Strided views on the device.
void check_queued_copies(Device& device) {
  HostGrid in(device), out(device);
  Plain wide(device, DType::f32, rows, 3 * columns);
  wide.fill([](auto, auto) { return 7; });
  for (std::int64_t i = 0; i < rows * columns; ++i) in.view().as<float>()[i] = static_cast<float>(i);
  const Tensor middle = wide.view().columns_from(columns, columns);
  device.queue_upload(in.view(), middle);
  device.queue_download(middle, out.view());
  wide.read();
  BOOST_TEST(std::equal(in.view().as<float>(), in.view().as<float>() + rows * columns, out.view().as<float>()));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < 3 * columns; ++c)
      BOOST_REQUIRE(wide.row<float>(r)[c] == (c / columns == 1 ? static_cast<float>(r * columns + c - columns) : 7.0f));
}

}  // namespace thresher::device::contract
