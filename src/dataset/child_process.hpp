#pragma once
#include <functional>
#include <string>

namespace pyracast {

/// Does `act` in a child process and gives what it gave. Throws Error with what `act` threw and its code, or naming the signal that ended
/// the child: HDF5 1.10 reads past its buffers on some damaged files. What `act` changes is lost; it must not wait for
/// another thread.
std::string in_child_process(const std::function<std::string()>& act);

}  // namespace pyracast
