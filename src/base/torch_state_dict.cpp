#include "base/torch_state_dict.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "base/error.hpp"

namespace pyracast {

namespace {

using Kind = PickleValue::Kind;
using Entries = std::vector<std::pair<std::string, PickleIndex>>;

// In the order in which they are preferred: inference uses the averaged weights where a file has both. The published
// loader of Open-Sora-Plan 1.2's VAE takes ema_state_dict unless empty, then state_dict.gen_model, then state_dict.
constexpr const char* wrappers[] = {"ema_state_dict", "ema",   "state_dict", "model_state_dict",
                                    "model",          "module", "gen_model"};
constexpr int deepest_dictionary = 4;
constexpr std::string_view parallel_prefix = "module.";

bool is_mapping_class(const PickleValue& callable) {
  return Pickle::is_global(callable, "collections", "OrderedDict") ||
         Pickle::is_global(callable, "collections", "defaultdict") ||
         Pickle::is_global(callable, "builtins", "dict") || Pickle::is_global(callable, "__builtin__", "dict");
}

void add(const Pickle& pickle, Entries& entries, PickleIndex key, PickleIndex value) {
  if (pickle[key].kind == Kind::text) entries.emplace_back(pickle[key].text, value);
}

/// The entries with text keys of a dict or of one of its subclasses; nothing when `value` is no mapping.
std::optional<Entries> entries_of(const Pickle& pickle, const PickleValue& value) {
  Entries entries;
  if (value.kind == Kind::object) {
    if (!is_mapping_class(pickle[value.callable])) return std::nullopt;
    // Python 2 gives an OrderedDict's entries as its argument, a list of pairs.
    for (const PickleIndex argument : pickle[value.arguments].items)
      if (pickle[argument].kind == Kind::list)
        for (const PickleIndex pair : pickle[argument].items)
          if (pickle[pair].items.size() == 2) add(pickle, entries, pickle[pair].items[0], pickle[pair].items[1]);
  } else if (value.kind != Kind::dict) {
    return std::nullopt;
  }
  for (size_t i = 0; i + 1 < value.items.size(); i += 2) add(pickle, entries, value.items[i], value.items[i + 1]);
  return entries;
}

/// What the most preferred wrapper among `entries` holds, unless that is empty.
std::optional<Entries> unwrapped(const Pickle& pickle, const Entries& entries) {
  for (const char* wrapper : wrappers)
    for (const auto& [name, value] : entries)
      if (name == wrapper)
        if (auto inner = entries_of(pickle, pickle[value]); inner && !inner->empty()) return inner;
  return std::nullopt;
}

void remove_parallel_prefix(Entries& entries) {
  if (!std::ranges::all_of(entries, [](const auto& entry) { return entry.first.starts_with(parallel_prefix); })) return;
  for (auto& entry : entries) entry.first.erase(0, parallel_prefix.size());
}

}  // namespace

Entries torch_state_dict(const Pickle& pickle, const std::string& file) {
  const PickleValue& root = pickle.root();
  auto entries = entries_of(pickle, root);
  if (!entries && root.kind == Kind::object && pickle[root.callable].kind == Kind::global)
    fail(file, ": holds an object of ", pickle[root.callable].module, ".", pickle[root.callable].text,
         ", expected a dict of tensors; save the network's state_dict() instead");
  require(entries.has_value(), file, ": holds no dict of tensors; save the network's state_dict()");
  for (int depth = 0; depth < deepest_dictionary; ++depth)
    if (auto inner = unwrapped(pickle, *entries)) entries = std::move(inner);
  remove_parallel_prefix(*entries);
  return *entries;
}

}  // namespace pyracast
