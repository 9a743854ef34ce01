#include "kernels/cuda/copy_plan.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;

// Neighbouring threads write neighbouring elements. Index is 32 bits wide where that is enough: divisions cost less.
template <class Element, class Index>
__global__ void copy_kernel(CopyPlan plan, const Element* in, Element* out) {
  const int64_t i = global_index();
  if (i >= plan.elements) return;
  const CopyPlan::Place place = plan.place(Index(i));
  out[place.out] = in[place.in];
}

template <class Element>
void copy_elements(cudaStream_t stream, const CopyPlan& plan, const void* in, void* out) {
  const bool narrow = std::max(plan.elements, plan.farthest()) < INT_MAX;
  launch(stream, "a copy", pieces_of(plan.elements, threads), threads, 0,
         narrow ? copy_kernel<Element, uint32_t> : copy_kernel<Element, int64_t>, plan,
         static_cast<const Element*>(in), static_cast<Element*>(out));
}

struct Fill : Nothing {
  float value;
  explicit Fill(float value) : value(value) {}
  __device__ float operator()(Nothing, int) const { return value; }
};

}  // namespace
}  // namespace cuda

// The host's memory may go as soon as upload returns. Pageable memory has been copied to a staging buffer by then ("API
// synchronization behavior" in the manual of the CUDA runtime); pinned memory is read later, and is waited for.
void CudaBackend::upload(const void* host, View out) {
  if (out.size() == 0) return;
  const cudaStream_t on = stream();
  cuda::check(cudaMemcpyAsync(out.data, host, size_t(out.size()) * size_of(out.dtype), cudaMemcpyHostToDevice, on),
              "copying to the GPU");
  cudaPointerAttributes memory{};
  cuda::check(cudaPointerGetAttributes(&memory, host), "asking what memory this is");
  if (memory.type != cudaMemoryTypeUnregistered) cuda::check(cudaStreamSynchronize(on), "copying to the GPU");
}

void CudaBackend::download(View x, void* host) {
  if (x.size() == 0) return;
  const cudaStream_t on = stream();
  cuda::check(cudaMemcpyAsync(host, x.data, size_t(x.size()) * size_of(x.dtype), cudaMemcpyDeviceToHost, on),
              "copying to the host");
  cuda::check(cudaStreamSynchronize(on), "copying to the host, or what came before");
}

Moment CudaBackend::moment() {
  cudaEvent_t event = nullptr;
  const cudaStream_t on = stream();
  cuda::check(cudaEventCreateWithFlags(&event, cudaEventDefault), "making an event");
  const std::shared_ptr<void> owned(event, [](void* made) { cudaEventDestroy(static_cast<cudaEvent_t>(made)); });
  cuda::check(cudaEventRecord(event, on), "noting a moment");
  return {{}, owned};
}

double CudaBackend::seconds(const Moment& from, const Moment& to) {
  const auto event = [](const Moment& moment) { return static_cast<cudaEvent_t>(moment.event.get()); };
  float milliseconds = 0;
  cuda::check(cudaEventSynchronize(event(to)), "waiting for a moment");
  cuda::check(cudaEventElapsedTime(&milliseconds, event(from), event(to)), "measuring");
  return double(milliseconds) / 1000;
}

void CudaBackend::finish() { cuda::check(cudaStreamSynchronize(stream()), "what was asked of the GPU"); }

void CudaBackend::copy(View in, int64_t in_offset, const Shape& in_strides, View out, int64_t out_offset,
                       const Shape& out_strides, const Shape& shape) {
  const cuda::CopyPlan plan = cuda::plan_copy(size_of(in.dtype), in_offset, in_strides, out_offset, out_strides, shape);
  if (plan.elements == 0) return;
  const cudaStream_t on = stream();
  if (plan.contiguous()) {
    cuda::check(cudaMemcpyAsync(static_cast<char*>(out.data) + plan.out_offset * plan.element,
                                static_cast<const char*>(in.data) + plan.in_offset * plan.element,
                                size_t(plan.elements * plan.element), cudaMemcpyDeviceToDevice, on), "a copy");
    return;
  }
  switch (plan.element) {
    case 1: return cuda::copy_elements<uint8_t>(on, plan, in.data, out.data);
    case 2: return cuda::copy_elements<uint16_t>(on, plan, in.data, out.data);
    case 4: return cuda::copy_elements<uint32_t>(on, plan, in.data, out.data);
    case 8: return cuda::copy_elements<uint2>(on, plan, in.data, out.data);
    default: return cuda::copy_elements<uint4>(on, plan, in.data, out.data);
  }
}

void CudaBackend::fill(View out, float value) {
  cuda::map(stream(), "fill", out, out.size(), cuda::Fill(value));
}

void CudaBackend::convert(View x, View out) { cuda::convert(stream(), x, out); }

}  // namespace pyracast
