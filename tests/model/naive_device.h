// A Device in plain loops and double precision, f32 between the steps: what the model floor computes, without any
// kernel's rounding or mistakes.
#pragma once

#include "thresher/device/device.h"

namespace thresher::model::test {

std::unique_ptr<device::Device> make_naive_device();

}  // namespace thresher::model::test
