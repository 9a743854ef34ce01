#pragma once
#include <cmath>
#include <cstdio>
#include <random>
#include <set>
#include <string>

#include "base/error.hpp"
#include "kernels/backend.hpp"

namespace pyracast {

/// The GPU, or null and why there is none.
struct TestGpu {
  std::shared_ptr<Backend> backend;
  std::string absence;

  explicit TestGpu(CudaPrecision precision) {
    try {
      backend = make_cuda_backend(0, precision);
    } catch (const Error& error) {
      if (!visible_gpus().empty()) throw;   // a GPU that cannot be used is no reason to skip
      absence = error.what();
    }
  }
};

/// Whether a GPU multiplies in float8.
inline bool scales_float8_rows(const Backend& gpu) { return gpu.name().starts_with("cuda-sm9"); }

/// The back ends that this machine can run, each with its name; no test is written for one device.
inline std::vector<std::shared_ptr<Backend>> test_devices() {
  std::vector<std::shared_ptr<Backend>> devices{make_cpu_backend(CpuIsa::portable)};
  for (const CpuIsa isa : {CpuIsa::avx2, CpuIsa::avx512, CpuIsa::avx512vnni}) {
    try {
      devices.push_back(make_cpu_backend(isa));
    } catch (const Error& error) {
      static std::set<std::string> told_of;
      if (told_of.insert(error.what()).second) std::printf("%s\n", error.what());
    }
  }
  static const TestGpu gpu(CudaPrecision::float32);
  static const bool told = [] {
    if (!gpu.backend) std::printf("not on a GPU: %s\n", gpu.absence.c_str());
    return true;
  }();
  (void)told;
  if (gpu.backend) devices.push_back(gpu.backend);
  return devices;
}

inline std::vector<float> random_values(int64_t count, unsigned seed, float spread = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

inline std::vector<float> rounded_to_bfloat16(std::vector<float> values) {
  for (float& value : values) value = round_to_bfloat16(value);
  return values;
}

/// A host array as a device tensor, float32 or bfloat16.
struct DeviceArray {
  DeviceArray(Backend& backend, Shape shape, const std::vector<float>& values, DType dtype = DType::float32)
      : DeviceArray(backend, std::move(shape), dtype) {
    const std::vector<bfloat16> narrow(values.begin(), values.end());
    if (dtype == DType::bfloat16) backend.upload(narrow.data(), view);
    else backend.upload(values.data(), view);
  }
  DeviceArray(Backend& backend, Shape shape, DType dtype = DType::float32) : backend(backend) {
    view.dtype = dtype;
    view.shape = std::move(shape);
    memory = backend.allocate(size_t(view.size()) * size_of(dtype));
    view.data = memory.get();
  }
  std::vector<float> values() const {
    std::vector<float> out(size_t(view.size()));
    std::vector<bfloat16> narrow(out.size());
    if (view.dtype == DType::float32) {
      backend.download(view, out.data());
    } else {
      backend.download(view, narrow.data());
      for (size_t i = 0; i < out.size(); ++i) out[i] = float(narrow[i]);
    }
    return out;
  }
  Backend& backend;
  View view;
  std::shared_ptr<void> memory;
};

inline double largest_difference(const std::vector<float>& a, const std::vector<double>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace pyracast
