#include "runtime/version.hpp"

#include <hdf5.h>
extern "C" {
#include <libavcodec/avcodec.h>
}
#include <mpi.h>

namespace pyracast {

Json version_json() {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(mpi, &length);
  std::string mpi_line(mpi, size_t(length));
  mpi_line = mpi_line.substr(0, mpi_line.find_first_of(",\n"));
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return {{"pyracast", PYRACAST_VERSION}, {"revision", PYRACAST_REVISION}, {"compiler", __VERSION__}, {"mpi", mpi_line},
          {"hdf5", concat(major, '.', minor, '.', release)}, {"libavcodec", concat(avcodec_version() >> 16, '.', (avcodec_version() >> 8) & 255)},
          {"matrix_products", "own kernels (portable, AVX2, AVX-512)"}, {"cuda", PYRACAST_CUDA_VERSION}, {"cudnn", PYRACAST_CUDNN_VERSION}};
}

}  // namespace pyracast
