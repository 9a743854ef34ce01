#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cuda_runtime.h"
#include "kernels/cuda/scratch.hpp"

// Saves what a function must keep on this stack, notes where, and goes on with another stack (System V, x86-64). The C
// library's swapcontext asks the kernel each time.
extern "C" void emulated_switch(void** stack, void* other);
asm(R"(
.text
.type emulated_switch, @function
emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulated_switch, . - emulated_switch
)");

namespace emulated {

dim3 thread_index, block_index, block_size, grid_size;
std::atomic<std::chrono::microseconds> copies_take, copies_beside_take;
Counts counts;
std::atomic<int> capability = 9;
std::atomic<bool> pool_is_in_pieces = false, with_library_attention = false;
std::atomic<int64_t> library_attentions = 0;

namespace {

constexpr size_t stack_bytes = 64 << 10;
constexpr unsigned warp_size = 32;

[[maybe_unused]] const bool reports = std::getenv("EMULATED_REPORT") && std::atexit([] {
  std::fprintf(stderr, "emulated: %lld copies came back beside\n", static_cast<long long>(counts.back_beside));
}) == 0;

/// Whether a block's threads take turns from the last to the first.
const bool falling_order = std::getenv("EMULATED_FALLING_ORDER") != nullptr;

struct Copy {
  void* to;
  const void* from;
  unsigned bytes;
};

struct Fibre {
  std::unique_ptr<char[]> memory = std::make_unique<char[]>(stack_bytes);
  void* stack = nullptr;        // where it stopped
  bool ended = true;
  uint64_t exchanges = 0, warp_barriers = 0;
  Given given[2] = {};          // to the other lanes, in turns: the one before may still be read
  std::vector<Copy> open_copies;
  std::deque<std::vector<Copy>> closed_copies;
};

/// Lanes that have not ended, and how far they are with the operation of all of them that they are at.
struct Warp {
  unsigned alive = 0, given = 0;
  const char* operation = nullptr;
  uint64_t turn = 0, done = 0;

  void see_whether_all_gave() {
    if (given == 0 || given < alive) return;
    given = 0;
    done = turn;
  }
};

std::vector<Fibre> fibres;
std::vector<Warp> warps;
std::vector<char> shared_bytes;
void* scheduler = nullptr;
unsigned current = 0;
const std::function<void()>* body = nullptr;

/// The block's barrier: threads that wait, where, and how often all have come.
unsigned waiting = 0, ended = 0;
int waiting_at = 0;
uint64_t barriers = 0;

void yield() { emulated_switch(&fibres[current].stack, scheduler); }

void start() {
  (*body)();
  fibres[current].ended = true;
  ++ended;
  Warp& warp = warps[current / warp_size];
  --warp.alive;
  warp.see_whether_all_gave();
  yield();
}

/// A stack from which emulated_switch goes on at the beginning of start().
void* new_stack(char* memory) {
  auto* const top = reinterpret_cast<uintptr_t*>((reinterpret_cast<uintptr_t>(memory) + stack_bytes) & ~uintptr_t(15));
  std::fill(top - 8, top, 0);   // six registers, where to go, and where a call would have come from
  top[-2] = reinterpret_cast<uintptr_t>(&start);
  return top - 8;
}

/// The other threads of the warp, those that ended left out.
template <class F>
bool all_of_warp(F f) {
  const unsigned first = current / warp_size * warp_size;
  for (unsigned i = first; i < std::min(first + warp_size, block_size.x); ++i)
    if (!fibres[i].ended && !f(fibres[i])) return false;
  return true;
}

void run_block() {
  const unsigned threads = block_size.x;
  for (unsigned i = 0; i < threads; ++i) {
    Fibre& fibre = fibres[i];
    fibre.stack = new_stack(fibre.memory.get());
    fibre.ended = false;
    fibre.exchanges = fibre.warp_barriers = 0;
    fibre.open_copies.clear();
    fibre.closed_copies.clear();
  }
  waiting = ended = 0;
  warps.assign((threads + warp_size - 1) / warp_size, {});
  for (unsigned i = 0; i < threads; ++i) ++warps[i / warp_size].alive;
  while (ended < threads)
    for (unsigned turn = 0; turn < threads; ++turn) {
      current = falling_order ? threads - 1 - turn : turn;
      if (fibres[current].ended) continue;
      thread_index.x = current;
      emulated_switch(&scheduler, fibres[current].stack);
      if (ended > 0 && waiting > 0) stop("a thread ended while others wait at a barrier");
    }
}

}  // namespace

void stop(const char* what) {   // no exception can leave a fibre
  std::fprintf(stderr, "emulated CUDA: %s\n", what);
  std::abort();
}

void block_barrier(int line) {
  if (waiting > 0 && waiting_at != line) stop("threads of a block wait at different barriers");
  waiting_at = line;
  if (++waiting == block_size.x) {
    waiting = 0;
    ++barriers;
    return;
  }
  for (const uint64_t before = barriers; barriers == before;) yield();
}

void warp_barrier() {
  const uint64_t reached = ++fibres[current].warp_barriers;
  while (!all_of_warp([&](const Fibre& lane) { return lane.warp_barriers >= reached; })) yield();
}

void give(const Given& given) {
  Fibre& own = fibres[current];
  const uint64_t turn = ++own.exchanges;
  own.given[turn % 2] = given;
  Warp& warp = warps[current / warp_size];
  if (warp.given++ == 0) {
    warp.operation = given.operation;
    warp.turn = turn;
  } else if (warp.operation != given.operation || warp.turn != turn) {
    stop("lanes of a warp are at different operations");
  }
  for (warp.see_whether_all_gave(); warp.done < turn;) yield();
}

const Given& given_by(unsigned lane) {
  const unsigned other = current / warp_size * warp_size + lane;
  const uint64_t turn = fibres[current].exchanges;
  if (other >= block_size.x || fibres[other].exchanges < turn) stop("a warp's operation lacks a lane");
  return fibres[other].given[turn % 2];
}

void begin_copy(void* to, const void* from, unsigned bytes) {
  const auto offset = static_cast<char*>(to) - shared_bytes.data();
  if (offset < 0 || size_t(offset) + 16 > shared_bytes.size()) stop("a copy ends outside shared memory");
  if (offset % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0) stop("a copy of 16 bytes is not aligned to them");
  std::memset(to, 0xff, 16);
  fibres[current].open_copies.push_back({to, from, bytes});
}

void close_copies() { fibres[current].closed_copies.push_back(std::exchange(fibres[current].open_copies, {})); }

void wait_for_copies(unsigned newest) {
  for (auto& groups = fibres[current].closed_copies; groups.size() > newest; groups.pop_front())
    for (const Copy& copy : groups.front()) {
      std::memset(copy.to, 0, 16);
      std::memcpy(copy.to, copy.from, copy.bytes);
    }
}

void* shared_memory() { return shared_bytes.data(); }

void run(dim3 grid, dim3 block, size_t bytes, const std::function<void()>& f) {
  static std::mutex one_at_a_time;   // ranks may be threads
  const std::lock_guard lock(one_at_a_time);
  if (fibres.size() < block.x) fibres = std::vector<Fibre>(block.x);
  block_size = block;
  grid_size = grid;
  body = &f;
  for (unsigned i = 0; i < grid.x; ++i) {
    block_index.x = i;
    shared_bytes.assign(bytes, char(0xff));   // NaN
    run_block();
  }
}

}  // namespace emulated

