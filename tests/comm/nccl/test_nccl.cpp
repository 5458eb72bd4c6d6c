#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "thresher/comm/ending.h"
#include "thresher/comm/nccl.h"
#include "thresher/device/cuda.h"

namespace thresher::comm {
namespace {

using tensor::DType;
using tensor::Tensor;

struct Shape {
  std::int64_t rows, columns;
};

// Fewer rows than ranks, odd ones, several pieces of the scratch.
constexpr Shape shapes[] = {{1, 1}, {1, 300}, {3, 5}, {17, 64}, {101, 33}};
constexpr std::int64_t small_scratch = 300 * 4;

// A rank with an emulated GPU of its own.
struct Rank {
  std::unique_ptr<Comm> world = mpi_comm();
  std::unique_ptr<device::Device> gpu = make_gpu(world->rank());
  std::mt19937 random{static_cast<unsigned>(world->rank() + 1)};

  static std::unique_ptr<device::Device> make_gpu(int rank) {
    setenv("THRESHER_FAKE_GPUS", "8", 1);
    return device::make_cuda_device({.gpu = rank, .threads = 1, .algorithms = {}});
  }

  // Magnitudes differ by 2^30: every order of summing has other bits.
  std::vector<float> numbers(Shape shape) {
    std::vector<float> values(static_cast<std::size_t>(shape.rows * shape.columns));
    for (float& value : values)
      value = std::ldexp(static_cast<float>(random()) - 0x1p31f, static_cast<int>(random() % 30));
    return values;
  }
};

// A tensor in the GPU's memory.
struct OnGpu {
  OnGpu(device::Device& on, Shape shape, void* values, DType dtype = DType::f32)
      : gpu(on),
        memory(on.allocate(shape.rows * shape.columns * 4)),
        view(tensor::matrix(memory.data(), dtype, shape.rows, shape.columns)) {
    gpu.upload(tensor::matrix(values, dtype, shape.rows, shape.columns), view);
  }
  template <class T>
  void download(std::vector<T>& values) const {
    gpu.download(view, tensor::matrix(values.data(), view.dtype, view.rows, view.columns));
  }

