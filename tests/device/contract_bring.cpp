// Weights that live on the host and come to the device in groups have the bits of those that are always there.
#include <algorithm>

#include "device/device_contract.h"
#include "device/plain.h"

namespace thresher::device::contract {
namespace {

constexpr std::int64_t rows = 37;

struct Shape {
  std::int64_t outputs, inputs;
  std::vector<std::int64_t> cuts;
};

// Two weights that come together, and the same ones resident.
struct Group {
  std::unique_ptr<Weight> weights[2], residents[2];
  std::int64_t bytes() const { return weights[0]->bytes() + weights[1]->bytes(); }
};

std::vector<Group> make_groups(Device& device, DType dtype) {
  const Shape shapes[] = {{64, 96, {}},
                          {33, 40, {0, 8, 40}},
                          {7, 300, {0, 0, 40, 40, 41, 299, 300, 300, 300}},
                          {129, 65, {}},
                          {1, 1, {}},
                          {300, 17, {0, 3, 17}},
                          {40, 0, {}},
                          {64, 96, {0, 50, 60, 60, 96}}};
  std::vector<Group> groups;
  for (std::uint64_t i = 0; i + 1 < std::size(shapes); ++i) {
    Group& group = groups.emplace_back();
    for (std::uint64_t j = 0; j < 2; ++j) {
      const Shape& shape = shapes[i + j];
      auto values = random_matrix(10 * i + j, shape.outputs * shape.inputs, 0.3f);
      const Tensor matrix = tensor::matrix(values.data(), DType::f32, shape.outputs, shape.inputs);
      group.weights[j] = device.pack(matrix, dtype, shape.cuts, Residence::host);
      group.residents[j] = device.pack(matrix, dtype, shape.cuts);
      BOOST_TEST(group.weights[j]->outputs() == shape.outputs);
      BOOST_TEST(group.weights[j]->inputs() == shape.inputs);
    }
  }
  return groups;
}

// A product, with everything there before it is asked for.
struct Product {
  const Weight& weight;
  Plain x, out;

  Product(Device& device, const Weight& by, DType dtype, std::uint64_t seed)
      : weight(by), x(device, dtype, rows, by.inputs()), out(device, DType::f32, rows, by.outputs()) {
    x.random(seed);
  }
};

using Products = std::vector<std::unique_ptr<Product>>;

}  // namespace

// As a model does it: while one group is used the next one comes, and the one after that when it has been used.
void check_bring(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::vector<Group> groups = make_groups(device, dtype);
    std::int64_t most = 0;
    for (const Group& group : groups) most = std::max(most, group.bytes());
    device.make_slots(most);
    const auto bring = [&](std::size_t turn) {
      const Group& group = groups[turn % groups.size()];
      Weight* const weights[] = {group.weights[0].get(), group.weights[1].get()};
      device.bring(weights, static_cast<int>(turn % 2));
    };
    const auto use = [&](const Product& one) { device.matmul(one.x.view(), one.weight, {}, false, one.out.view()); };
    const std::size_t turns = 2 * groups.size() + 1;
    Products found, expected;
    for (std::size_t turn = 0; turn < turns; ++turn)
      for (std::size_t i = 0; i < 2; ++i) {
        const Group& group = groups[turn % groups.size()];
        found.push_back(std::make_unique<Product>(device, *group.weights[i], dtype, 2 * turn + i));
        expected.push_back(std::make_unique<Product>(device, *group.residents[i], dtype, 2 * turn + i));
      }
    const std::int64_t before = device.bring_time().bytes;
    bring(0);
    bring(1);
    for (std::size_t turn = 0; turn < turns; ++turn) {
      use(*found[2 * turn]);
      use(*found[2 * turn + 1]);
      bring(turn + 2);
      use(*expected[2 * turn]);
      use(*expected[2 * turn + 1]);
    }
    for (std::size_t i = 0; i < found.size(); ++i)
      BOOST_TEST((found[i]->out.read().bytes() == expected[i]->out.read().bytes()),
                 tensor::name_of(dtype) << ", turn " << i / 2 << ", weight " << i % 2);
    if (!device.host_memory()) BOOST_TEST(device.bring_time().bytes > before);
  }
}

}  // namespace thresher::device::contract