namespace {

thread_local int current_device = -1;   // until it has chosen one

int devices() {
  const char* const number = std::getenv("EMULATED_GPUS");
  return number ? std::atoi(number) : 1;
}

/// Any other call in a thread that has chosen no GPU would begin to use GPU 0, beside the process that it belongs to.
void expect_chosen() {
  if (current_device < 0) emulated::stop("a call of CUDA in a thread that has chosen no GPU");
}

}  // namespace

/// A moment of a stream: so much of its work is done then.
struct emulated_event {
  std::shared_ptr<struct StreamWork> of;
  uint64_t behind = 0;
  std::chrono::steady_clock::time_point when = {};   // of a stream that is not behind: all but NCCL's
  bool timed = true;
};

/// What a stream does on a thread of its own.
struct StreamWork {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;
  uint64_t given = 0, done = 0;
  bool ending = false;

  void wait_for(uint64_t behind) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done >= behind; });
  }
  void work() {
    for (std::unique_lock lock(mutex);;) {
      changed.wait(lock, [&] { return ending || !waiting.empty(); });
      if (waiting.empty()) return;
      const auto next = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      next();
      lock.lock();
      ++done;
      changed.notify_all();
    }
  }
};

struct emulated_stream {
  std::shared_ptr<StreamWork> own = std::make_shared<StreamWork>();
  std::vector<emulated_event> waits_for;   // before anything else is done
  std::thread thread;

  /// Whether it has something to do, or to wait for.
  bool is_behind() {
    const std::lock_guard lock(own->mutex);
    return own->done < own->given || !waits_for.empty();
  }
  void wait() {
    std::unique_lock lock(own->mutex);
    const auto before = std::exchange(waits_for, {});
    lock.unlock();
    for (const emulated_event& event : before) event.of->wait_for(event.behind);
  }
};

void emulated::later(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(stream->own->mutex);
  stream->own->waiting.push_back([before = std::exchange(stream->waits_for, {}), work = std::move(work)] {
    for (const emulated_event& event : before) event.of->wait_for(event.behind);
    work();
  });
  ++stream->own->given;
  if (!stream->thread.joinable()) stream->thread = std::thread([own = stream->own] { own->work(); });
  stream->own->changed.notify_all();
}

