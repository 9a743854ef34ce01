#pragma once
#include "comm/communicator.hpp"

namespace pyracast {

/// A communicator that another one does the work of.
class Forwarding : public Communicator {
 public:
  explicit Forwarding(std::unique_ptr<Communicator> team) : team_(std::move(team)) {}
  int rank() const override { return team_->rank(); }
  int size() const override { return team_->size(); }
  bool overlaps() const override { return team_->overlaps(); }
  void all_to_all(View in, Counts sent, View out, Counts received) override { team_->all_to_all(in, sent, out, received); }
  Moment begin_all_to_all(View in, Counts sent, View out, Counts received) override { return team_->begin_all_to_all(in, sent, out, received); }
  void all_gather(View in, View out, Counts received) override { team_->all_gather(in, out, received); }
  void broadcast(View data, int root) override { team_->broadcast(data, root); }

 private:
  std::unique_ptr<Communicator> team_;
};

/// Says that exchanges go on beside computing, though they are done at once: what is exchanged goes in turns.
class InTurns final : public Forwarding {
 public:
  using Forwarding::Forwarding;
  bool overlaps() const override { return true; }
};

}  // namespace pyracast
