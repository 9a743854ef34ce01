// Preloaded into a program, makes the n-th call that touches a file below a folder fail, as a full or broken disk would.
//   FAIL_FOLDER  the folder, absolute; its logs/ is left alone
//   FAIL_AT      n, counted from 1 over all kinds of calls; 0: none fails
//   FAIL_ON      once (the default): later calls work again. always: later writes fail as well. kill: SIGKILL in place of the call
//   FAIL_ERRNO   the error's number; by default ENOSPC, of calls that make nothing larger EIO
//   FAIL_LOG     file that gets a line for each failure, "fsync /path", and at the end "N calls"
// Calls that are counted: those that open, write, rename, link, sync, truncate, remove files and make folders. Calls from inside
// the C library itself (what fwrite does in the end) cannot be seen, but fopen is.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

const char* setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

struct Plan {
  std::string folder = setting("FAIL_FOLDER"), log = setting("FAIL_LOG");
  long at = std::atol(setting("FAIL_AT"));
  bool always = std::string(setting("FAIL_ON")) == "always", kill = std::string(setting("FAIL_ON")) == "kill";
  int error = std::atoi(setting("FAIL_ERRNO"));
  std::atomic<long> calls = 0;

  void say(const std::string& line) const {   // by the system calls themselves, which are not counted
    const long file = ::syscall(SYS_openat, AT_FDCWD, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0) return;
    ::syscall(SYS_write, file, line.data(), line.size());
    ::syscall(SYS_close, file);
  }
  ~Plan() {
    if (!folder.empty() && !log.empty()) say(std::to_string(calls) + " calls\n");
  }
};

Plan& plan() {
  static Plan the;
  return the;
}

std::string path_of(int descriptor) {
  char path[PATH_MAX];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path, sizeof path);
  return length > 0 ? std::string(path, size_t(length)) : "";
}

/// Whether this call is to fail; errno is set then.
bool fails(const char* call, const std::string& path, int natural_error) {
  Plan& p = plan();
  if (p.folder.empty() || !path.starts_with(p.folder + "/") || path.starts_with(p.folder + "/logs/")) return false;
  const long n = ++p.calls;
  if (p.at == 0 || n < p.at || (n > p.at && !(p.always && natural_error == ENOSPC))) return false;
  p.say(std::string(call) + " " + path + "\n");
  if (p.kill) ::kill(::getpid(), SIGKILL);
  errno = p.error ? p.error : natural_error;
  return true;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int error_of_open(int flags) { return flags & (O_CREAT | O_WRONLY | O_RDWR) ? ENOSPC : EIO; }

mode_t mode_of(int flags, va_list arguments) { return flags & (O_CREAT | O_TMPFILE) ? mode_t(va_arg(arguments, int)) : 0; }

}  // namespace

extern "C" {

#pragma GCC visibility push(default)

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  if (fails("open", path, error_of_open(flags))) return -1;
  return real<int(const char*, int, ...)>("open")(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  if (fails("open", path, error_of_open(flags))) return -1;
  return real<int(const char*, int, ...)>("open64")(path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  if (fails("open", path, error_of_open(flags))) return -1;
  return real<int(int, const char*, int, ...)>("openat")(folder, path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  if (fails("fopen", path, *mode == 'r' ? EIO : ENOSPC)) return nullptr;
  return real<FILE*(const char*, const char*)>("fopen")(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  if (fails("fopen", path, *mode == 'r' ? EIO : ENOSPC)) return nullptr;
  return real<FILE*(const char*, const char*)>("fopen64")(path, mode);
}

ssize_t write(int file, const void* data, size_t size) {
  if (fails("write", path_of(file), ENOSPC)) return -1;
  return real<ssize_t(int, const void*, size_t)>("write")(file, data, size);
}

ssize_t writev(int file, const iovec* parts, int count) {
  if (fails("write", path_of(file), ENOSPC)) return -1;
  return real<ssize_t(int, const iovec*, int)>("writev")(file, parts, count);
}

ssize_t pwrite(int file, const void* data, size_t size, off_t at) {
  if (fails("pwrite", path_of(file), ENOSPC)) return -1;
  return real<ssize_t(int, const void*, size_t, off_t)>("pwrite")(file, data, size, at);
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t at) {
  if (fails("pwrite", path_of(file), ENOSPC)) return -1;
  return real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64")(file, data, size, at);
}

int rename(const char* from, const char* to) {
  if (fails("rename", from, ENOSPC)) return -1;
  return real<int(const char*, const char*)>("rename")(from, to);
}

int link(const char* from, const char* to) noexcept {
  if (fails("link", to, ENOSPC)) return -1;
  return real<int(const char*, const char*)>("link")(from, to);
}

int fsync(int file) {
  if (fails("fsync", path_of(file), EIO)) return -1;
  return real<int(int)>("fsync")(file);
}

int fdatasync(int file) {
  if (fails("fdatasync", path_of(file), EIO)) return -1;
  return real<int(int)>("fdatasync")(file);
}

int ftruncate(int file, off_t size) noexcept {
  if (fails("ftruncate", path_of(file), ENOSPC)) return -1;
  return real<int(int, off_t)>("ftruncate")(file, size);
}

int ftruncate64(int file, off64_t size) noexcept {
  if (fails("ftruncate", path_of(file), ENOSPC)) return -1;
  return real<int(int, off64_t)>("ftruncate64")(file, size);
}

int posix_fallocate(int file, off_t first, off_t size) {
  if (fails("posix_fallocate", path_of(file), ENOSPC)) return errno;
  return real<int(int, off_t, off_t)>("posix_fallocate")(file, first, size);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (fails("mkdir", path, ENOSPC)) return -1;
  return real<int(const char*, mode_t)>("mkdir")(path, mode);
}

int remove(const char* path) noexcept {
  if (fails("remove", path, EIO)) return -1;
  return real<int(const char*)>("remove")(path);
}

int unlink(const char* path) noexcept {
  if (fails("unlink", path, EIO)) return -1;
  return real<int(const char*)>("unlink")(path);
}

#pragma GCC visibility pop

}  // extern "C"
