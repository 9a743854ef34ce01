#include "nccl.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

[[noreturn]] void stop(const std::string& what) {
  std::fprintf(stderr, "emulated NCCL: %s\n", what.c_str());
  std::abort();
}

/// A rank's connections to the others.
struct Links {
  int rank, ranks;
  std::vector<int> sockets;              // [ranks]; own: -1
  std::atomic<bool> joined = false, aborted = false;
  std::function<void()> asked;           // what NCCL takes up in the background: at the last of so many questions how it goes
  int questions = 0;

  ncclResult_t ask(std::function<void()> what) {
    take_up();   // a call waits until the one before has been taken up
    asked = std::move(what);
    questions = 3;
    return ncclInProgress;
  }
  void take_up() {
    if (asked) std::exchange(asked, nullptr)();
  }
  ~Links() {
    for (const int socket : sockets)
      if (socket >= 0) ::close(socket);
  }
};

/// Part of an exchange: so many bytes to or from a rank, behind their number.
struct Message {
  std::shared_ptr<Links> links;
  cudaStream_t stream;
  int peer;
  bool sends;
  char* data;
  uint64_t bytes;
  uint64_t announced = 0;   // what comes first: the number of bytes
  size_t done = 0;          // of the number and the bytes

  bool ended() const { return done == sizeof announced + bytes; }

  void go_on() {
    char* const number = reinterpret_cast<char*>(&announced);
    while (!ended()) {
      const bool in_number = done < sizeof announced;
      char* const at = in_number ? number + done : data + (done - sizeof announced);
      const size_t left = in_number ? sizeof announced - done : size_t(bytes) - (done - sizeof announced);
      const int socket = links->sockets[size_t(peer)];
      const ssize_t moved = sends ? ::send(socket, at, left, MSG_NOSIGNAL | MSG_DONTWAIT) : ::recv(socket, at, left, MSG_DONTWAIT);
      if (moved <= 0) return;   // not now, or never: a lost rank is for the watchdog to notice
      done += size_t(moved);
      if (!sends && done == sizeof announced && announced != bytes)
        stop("rank " + std::to_string(peer) + " sent " + std::to_string(announced) + " bytes to rank " + std::to_string(links->rank) +
             ", which expected " + std::to_string(bytes));
    }
  }
};

void exchange(std::vector<Message>& messages) {
  for (Message& message : messages) message.announced = message.sends ? message.bytes : 0;
  for (;;) {
    bool ended = true;
    for (size_t i = 0; i < messages.size(); ++i) {
      // Of two to or from the same rank the later waits for the earlier.
      bool first = true;
      for (size_t before = 0; before < i; ++before)
        first = first && (messages[before].ended() || messages[before].peer != messages[i].peer || messages[before].sends != messages[i].sends);
      if (first) messages[i].go_on();
      ended = ended && messages[i].ended();
    }
    if (ended || messages.front().links->aborted) return;
    std::this_thread::sleep_for(std::chrono::microseconds(20));   // more ranks than cores
  }
}

sockaddr_un address_of(const ncclUniqueId& id, int rank, socklen_t& size) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;   // a name that begins with 0 is no file
  const std::string name = std::string("emulated-nccl-") + id.internal + '-' + std::to_string(rank);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  size = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

void join(const std::shared_ptr<Links>& links, const ncclUniqueId& id) {
  socklen_t size = 0;
  sockaddr_un own = address_of(id, links->rank, size);
  const int door = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(door, reinterpret_cast<sockaddr*>(&own), size) != 0 || ::listen(door, links->ranks) != 0) stop("a name is taken");
  for (int other = 0; other < links->rank; ++other) {
    const sockaddr_un address = address_of(id, other, size);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (::connect(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
      if (links->aborted) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (::send(socket, &links->rank, sizeof links->rank, MSG_NOSIGNAL) != sizeof links->rank) stop("a rank left while all joined");
    links->sockets[size_t(other)] = socket;
  }
  for (int later = links->rank + 1; later < links->ranks; ++later) {
    pollfd waiting{door, POLLIN, 0};
    while (::poll(&waiting, 1, 10) != 1)
      if (links->aborted) return;
    const int socket = ::accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    int rank = 0;
    if (::recv(socket, &rank, sizeof rank, MSG_WAITALL) != sizeof rank) stop("a rank left while all joined");
    links->sockets[size_t(rank)] = socket;
  }
  ::close(door);
  links->joined = true;
}

thread_local bool in_group = false;
thread_local std::vector<Message> group;

ncclResult_t add(Message message) {
  group.push_back(std::move(message));
  return in_group ? ncclSuccess : ncclGroupEnd();
}

}  // namespace

struct emulated_nccl {
  std::shared_ptr<Links> links;
  std::thread joining;
};

const char* ncclGetErrorString(ncclResult_t result) { return result == ncclInvalidUsage ? "the emulation refuses it" : "emulated"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) return ncclSystemError;
  std::snprintf(id->internal, sizeof id->internal, "%016llx", static_cast<unsigned long long>(number));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config->blocking != 0 || rank < 0 || rank >= ranks) return ncclInvalidUsage;
  const auto links = std::make_shared<Links>();
  links->rank = rank;
  links->ranks = ranks;
  links->sockets.assign(size_t(ranks), -1);
  *comm = new emulated_nccl{links, std::thread([links, id] { join(links, id); })};
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  Links& links = *comm->links;
  if (links.asked && --links.questions == 0) links.take_up();
  return *error = links.joined && !links.asked ? ncclSuccess : ncclInProgress, ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return comm->links->ask([] {}); }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm->links->asked) stop("a communicator is destroyed that has not ended");
  return ncclCommAbort(comm);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->links->aborted = true;
  comm->joining.join();
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() { return in_group = true, ncclSuccess; }

ncclResult_t ncclGroupEnd() {
  in_group = false;
  if (group.empty()) return ncclSuccess;
  const std::shared_ptr<Links> links = group.front().links;
  return links->ask([stream = group.front().stream, messages = std::exchange(group, {})]() mutable {
    emulated::later(stream, [messages = std::move(messages)]() mutable { exchange(messages); });
  });
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t stream) {
  return add({comm->links, stream, peer, true, static_cast<char*>(const_cast<void*>(data)), count});
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t stream) {
  return add({comm->links, stream, peer, false, static_cast<char*>(data), count});
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  ncclGroupStart();
  if (comm->links->rank != root) {
    ncclRecv(to, count, type, root, comm, stream);
  } else {
    for (int other = 0; other < comm->links->ranks; ++other)
      if (other != root) ncclSend(from, count, type, other, comm, stream);
    if (to != from) std::memcpy(to, from, count);
  }
  return ncclGroupEnd();
}
