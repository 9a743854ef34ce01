#pragma once
#include <deque>
#include <map>

#include "pab/broadcast_schedule.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// Outputs of one device that are kept in the host's memory, copied there and back beside the device's operations. The device holds those that
/// are under way. All of it happens in the order of calls, whatever the device's speed: the memory it takes is known beforehand.
class OffloadedOutputs {
 public:
  /// Outputs under way at once, to and from the host, as long as as many are not fetched.
  static constexpr size_t most_under_way = 4;

  OffloadedOutputs() = default;
  ~OffloadedOutputs();
  OffloadedOutputs(const OffloadedOutputs&) = delete;
  OffloadedOutputs& operator=(const OffloadedOutputs&) = delete;

  bool holds(Site site) const { return held_.contains(site); }
  std::vector<Site> sites() const;
  /// Begins to copy the output to the host. Of a site of which none is held.
  void store(Site site, const Tensor& output);
  /// Forgets the site's output, if there is one, and gives its bytes. Its memory of the host is kept for others.
  int64_t drop(Site site);

  /// Begins to copy the site's output back.
  void fetch(Site site);
  size_t arriving() const { return arriving_.size(); }
  /// The output on the device, where operations follow its copy, which was begun by fetch() or is now. It stays held as well.
  Tensor take(Site site);

 private:
  struct Held {
    Shape shape;
    DType dtype;
    size_t bytes, block_bytes;
    std::shared_ptr<void> block;
  };
  struct Copied {
    Tensor output;
    Moment end;
  };

  Backend* backend_ = nullptr;   // since the first output
  std::map<Site, Held> held_;
  std::multimap<size_t, std::shared_ptr<void>> idle_;   // blocks of the host's memory, by their bytes
  std::deque<Copied> leaving_;
  std::map<Site, Copied> arriving_;
  Moment last_copy_;

  void make_room();
  /// A block of at least so many bytes, and its own.
  std::pair<size_t, std::shared_ptr<void>> host_block(size_t bytes);
};

}  // namespace pyracast
