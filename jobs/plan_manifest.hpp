#pragma once

namespace pyracast {

/// `pyracast plan --prompts FILE --machine FILE`, and under mpirun `pyracast plan --measure FILE`. Gives the exit code.
int plan_manifest(int argc, char** argv);

}  // namespace pyracast
