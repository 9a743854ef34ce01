#include "comm/communicator.hpp"

#include <barrier>
#include <cstring>

namespace pyracast {

namespace {

class LoneCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_to_all(View in, Counts, View out, Counts) override { copy(in, out); }
  void all_gather(View in, View out, Counts) override { copy(in, out); }
  void broadcast(View, int) override {}

 private:
  static void copy(View in, View out) { std::memcpy(out.data, in.data, size_t(in.size()) * size_of(in.dtype)); }
};

class PlanningCommunicator final : public Communicator {
 public:
  PlanningCommunicator(int rank, int size, DoingListener listener, bool overlaps)
      : rank_(rank), size_(size), listener_(std::move(listener)), overlaps_(overlaps) {}
  void set_doing(std::string what) override {
    if (listener_) listener_(what);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  bool overlaps() const override { return overlaps_; }
  void all_to_all(View, Counts, View, Counts) override {}
  void all_gather(View, View, Counts) override {}
  void broadcast(View, int) override {}

 private:
  int rank_, size_;
  DoingListener listener_;
  bool overlaps_;
};

/// Where each rank's part begins.
std::vector<int64_t> starts_of(Counts counts) {
  std::vector<int64_t> starts{0};
  for (const int64_t count : counts) starts.push_back(starts.back() + count);
  return starts;
}

/// What the threads of one process share.
struct Meeting {
  explicit Meeting(int size) : barrier(size), views(size_t(size)), starts(size_t(size)) {}
  std::barrier<> barrier;
  std::vector<View> views;
  std::vector<std::vector<int64_t>> starts;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return int(meeting_->views.size()); }

  void all_to_all(View in, Counts sent, View out, Counts received) override {
    show(in, starts_of(sent));
    take(out, received, [&](int from) { return meeting_->starts[size_t(from)][size_t(rank_)]; });
  }
  void all_gather(View in, View out, Counts received) override {
    show(in, {0});
    take(out, received, [](int) { return int64_t(0); });
  }
  void broadcast(View data, int root) override {
    show(data, {0});
    if (rank_ != root) copy(meeting_->views[size_t(root)], 0, data, 0, data.size());
    meeting_->barrier.arrive_and_wait();
  }

 private:
  std::shared_ptr<Meeting> meeting_;
  int rank_;

  void show(View view, std::vector<int64_t> starts) {
    meeting_->views[size_t(rank_)] = view;
    meeting_->starts[size_t(rank_)] = std::move(starts);
    meeting_->barrier.arrive_and_wait();
  }
  template <class Start>
  void take(View out, Counts received, Start start) {
    const std::vector<int64_t> to = starts_of(received);
    for (int from = 0; from < size(); ++from)
      copy(meeting_->views[size_t(from)], start(from), out, to[size_t(from)], received[size_t(from)]);
    meeting_->barrier.arrive_and_wait();   // nobody's buffer goes before all have read it
  }
  static void copy(View in, int64_t in_start, View out, int64_t out_start, int64_t count) {
    const size_t element = size_of(in.dtype);
    if (count > 0)
      std::memcpy(static_cast<char*>(out.data) + size_t(out_start) * element,
                  static_cast<const char*>(in.data) + size_t(in_start) * element, size_t(count) * element);
  }
};

class StagedCommunicator final : public Communicator {
 public:
  StagedCommunicator(std::unique_ptr<Communicator> host, Backend& backend) : host_(std::move(host)), backend_(backend) {}
  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  void set_doing(std::string what) override { host_->set_doing(std::move(what)); }

  void all_to_all(View in, Counts sent, View out, Counts received) override {
    const View from = fetched(in, sent_), to = room_for(out, received_);
    host_->all_to_all(from, sent, to, received);
    backend_.upload(to.data, out);
  }
  void all_gather(View in, View out, Counts received) override {
    const View from = fetched(in, sent_), to = room_for(out, received_);
    host_->all_gather(from, to, received);
    backend_.upload(to.data, out);
  }
  void broadcast(View data, int root) override {
    const View all = rank() == root ? fetched(data, sent_) : room_for(data, sent_);
    host_->broadcast(all, root);
    if (rank() != root) backend_.upload(all.data, data);
  }

 private:
  std::unique_ptr<Communicator> host_;
  Backend& backend_;

  /// Kept between calls, so that a step of the loop takes none.
  struct HostMemory {
    std::shared_ptr<void> block;
    size_t bytes = 0;
  } sent_, received_;

  View room_for(const View& like, HostMemory& memory) {
    if (const size_t bytes = size_t(like.size()) * size_of(like.dtype); !memory.block || bytes > memory.bytes) {
      memory = {};   // before there is more
      memory = {backend_.allocate_host(bytes), bytes};
    }
    return {memory.block.get(), like.dtype, like.shape};
  }
  View fetched(const View& x, HostMemory& memory) {
    const View host = room_for(x, memory);
    backend_.download(x, host.data);
    return host;
  }
};

}  // namespace

std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host, Backend& backend) {
  return std::make_unique<StagedCommunicator>(std::move(host), backend);
}

std::unique_ptr<Communicator> make_lone_communicator() { return std::make_unique<LoneCommunicator>(); }

void TeamChannels::set_doing(const std::string& what) const {
  for (const auto* channel : {&whole, &tokens, &guidance, &host})
    if (*channel) (*channel)->set_doing(what);
}

std::unique_ptr<Communicator> make_planning_communicator(int rank, int size, DoingListener listener, bool overlaps) {
  return std::make_unique<PlanningCommunicator>(rank, size, std::move(listener), overlaps);
}

TeamChannels planning_channels(int rank, int size, bool cfg_parallel, DoingListener listener, bool overlaps) {
  TeamChannels channels{make_planning_communicator(rank, size, std::move(listener), overlaps), nullptr, nullptr};
  if (!cfg_parallel) return channels;
  channels.tokens = make_planning_communicator(rank % (size / 2), size / 2, {}, overlaps);
  channels.guidance = make_planning_communicator(rank / (size / 2), 2, {}, overlaps);
  return channels;
}

TeamChannels lone_channels() { return {make_lone_communicator(), nullptr, nullptr}; }

std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size) {
  const auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<Communicator>> all;
  for (int rank = 0; rank < size; ++rank) all.push_back(std::make_unique<ThreadCommunicator>(meeting, rank));
  return all;
}

}  // namespace pyracast
