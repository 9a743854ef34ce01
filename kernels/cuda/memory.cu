#include <cstring>

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

void wait_for(const Moment& moment, std::string_view what) { check(cudaEventSynchronize(static_cast<cudaEvent_t>(moment.event.get())), what); }

bool is_pinned(const void* host) {
  cudaPointerAttributes memory{};
  check(cudaPointerGetAttributes(&memory, host), "asking what memory this is");
  return memory.type == cudaMemoryTypeHost;
}

/// f(first byte, bytes) for each piece of so many bytes that goes through pinned memory.
template <class F>
void for_pieces(size_t bytes, F f) {
  for (size_t begin = 0; begin < bytes; begin += DeviceStream::host_piece) f(begin, std::min(DeviceStream::host_piece, bytes - begin));
}

}  // namespace
}  // namespace cuda

// The host's memory may go as soon as upload returns. What is pageable goes through pinned pieces and the GPU is not waited for: a copy from it
// may wait for all that the stream was asked for ("API synchronization behavior" in the manual of the CUDA runtime). What is pinned is read
// later, and is waited for.
void CudaBackend::upload(const void* host, View out) {
  if (out.size() == 0) return;
  const cudaStream_t on = stream();
  if (cuda::is_pinned(host)) {
    cuda::check(cudaMemcpyAsync(out.data, host, size_t(out.size()) * size_of(out.dtype), cudaMemcpyHostToDevice, on), "copying to the GPU");
    return finish();
  }
  cuda::for_pieces(size_t(out.size()) * size_of(out.dtype), [&](size_t begin, size_t bytes) {
    const std::shared_ptr<void> piece = allocate_host(bytes);
    std::memcpy(piece.get(), static_cast<const char*>(host) + begin, bytes);
    cuda::check(cudaMemcpyAsync(static_cast<char*>(out.data) + begin, piece.get(), bytes, cudaMemcpyHostToDevice, on), "copying to the GPU");
  });
}

// The GPU fills one pinned piece while the one before is copied to where it belongs.
void CudaBackend::download(View x, void* host) {
  if (x.size() == 0) return;
  const cudaStream_t on = stream();
  if (cuda::is_pinned(host)) {
    cuda::check(cudaMemcpyAsync(host, x.data, size_t(x.size()) * size_of(x.dtype), cudaMemcpyDeviceToHost, on), "copying to the host");
    return finish();
  }
  std::function<void()> arrive = [] {};
  cuda::for_pieces(size_t(x.size()) * size_of(x.dtype), [&](size_t begin, size_t bytes) {
    const std::shared_ptr<void> piece = allocate_host(bytes);
    cuda::check(cudaMemcpyAsync(piece.get(), static_cast<const char*>(x.data) + begin, bytes, cudaMemcpyDeviceToHost, on), "copying to the host");
    std::exchange(arrive, [=, to = static_cast<char*>(host) + begin, copied = moment()] {
      cuda::wait_for(copied, "copying to the host, or what came before");
      std::memcpy(to, piece.get(), bytes);
    })();
  });
  arrive();
}

Moment CudaBackend::begin_download(View x, void* host) {
  return stream_->copy_beside(host, x.data, size_t(x.size()) * size_of(x.dtype), cudaMemcpyDeviceToHost);
}

Moment CudaBackend::begin_upload(const void* host, View out) {
  return stream_->copy_beside(out.data, host, size_t(out.size()) * size_of(out.dtype), cudaMemcpyHostToDevice);
}

void CudaBackend::follow(const Moment& moment) {
  if (moment.is_past()) return;
  cuda::check(cudaStreamWaitEvent(stream(), static_cast<cudaEvent_t>(moment.event.get()), 0), "putting operations behind what goes on beside them");
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
  stream();   // in any thread
  float milliseconds = 0;
  cuda::wait_for(to, "waiting for a moment");
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
