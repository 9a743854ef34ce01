#include "kernels/cuda/departures.hpp"

#include <cstring>

#include "kernels/cuda/launch.hpp"

namespace pyracast {

namespace cuda {

Departures::Departures(std::shared_ptr<DeviceStream> device) : device_(std::move(device)) {
  device_->current();
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  for (Piece& piece : pieces_) {
    piece.memory = DeviceStream::allocate_host(device_, DeviceStream::host_piece);
    check(cudaEventCreateWithFlags(&piece.filled, cudaEventDisableTiming), "making an event");
  }
}

Departures::~Departures() {
  cudaStreamSynchronize(stream_);
  for (const Piece& piece : pieces_) cudaEventDestroy(piece.filled);
  cudaStreamDestroy(stream_);
}

void Departures::operator()(const void* from, size_t bytes, cudaEvent_t ready, void* host) {
  const std::lock_guard lock(one_at_a_time_);
  device_->current();   // of this thread
  check(cudaStreamWaitEvent(stream_, ready, 0), "waiting for what is to leave");
  const auto size_at = [&](size_t begin) { return std::min(DeviceStream::host_piece, bytes - begin); };
  const auto empty = [&](size_t begin) {
    const Piece& piece = pieces_[begin / DeviceStream::host_piece % 2];
    check(cudaEventSynchronize(piece.filled), "copying to the host, or what came before");
    std::memcpy(static_cast<char*>(host) + begin, piece.memory.get(), size_at(begin));
  };
  for (size_t begin = 0; begin < bytes; begin += DeviceStream::host_piece) {
    const Piece& piece = pieces_[begin / DeviceStream::host_piece % 2];
    check(cudaMemcpyAsync(piece.memory.get(), static_cast<const char*>(from) + begin, size_at(begin), cudaMemcpyDeviceToHost, stream_),
          "copying to the host");
    check(cudaEventRecord(piece.filled, stream_), "noting a moment");
    if (begin > 0) empty(begin - DeviceStream::host_piece);
  }
  if (bytes > 0) empty((bytes - 1) / DeviceStream::host_piece * DeviceStream::host_piece);
}

}  // namespace cuda

std::function<void(void* host)> CudaBackend::download_later(View x) {
  if (!departures_) departures_ = std::make_shared<cuda::Departures>(stream_);
  return [departures = departures_, x, ready = moment()](void* host) {
    (*departures)(x.data, size_t(x.size()) * size_of(x.dtype), static_cast<cudaEvent_t>(ready.event.get()), host);
  };
}

}  // namespace pyracast
