#include "base/error.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>

namespace pyracast {

namespace {

/// What a user can do about it; nullptr where the reason says it all.
const char* way_out(int error) {
  switch (error) {
    case EACCES: case EPERM: return "this user must be allowed to; look at the rights of the file and of the folders above it";
    case EROFS: return "name a folder elsewhere";
    case ENOSPC: return "make room there, or name a folder elsewhere";
    case EDQUOT: return "this user's share of the disk is full; make room there, or name a folder elsewhere";
    case ENOTDIR: return "what should be a folder on the way to it is a file";
    case EISDIR: return "a file is expected, and this is a folder";
    case ENAMETOOLONG: return "give it a shorter name";
    case ELOOP: return "its links lead in a circle";
    case EMFILE: return "this process may open no more; raise `ulimit -n`";
    case ENFILE: return "the whole system has no more; end what holds them";
    default: return nullptr;
  }
}

/// "directory iterator cannot open directory" of what libstdc++ says, which puts the paths behind it.
std::string action_of(const std::filesystem::filesystem_error& error) {
  std::string text = error.what();
  constexpr std::string_view before = "filesystem error: ";
  if (text.starts_with(before)) text.erase(0, before.size());
  text.resize(std::min(text.find(": " + error.code().message()), text.size()));
  return text == "status" || text == "symlink_status" ? "cannot be looked at" : text;
}

}  // namespace

std::string reason_of(int error) {
  const char* way = way_out(error);
  return way ? concat(std::strerror(error), " (", way, ')') : std::strerror(error);
}

Error as_error(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return *ours;
  if (const auto* of_files = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    const std::string and_path = of_files->path2().empty() ? "" : " and " + of_files->path2().string();
    return Error(concat(of_files->path1().string(), and_path, ": ", action_of(*of_files), ": ", reason_of(of_files->code().value())),
                 ExitCode::environment);
  }
  if (dynamic_cast<const std::bad_alloc*>(&error)) return Error("memory is short: the system gives this process no more", ExitCode::environment);
  return Error(error.what(), ExitCode::environment);
}

}  // namespace pyracast