void emulated::finish(cudaStream_t stream) {
  if (!stream) return;
  stream->wait();
  std::unique_lock lock(stream->own->mutex);
  const uint64_t given = stream->own->given;
  lock.unlock();
  stream->own->wait_for(given);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return expect_chosen(), *stream = new emulated_stream, cudaSuccess; }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  expect_chosen();
  {
    const std::lock_guard lock(stream->own->mutex);
    stream->own->ending = true;
  }
  stream->own->changed.notify_all();
  if (stream->thread.joinable()) stream->thread.join();
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  expect_chosen();
  *event = new emulated_event;
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return expect_chosen(), delete event, cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  expect_chosen();
  stream->wait();
  const std::lock_guard lock(stream->own->mutex);
  *event = {stream->own, stream->own->given, std::chrono::steady_clock::now(), event->timed};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  expect_chosen();
  if (event->of) event->of->wait_for(event->behind);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  expect_chosen();
  if (!from->timed || !to->timed || !from->of || !to->of) return cudaErrorInvalidResourceHandle;
  *milliseconds = std::chrono::duration<float, std::milli>(to->when - from->when).count();
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  expect_chosen();
  if (!event->of) return cudaSuccess;   // it was never recorded
  const std::lock_guard lock(event->of->mutex);
  return event->of->done >= event->behind ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  expect_chosen();
  if (!event->of) return cudaSuccess;   // it was never recorded
  const std::lock_guard lock(stream->own->mutex);
  return stream->waits_for.push_back(*event), cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) { return *count = devices(), cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= devices()) return cudaErrorInvalidValue;
  return current_device = device, cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return expect_chosen(), *device = current_device, cudaSuccess; }

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  const char* const bytes = std::getenv("EMULATED_GPU_BYTES");
  return *available = *total = bytes ? std::strtoull(bytes, nullptr, 10) + pyracast::cuda::unplanned_bytes : size_t(80) << 30, cudaSuccess;
}

cudaError_t cudaMallocFromPoolAsync(void** block, size_t bytes, cudaMemPool_t, cudaStream_t) {
  expect_chosen();
  if (emulated::pool_is_in_pieces) return cudaErrorMemoryAllocation;
  if (posix_memalign(block, 512, bytes) != 0) return cudaErrorInvalidValue;   // what the pool's blocks begin at multiples of
  return std::memset(*block, 0xff, bytes), cudaSuccess;
}

// Whoever still reads it finds NaN.
cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  expect_chosen();
  emulated::finish(stream);
  static void* (*const volatile overwrite)(void*, int, size_t) = std::memset;   // which would be left out before free()
  if (block) overwrite(block, 0xff, malloc_usable_size(block));
  return std::free(block), cudaSuccess;
}

namespace {

/// Pinned memory, by where it begins.
struct Pinned {
  std::mutex mutex;
  std::map<const char*, size_t> blocks;

  bool holds(const void* memory) {
    const std::lock_guard lock(mutex);
    const auto* const at = static_cast<const char*>(memory);
    auto behind = blocks.upper_bound(at);
    return behind != blocks.begin() && at < (--behind)->first + behind->second;
  }
};

Pinned& pinned() {
  static Pinned& memory = *new Pinned;   // for as long as anything may be given back
  return memory;
}

}  // namespace

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  expect_chosen();
  ++emulated::counts.host_allocations;
  *memory = std::malloc(bytes);
  std::memset(*memory, 0xff, bytes);
  const std::lock_guard lock(pinned().mutex);
  return pinned().blocks[static_cast<char*>(*memory)] = bytes, cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  expect_chosen();
  const std::lock_guard lock(pinned().mutex);
  if (pinned().blocks.erase(static_cast<char*>(memory)) == 0) return cudaErrorInvalidValue;
  return std::free(memory), cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  return attributes->type = pinned().holds(memory) ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered, cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  expect_chosen();
  if (kind != cudaMemcpyDeviceToDevice && pinned().holds(kind == cudaMemcpyHostToDevice ? from : to)) {
    ++(kind == cudaMemcpyHostToDevice ? emulated::counts.from_pinned : emulated::counts.to_pinned);
    if (kind == cudaMemcpyHostToDevice && !stream->waits_for.empty()) ++emulated::counts.back_beside;
    const auto& takes = stream->waits_for.empty() ? emulated::copies_take : emulated::copies_beside_take;
    emulated::later(stream, [=, &takes] {
      std::this_thread::sleep_for(takes.load());
      std::memcpy(to, from, bytes);
    });
    return cudaSuccess;
  }
  if (kind == cudaMemcpyDeviceToDevice && stream && stream->is_behind()) {
    emulated::later(stream, [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
  }
  if (kind != cudaMemcpyDeviceToDevice) ++emulated::counts.pageable_copies;
  emulated::finish(stream);
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
