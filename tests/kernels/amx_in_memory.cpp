// What kernels/cpu/amx.cpp does beside the processor's instructions, on any processor.
#define PYRACAST_AMX amx_in_memory
#include "kernels/cpu/amx.cpp"