  device::Device& gpu;
  device::Buffer memory;
  Tensor view;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_library_is_found, Rank) {
  BOOST_TEST(nccl_state().trouble == "");
  BOOST_TEST(nccl_version_text(22809) == "2.28.9");
  BOOST_TEST(nccl_state().version >= 21801);
}

BOOST_FIXTURE_TEST_CASE(sums_have_the_bits_of_the_host, Rank) {
  for (const std::int64_t scratch : {small_scratch, std::int64_t{1} << 20}) {
    const auto sums = nccl_sums(*world, *gpu, {.whose = "all", .scratch_bytes = scratch * world->size()});
    BOOST_TEST(sums->size() == world->size());
    for (const Shape shape : shapes) {
      std::vector<float> values = numbers(shape), found(values.size());
      const OnGpu x(*gpu, shape, values.data());
      sums->add_up(x.view);
      x.download(found);
      world->all_reduce(values);
      BOOST_TEST(same_bits(found, values), shape.rows << " x " << shape.columns);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(both_ways_give_the_same, Rank) {
  const auto direct = nccl_sums(*world, *gpu, {.whose = "all"});
  const auto by_host = host_sums(*world, *gpu);
  for (const Shape shape : shapes) {
    std::vector<float> values = numbers(shape), first(values.size()), second(values.size());
    const OnGpu a(*gpu, shape, values.data()), b(*gpu, shape, values.data());
    direct->add_up(a.view);
    by_host->add_up(b.view);
    a.download(first);
    b.download(second);
    BOOST_TEST(same_bits(first, second));
  }
  gpu->finish();
  BOOST_TEST(direct->seconds() > 0);
  BOOST_TEST(by_host->seconds() > 0);
}

BOOST_FIXTURE_TEST_CASE(bits_of_one_rank_each_are_united, Rank) {
  const auto sums = nccl_sums(*world, *gpu, {.whose = "all"});
  const Shape shape{7, 13};
  std::vector<std::uint32_t> bits(7 * 13), found(bits.size()), expected(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    expected[i] = static_cast<std::uint32_t>(i * 0x9e3779b9u);  // NaNs and negative zeros among them
    bits[i] = static_cast<int>(i) % world->size() == world->rank() ? expected[i] : 0;
  }
  for (const DType dtype : {DType::f32, DType::i32}) {
    const OnGpu x(*gpu, shape, bits.data(), dtype);
    sums->unite(x.view);
    x.download(found);
    BOOST_TEST(same_bits(found, expected));
  }
}

// Nobody waits in between: steps before and after a sum keep their order.
BOOST_FIXTURE_TEST_CASE(sums_take_their_place_among_the_steps, Rank) {
  const auto sums = nccl_sums(*world, *gpu, {.whose = "all"});
  const Shape shape{9, 40};
  std::vector<float> ones(360, 1.0f), found(360);
  const OnGpu x(*gpu, shape, ones.data()), y(*gpu, shape, ones.data());
  for (int i = 0; i < 5; ++i) {
    gpu->add(x.view, {}, y.view);  // y += x
    sums->add_up(y.view);
    gpu->add(y.view, {}, x.view);  // x += y
  }
  x.download(found);
  float a = 1, b = 1;
  for (int i = 0; i < 5; ++i) {
    b = (b + a) * static_cast<float>(world->size());
    a += b;
  }
  BOOST_TEST(same_bits(found, std::vector<float>(360, a)));
}

BOOST_FIXTURE_TEST_CASE(groups_of_a_group_sum_for_themselves, Rank) {
  const auto pair = world->split(world->rank() / 2, world->rank());
  const auto sums = nccl_sums(*pair, *gpu, {.whose = "neighbours"});
  std::vector<float> values = numbers({5, 8}), found(values.size());
  const OnGpu x(*gpu, {5, 8}, values.data());
  sums->add_up(x.view);
  x.download(found);
  pair->all_reduce(values);
  BOOST_TEST(same_bits(found, values));
}

BOOST_FIXTURE_TEST_CASE(impossible_tensors_are_refused, Rank) {
  const auto sums = nccl_sums(*world, *gpu, {.whose = "all", .scratch_bytes = 4});
  std::vector<float> values = numbers({4, 8});
  const OnGpu x(*gpu, {4, 8}, values.data());
  const auto is_internal = [](const base::Error& error) { return error.code() == base::Exit::internal; };
  BOOST_CHECK_EXCEPTION(sums->add_up(x.view.columns_from(0, 4)), base::Error, is_internal);
  BOOST_CHECK_EXCEPTION(sums->add_up(x.view), base::Error, is_internal);  // no room for a row
}

// Every stage has one tensor for all batches, and waits for nothing but its neighbours: batches of rising length, the
// later ones longer than the pipes were made for.
BOOST_FIXTURE_TEST_CASE(stages_pass_tensors_on, Rank) {
  constexpr std::int64_t batches = 7, columns = 40;
  const std::vector<std::string> hosts(static_cast<std::size_t>(world->size()), "here");
  const Grid grid(*world, {.data = 1, .stages = world->size(), .shards = 1}, hosts);
  const NcclPipes pipes = nccl_pipes(grid, *gpu, 4 * columns * 4);
  BOOST_TEST((pipes.before != nullptr) == (world->rank() > 0));
  BOOST_TEST((pipes.after != nullptr) == (world->rank() + 1 < world->size()));
  std::vector<float> own(batches * columns, static_cast<float>(world->rank() + 1)), zeros(own.size());
  const OnGpu x(*gpu, {batches, columns}, zeros.data()), step(*gpu, {batches, columns}, own.data());
  float expected = 0;
  for (int rank = 0; rank < world->size(); ++rank) expected += static_cast<float>(rank + 1);
  for (std::int64_t rows = 1; rows <= batches; ++rows) {
    const Tensor batch = x.view.rows_from(0, rows);
    std::vector<float> found(static_cast<std::size_t>(rows * columns), static_cast<float>(100 * rows));
    if (pipes.before)
      pipes.before->receive(batch);
    else
      gpu->upload(tensor::matrix(found.data(), DType::f32, rows, columns), batch);
    gpu->add(step.view.rows_from(0, rows), {}, batch);
    if (pipes.after) {
      pipes.after->send(batch);
      continue;
    }
    gpu->download(batch, tensor::matrix(found.data(), DType::f32, rows, columns));
    BOOST_TEST(same_bits(found, std::vector<float>(found.size(), expected + static_cast<float>(100 * rows))));
  }
  gpu->finish();
}

// The last one: nothing works afterwards.
BOOST_FIXTURE_TEST_CASE(cancelling_ends_what_the_gpu_waits_for, Rank) {
  const auto sums = nccl_sums(*world, *gpu, {.whose = "all"});
  std::vector<float> values = numbers({4, 8});
  const OnGpu x(*gpu, {4, 8}, values.data());
  world->barrier();
  if (world->rank() + 1 < world->size()) sums->add_up(x.view);  // the last rank never comes
  std::thread other([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel(base::Error(base::Exit::io, "a disk is full"));
  });
  x.download(values);
  other.join();
  const auto is_the_reason = [](const base::Error& error) { return std::string(error.what()) == "a disk is full"; };
  BOOST_CHECK_EXCEPTION(throw_if_cancelled(), base::Error, is_the_reason);
  BOOST_CHECK_EXCEPTION(sums->add_up(x.view), base::Error, is_the_reason);
}

}  // namespace thresher::comm
