// A CUDA driver that takes kernels and runs none: what cuDNN asks of one to compile for a GPU that is not here. All else is refused.
#include <dlfcn.h>

#include <cstdint>
#include <string>

static std::string last_kernel;

extern "C" {

int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* version) { return *version = 13000, 0; }

int cuLibraryLoadData(void** library, const void*, void*, void**, unsigned, void*, void**, unsigned) {
  return *library = reinterpret_cast<void*>(uintptr_t(1)), 0;
}
int cuLibraryUnload(void*) { return 0; }
int cuLibraryGetKernelCount(unsigned* count, void*) { return *count = 1, 0; }
int cuLibraryGetKernel(void** kernel, void*, const char* name) { return last_kernel = name, *kernel = reinterpret_cast<void*>(uintptr_t(2)), 0; }
/// The name of the kernel that was taken last: for the test.
const char* stand_in_kernel() { return last_kernel.c_str(); }
int cuKernelGetFunction(void** function, void*) { return *function = reinterpret_cast<void*>(uintptr_t(3)), 0; }
int cuKernelGetAttribute(int* value, int, void*, int) { return *value = 0, 0; }
int cuKernelSetAttribute(int, int, void*, int) { return 0; }

constexpr int stub_library = 34, not_found = 500;   // CUDA_ERROR_STUB_LIBRARY, CUDA_ERROR_NOT_FOUND

int cuGetProcAddress_v2(const char* name, void** function, int, uint64_t, int* result) {
  Dl_info own;
  dladdr(reinterpret_cast<void*>(&cuInit), &own);
  static void* const driver = dlopen(own.dli_fname, RTLD_NOW);
  *function = dlsym(driver, name);
  if (result) *result = *function ? 0 : 1;
  return *function ? 0 : not_found;
}
int cuGetProcAddress(const char* name, void** function, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, function, version, flags, nullptr);
}

#define REFUSED(name) int name() { return stub_library; }
#include "refusals.inc"
}
