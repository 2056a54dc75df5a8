// The C API of machines.
#include "pyro/machine.h"

#include <string_view>
#include <utility>

#include "capi/calls.h"
#include "capi/options.h"
#include "capi/streamed_run.h"
#include "front/documents.h"

struct pyro_machine {
  pyro::Machine machine;
};

namespace {

using namespace pyro::capi;
using pyro::Error;
using pyro::ErrorCode;
using pyro::Json;

pyro::Machine& required(pyro_machine* machine) {
  if (machine == nullptr) throw Error(ErrorCode::usage, "there is no machine");
  return machine->machine;
}

const char* required(const char* path, const char* what) {
  if (path == nullptr) throw Error(ErrorCode::usage, std::string("there is no path ") + what);
  return path;
}

pyro::CopyOptions copy_options(const char* options, Watch& watch) {
  pyro::CopyOptions copy = parse_copy_options(optional(options));
  copy.progress = watch.listener();
  copy.stop = watch.stop();
  return copy;
}

/// Returns the document that `work` makes of a machine.
template <typename Work>
char* answer(pyro_machine* machine, char** error, const Work& work) noexcept {
  return guarded(error, [&]() -> char* {
    char* const text = document(work(required(machine)));
    if (text == nullptr) throw std::bad_alloc();
    return text;
  });
}

}  // namespace

pyro_machine* pyro_machine_start(const pyro_store* store, const char* name, const char* options,
                                 pyro_operation* operation, char** error) {
  return guarded(error, [&] {
    if (store == nullptr) throw Error(ErrorCode::usage, "there is no store");
    const MachineChoice choice = parse_machine_options(optional(options), store->machine);
    pyro::EnvironmentStore environments(store->options);
    Watch watch(operation);
    return new pyro_machine{pyro::Machine(environments, pyro::capi::required(name), choice.machine,
                                          {.cold = choice.cold,
                                           .ports = choice.ports,
                                           .progress = watch.listener(),
                                           .stop = watch.stop()})};
  });
}

char* pyro_machine_describe(pyro_machine* machine, char** error) {
  return answer(machine, error,
                [](const pyro::Machine& one) { return pyro::machine_payload(one.info()); });
}

char* pyro_machine_run(pyro_machine* machine, const char* command, const pyro_streams* streams,
                       pyro_operation* operation, char** error) {
  return answer(machine, error, [&](pyro::Machine& one) {
    pyro::CommandOptions options = parse_command_options(optional(command));
    options.stop = Watch(operation).stop();
    StreamedRun run([&one](const pyro::CommandOptions& asked) { return one.run(asked); },
                    std::move(options), streams);
    run.pass_output_on();
    return pyro::command_payload(run.finish());
  });
}

char* pyro_machine_copy_in(pyro_machine* machine, const char* from, const char* to,
                           const char* options, pyro_operation* operation, char** error) {
  return answer(machine, error, [&](pyro::Machine& one) {
    Watch watch(operation);
    const pyro::CopyOptions copy = copy_options(options, watch);
    const std::size_t left_out =
        one.copy_in({required(from, "on the host"), required(to, "in the guest")}, copy);
    return Json{{"left_out", left_out}};
  });
}

char* pyro_machine_copy_out(pyro_machine* machine, const char* from, const char* to,
                            const char* options, pyro_operation* operation, char** error) {
  return answer(machine, error, [&](pyro::Machine& one) {
    Watch watch(operation);
    const pyro::CopyOptions copy = copy_options(options, watch);
    one.copy_out({required(from, "in the guest"), required(to, "on the host")}, copy);
    return Json::object();
  });
}

void pyro_machine_stop(pyro_machine* machine) {
  if (machine != nullptr) machine->machine.stop();
}

void pyro_machine_free(pyro_machine* machine) {
  delete machine;
}
