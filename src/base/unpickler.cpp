// The pickle machine: a stack of values, a stack of marks and a memo, driven by one-byte operations. Operations are
// named as in Python's pickletools. Where Python would import or call, the machine records what was asked for.
#include "base/unpickler.hpp"

#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "base/error.hpp"

namespace pyracast {

namespace {

using Kind = PickleValue::Kind;

// Far above what checkpoints need (some 30 values a tensor), far below what would exhaust memory.
constexpr size_t most_values = 2'000'000;
constexpr size_t most_references = 16'000'000;
constexpr size_t deepest_marks = 1000;

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& where, std::vector<PickleValue>& values)
      : bytes_(bytes), where_(where), values_(values) {}

  /// Runs to the STOP operation and returns the value left on the stack.
  PickleIndex run() {
    for (;;) {
      const uint8_t operation = take_number<uint8_t>();
      if (operation == '.') return pop();
      if (!plain_value(operation) && !container(operation) && !stack_or_memo(operation) && !object(operation))
        fail(where_, ": byte ", at_ - 1, ": operation 0x", std::hex, int(operation),
             " is not supported (no PyTorch checkpoint needs it); is this a PyTorch checkpoint?");
    }
  }

  size_t position() const { return at_; }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    require(ok, where_, ": byte ", at_, ": ", parts...);
  }

  // Bytes.

  std::string_view take(uint64_t count) {
    check(count <= bytes_.size() - at_, "the pickle ends too early (", count, " bytes wanted, ", bytes_.size() - at_,
          " left)");
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + at_, size_t(count));
    at_ += size_t(count);
    return taken;
  }

  template <class Number>
  Number take_number() {
    Number number;
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }

  std::string_view take_line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_);
    const size_t end = rest.find('\n');
    check(end != rest.npos, "the pickle ends inside a line of text");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  // The stack.

  void push(PickleIndex index) {
    check(++references_ <= most_references, "more than ", most_references, " references between values");
    stack_.push_back(index);
  }

  void push(PickleValue value) {
    check(values_.size() < most_values, "more than ", most_values, " values");
    values_.push_back(std::move(value));
    push(PickleIndex(values_.size() - 1));
  }

  void push_text(Kind kind, std::string_view text) {
    PickleValue value{.kind = kind};
    value.text = text;
    push(std::move(value));
  }

  void push_integer(int64_t integer) {
    PickleValue value{.kind = Kind::integer};
    value.integer = integer;
    push(std::move(value));
  }

  /// Python's two's complement little-endian integer; beyond 64 bits its bytes are kept.
  void push_long(std::string_view bytes) {
    if (bytes.size() > 8) return push_text(Kind::long_integer, bytes);
    uint64_t bits = !bytes.empty() && (bytes.back() & 0x80) ? UINT64_MAX : 0;
    std::memcpy(&bits, bytes.data(), bytes.size());
    push_integer(int64_t(bits));
  }

  /// The decimal texts of protocol 1: "I01" and "I00" are booleans, a long integer ends with L.
  void push_decimal(std::string_view line, bool may_be_boolean) {
    if (may_be_boolean && (line == "00" || line == "01")) return push(boolean(line == "01"));
    if (line.ends_with('L')) line.remove_suffix(1);
    const std::string text(line);
    char* end = nullptr;
    errno = 0;
    const int64_t number = std::strtoll(text.c_str(), &end, 10);
    check(!text.empty() && end == text.c_str() + text.size() && errno == 0, "\"", text, "\" is not an integer");
    push_integer(number);
  }

  static PickleValue boolean(bool yes) {
    PickleValue value{.kind = Kind::boolean};
    value.integer = yes;
    return value;
  }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleIndex pop() {
    check(stack_.size() > floor(), "a value is taken from an empty stack");
    const PickleIndex top = stack_.back();
    stack_.pop_back();
    return top;
  }

  PickleIndex top() const {
    check(stack_.size() > floor(), "a value is read from an empty stack");
    return stack_.back();
  }

  /// Removes and returns all values above the last mark, and the mark.
  std::vector<PickleIndex> pop_to_mark() {
    check(!marks_.empty(), "a group of values has no beginning");
    const auto begin = stack_.begin() + ptrdiff_t(marks_.back());
    std::vector<PickleIndex> popped(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return popped;
  }

  std::vector<PickleIndex> pop_several(size_t count) {
    std::vector<PickleIndex> popped(count);
    for (size_t i = count; i-- > 0;) popped[i] = pop();
    return popped;
  }

  // Operations, by subject. Each returns whether the operation was one of its own.

  bool plain_value(uint8_t operation) {
    switch (operation) {
      case 'N': push(PickleValue{}); return true;
      case 0x88: push(boolean(true)); return true;
      case 0x89: push(boolean(false)); return true;
      case 'J': push_integer(take_number<int32_t>()); return true;
      case 'K': push_integer(take_number<uint8_t>()); return true;
      case 'M': push_integer(take_number<uint16_t>()); return true;
      case 'I': push_decimal(take_line(), true); return true;
      case 'L': push_decimal(take_line(), false); return true;
      case 0x8a: push_long(take(take_number<uint8_t>())); return true;
      case 0x8b: push_long(take(take_number<uint32_t>())); return true;
      case 'G': push_real(take_number<uint64_t>()); return true;
      case 'X': push_text(Kind::text, take(take_number<uint32_t>())); return true;
      case 0x8c: push_text(Kind::text, take(take_number<uint8_t>())); return true;
      case 0x8d: push_text(Kind::text, take(take_number<uint64_t>())); return true;
      case 'T': push_text(Kind::text, take(take_number<uint32_t>())); return true;   // Python 2's str
      case 'U': push_text(Kind::text, take(take_number<uint8_t>())); return true;
      case 'B': push_text(Kind::bytes, take(take_number<uint32_t>())); return true;
      case 'C': push_text(Kind::bytes, take(take_number<uint8_t>())); return true;
      case 0x8e:
      case 0x96: push_text(Kind::bytes, take(take_number<uint64_t>())); return true;
      default: return false;
    }
  }

  void push_real(uint64_t big_endian) {
    PickleValue value{.kind = Kind::real};
    value.real = std::bit_cast<double>(__builtin_bswap64(big_endian));
    push(std::move(value));
  }

  void push_items(Kind kind, std::vector<PickleIndex> items) {
    PickleValue value{.kind = kind};
    value.items = std::move(items);
    push(std::move(value));
  }

  void push_dict(std::vector<PickleIndex> items) {
    check(items.size() % 2 == 0, "a dict has a key without a value");
    push_items(Kind::dict, std::move(items));
  }

  bool container(uint8_t operation) {
    switch (operation) {
      case ']': push_items(Kind::list, {}); return true;
      case '}': push_items(Kind::dict, {}); return true;
      case ')': push_items(Kind::tuple, {}); return true;
      case 0x8f: push_items(Kind::set, {}); return true;
      case 'l': push_items(Kind::list, pop_to_mark()); return true;
      case 'd': push_dict(pop_to_mark()); return true;
      case 't': push_items(Kind::tuple, pop_to_mark()); return true;
      case 0x91: push_items(Kind::set, pop_to_mark()); return true;
      case 0x85: push_items(Kind::tuple, pop_several(1)); return true;
      case 0x86: push_items(Kind::tuple, pop_several(2)); return true;
      case 0x87: push_items(Kind::tuple, pop_several(3)); return true;
      case 'a': add_elements(pop_several(1), Kind::list); return true;
      case 'e': add_elements(pop_to_mark(), Kind::list); return true;
      case 0x90: add_elements(pop_to_mark(), Kind::set); return true;
      case 's': set_items(pop_several(2)); return true;
      case 'u': set_items(pop_to_mark()); return true;
      default: return false;
    }
  }

  void add_elements(const std::vector<PickleIndex>& elements, Kind kind) {
    PickleValue& target = values_[top()];
    if (target.kind == Kind::object) return;   // a list subclass: inert, no part of a tensor is made this way
    check(target.kind == kind, "elements are added to a value that holds none");
    target.items.insert(target.items.end(), elements.begin(), elements.end());
  }

  void set_items(const std::vector<PickleIndex>& items) {
    check(items.size() % 2 == 0, "a dict is given a key without a value");
    PickleValue& target = values_[top()];
    check(target.kind == Kind::dict || target.kind == Kind::object, "a key is set in a value that is no dict");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  bool stack_or_memo(uint8_t operation) {
    switch (operation) {
      case 0x80: check(take_number<uint8_t>() <= 5, "the pickle's protocol is newer than 5"); return true;
      case 0x95: take_number<uint64_t>(); return true;   // FRAME: only says how much a reader should fetch at once
      case '(':
        check(marks_.size() < deepest_marks, "values are nested deeper than ", deepest_marks);
        marks_.push_back(stack_.size());
        return true;
      case '0': pop(); return true;
      case '1': pop_to_mark(); return true;
      case '2': push(top()); return true;
      case 'q': memo_[take_number<uint8_t>()] = top(); return true;
      case 'r': memo_[take_number<uint32_t>()] = top(); return true;
      case 0x94: memo_[uint32_t(memo_.size())] = top(); return true;
      case 'h': push(remembered(take_number<uint8_t>())); return true;
      case 'j': push(remembered(take_number<uint32_t>())); return true;
      default: return false;
    }
  }

  PickleIndex remembered(uint32_t index) const {
    const auto found = memo_.find(index);
    check(found != memo_.end(), "value ", index, " is used before it was stored");
    return found->second;
  }

  bool object(uint8_t operation) {
    switch (operation) {
      case 'c': {
        const std::string_view module = take_line();
        push_global(module, take_line());
        return true;
      }
      case 0x93: {
        const PickleIndex name = pop(), module = pop();
        check(values_[name].kind == Kind::text && values_[module].kind == Kind::text, "a global's name is no text");
        push_global(values_[module].text, values_[name].text);
        return true;
      }
      case 'R':
      case 0x81: push_object(pop_several(2)); return true;
      case 0x92: push_object(pop_several(3)); return true;   // the third are keyword arguments
      case 'o': push_old_object(pop_to_mark()); return true;
      case 'b': {
        const PickleIndex state = pop();
        values_[top()].state = state;
        return true;
      }
      case 'Q': {
        PickleValue value{.kind = Kind::persistent};
        value.arguments = pop();
        push(std::move(value));
        return true;
      }
      default: return false;
    }
  }

  void push_global(std::string_view module, std::string_view name) {
    PickleValue value{.kind = Kind::global};
    value.module = module;
    value.text = name;
    push(std::move(value));
  }

  void push_object(const std::vector<PickleIndex>& parts) {
    PickleValue value{.kind = Kind::object};
    value.callable = parts[0];
    value.arguments = parts[1];
    if (parts.size() > 2) value.state = parts[2];
    push(std::move(value));
  }

  void push_old_object(std::vector<PickleIndex> parts) {
    check(!parts.empty(), "an object has no class");
    const PickleIndex callable = parts.front();
    parts.erase(parts.begin());
    push_items(Kind::tuple, std::move(parts));
    push_object({callable, pop()});
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::vector<PickleValue>& values_;
  size_t at_ = 0, references_ = 0;
  std::vector<PickleIndex> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, PickleIndex> memo_;
};

}  // namespace

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& where) {
  Machine machine(bytes, where, values_);
  root_ = machine.run();
  size_ = machine.position();
}

}  // namespace pyracast
