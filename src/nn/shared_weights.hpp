#pragma once
#include <functional>
#include <memory>
#include <string>

namespace pyracast {

/// Memory in the host, and how many bytes of it count.
struct WeightBlock {
  std::shared_ptr<void> data;
  size_t bytes = 0;
};

/// Weights that the processes of a node keep once between them, as their device wants them laid out.
class SharedWeights {
 public:
  virtual ~SharedWeights() = default;
  /// The weights under a name: where they are not there yet, those that `make` gives.
  virtual WeightBlock at(const std::string& name, const std::function<WeightBlock()>& make) = 0;
};

/// The process of a node that lays weights down for the others, in memory that no file system holds (memfd_create(2)) and that
/// is freed with the last process that maps it.
class LaidDownWeights final : public SharedWeights {
 public:
  /// Throws Error where the system gives no such memory.
  LaidDownWeights();
  ~LaidDownWeights();
  LaidDownWeights(const LaidDownWeights&) = delete;
  LaidDownWeights& operator=(const LaidDownWeights&) = delete;

  WeightBlock at(const std::string& name, const std::function<WeightBlock()>& make) override;

  /// Ends the laying down: nobody can write there any more. Gives the path under which other processes of the node open it, as long
  /// as this object lives.
  std::string publish();
  size_t bytes() const;

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

/// The weights that another process has laid down; those that it did not are made here.
class FoundWeights final : public SharedWeights {
 public:
  /// Maps what LaidDownWeights::publish() named. Throws Error where it cannot be opened, or is not such.
  explicit FoundWeights(const std::string& path);

  WeightBlock at(const std::string& name, const std::function<WeightBlock()>& make) override;

 private:
  struct Contents;
  std::shared_ptr<const Contents> contents_;
};

/// Counts what would lie there.
class PlannedWeights final : public SharedWeights {
 public:
  /// `finds`: all of it has been laid down by another process.
  explicit PlannedWeights(bool finds) : finds_(finds) {}

  WeightBlock at(const std::string& name, const std::function<WeightBlock()>& make) override;
  size_t bytes() const { return bytes_; }

 private:
  bool finds_;
  size_t bytes_ = 0;
};

}  // namespace pyracast
