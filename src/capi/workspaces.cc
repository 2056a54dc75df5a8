// The C API of workspaces.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/subprocess.h"
#include "base/text.h"
#include "capi/calls.h"
#include "capi/fields.h"
#include "capi/options.h"
#include "capi/streamed_run.h"
#include "front/documents.h"
#include "front/text.h"
#include "pyro/user_catalog.h"
#include "pyro/workspace.h"

struct pyro_workspaces {
  pyro::Workspaces workspaces;
};

namespace {

using namespace pyro::capi;
using pyro::Error;
using pyro::ErrorCode;
using pyro::Json;
using pyro::WorkspaceCall;
using pyro::Workspaces;

/// One request: its fields become the arguments of a call, whose result becomes a document.
struct Request {
  Workspaces& workspaces;
  std::string name;
  Fields& fields;
  WorkspaceCall call;

  /// The value of a field, or `value` where there is none.
  template <typename T>
  T read(const char* field, T value = {}) {
    fields.read(field, value);
    return value;
  }
};

template <typename Items, typename Payload>
Json list_of(const Items& items, const Payload& payload) {
  Json list = Json::array();
  for (const auto& item : items) list.push_back(payload(item));
  return list;
}

namespace requests {

Json create(Request& request) {
  pyro::NewWorkspace options;
  Fields& fields = request.fields;
  fields.read("environment", options.environment);
  fields.read("from", options.from);
  fields.read("all_files", options.all_files);
  fields.read("cpus", options.cpus);
  fields.read("memory_mib", options.memory_mib);
  fields.read("disk_mib", options.disk_mib);
  fields.read("idle", options.idle);
  fields.read("idle_with_processes", options.idle_with_processes);
  fields.read("ttl", options.ttl);
  fields.read("discard", options.discard);
  options.network = read_network_kind(fields);
  fields.refuse_rest();
  const auto created = request.workspaces.create(request.name, options, request.call);
  return {{"is_new", created.is_new},
          {"files", created.files},
          {"bytes", created.bytes},
          {"secrets", created.secrets},
          {"unreadable", created.unreadable}};
}

Json spawn(Request& request) {
  const pyro::CommandOptions command = read_command(request.fields);
  request.fields.refuse_rest();
  return {{"process", request.workspaces.spawn(request.name, command, request.call)}};
}

Json output(Request& request) {
  const auto process = request.read<unsigned>("process");
  const bool is_error = request.read<bool>("is_error");
  const auto offset = request.read<std::uint64_t>("offset");
  request.fields.refuse_rest();
  const auto output = request.workspaces.output(request.name, process, is_error, offset);
  return {{"base64", pyro::base64_encode(output.text)},
          {"skipped", output.skipped},
          {"next", output.next},
          {"ended", output.has_ended}};
}

Json signal(Request& request) {
  const auto process = request.read<unsigned>("process");
  const auto name = request.read<std::string>("signal", "TERM");
  request.fields.refuse_rest();
  const int number = pyro::signal_number(name);
  if (number == 0) Fields::refuse("signal", "the name of a signal");
  request.workspaces.signal(request.name, process, number);
  return Json::object();
}

Json copy_in(Request& request) {
  const pyro::Copy copy{request.read<std::string>("from"), request.read<std::string>("to", ".")};
  request.fields.refuse_rest();
  return {{"left_out", request.workspaces.copy_in(request.name, copy, request.call)}};
}

Json copy_out(Request& request) {
  pyro::CopyOut copy{{request.read<std::string>("from"), request.read<std::string>("to")}};
  request.fields.read("include_git", copy.includes_git);
  request.fields.read("force", copy.replaces_changed);
  request.fields.refuse_rest();
  const auto copied = request.workspaces.copy_out(request.name, copy, request.call);
  return {{"left_alone", copied.left_alone},
          {"left_out", copied.left_out},
          {"may_run", copied.may_run}};
}

Json diff(Request& request) {
  pyro::DiffOptions options;
  request.fields.read("paths", options.paths);
  request.fields.read("against", options.against);
  request.fields.read("all", options.whole_system);
  request.fields.refuse_rest();
  return pyro::diff_payload(request.workspaces.diff(request.name, options, request.call));
}

Json patch(Request& request) {
  const auto text = request.read<std::string>("patch");
  request.fields.refuse_rest();
  return {{"files", request.workspaces.patch(request.name, text, request.call)}};
}

Json publish(Request& request) {
  const auto port = pyro::parse_port_options(request.read<std::string>("publish"));
  request.fields.refuse_rest();
  return {{"address", port.address}, {"port", request.workspaces.publish(request.name, port)}};
}

Json snapshot(Request& request) {
  const auto name = request.read<std::string>("snapshot");
  request.fields.refuse_rest();
  return pyro::snapshot_payload(request.workspaces.snapshot(request.name, name, request.call));
}

Json remove_snapshots(Request& request) {
  const auto names = request.read<std::vector<std::string>>("snapshots");
  request.fields.refuse_rest();
  request.workspaces.remove_snapshots(request.name, names);
  return Json::object();
}

Json reset(Request& request) {
  const auto to = request.read<std::string>("to", "baseline");
  request.fields.refuse_rest();
  request.workspaces.reset(request.name, to, request.call);
  return Json::object();
}

Json fork(Request& request) {
  const auto snapshot = request.read<std::string>("snapshot");
  const auto to = request.read<std::string>("to");
  request.fields.refuse_rest();
  request.workspaces.fork(request.name, snapshot, to, request.call);
  return Json::object();
}

Json commit(Request& request) {
  pyro::NewEnvironment environment;
  std::filesystem::path catalog;
  request.fields.read("environment", environment.name);
  request.fields.read("replace", environment.replace);
  request.fields.read("catalog", catalog);
  request.fields.refuse_rest();
  if (catalog.empty()) Fields::refuse("catalog", "the catalog file that gets the entry");
  const auto made = request.workspaces.commit(request.name, environment, pyro::UserCatalog(catalog),
                                              request.call);
  return {{"name", made.name}, {"version", made.version}};
}

Json rename(Request& request) {
  const auto to = request.read<std::string>("to");
  request.fields.refuse_rest();
  request.workspaces.rename(request.name, to);
  return Json::object();
}

Json remove(Request& request) {
  const bool force = request.read<bool>("force");
  request.fields.refuse_rest();
  request.workspaces.remove(request.name, force);
  return Json::object();
}

/// For those without fields.
Json ask(Request& request, const std::function<Json()>& work) {
  request.fields.refuse_rest();
  return work();
}

Json list(Request& request) {
  return ask(request, [&]() -> Json {
    return {{"workspaces",
             list_of(request.workspaces.list(request.call.progress), pyro::workspace_payload)}};
  });
}

Json status(Request& request) {
  return ask(request,
             [&] { return pyro::workspace_payload(request.workspaces.status(request.name)); });
}

Json processes(Request& request) {
  return ask(request, [&]() -> Json {
    return {
        {"processes", list_of(request.workspaces.processes(request.name), pyro::process_payload)}};
  });
}

Json snapshots(Request& request) {
  return ask(request, [&]() -> Json {
    const auto payload = [](const pyro::WorkspaceSnapshot& one) {
      return pyro::snapshot_payload(one);
    };
    return {{"snapshots", list_of(request.workspaces.snapshots(request.name), payload)}};
  });
}

Json remove_expired(Request& request) {
  return ask(request, [&]() -> Json { return {{"removed", request.workspaces.remove_expired()}}; });
}

Json suspend(Request& request) {
  return ask(request, [&] {
    request.workspaces.suspend(request.name, request.call);
    return Json::object();
  });
}

Json stop(Request& request) {
  return ask(request, [&] {
    request.workspaces.stop(request.name, request.call);
    return Json::object();
  });
}

}  // namespace requests

using Answer = Json (*)(Request& request);

Answer answer_to(std::string_view request) {
  static const std::map<std::string_view, Answer> kAnswers = {
      {"commit", requests::commit},
      {"copy_in", requests::copy_in},
      {"copy_out", requests::copy_out},
      {"create", requests::create},
      {"diff", requests::diff},
      {"fork", requests::fork},
      {"list", requests::list},
      {"output", requests::output},
      {"patch", requests::patch},
      {"processes", requests::processes},
      {"publish", requests::publish},
      {"remove", requests::remove},
      {"remove_expired", requests::remove_expired},
      {"remove_snapshots", requests::remove_snapshots},
      {"rename", requests::rename},
      {"reset", requests::reset},
      {"signal", requests::signal},
      {"snapshot", requests::snapshot},
      {"snapshots", requests::snapshots},
      {"spawn", requests::spawn},
      {"status", requests::status},
      {"stop", requests::stop},
      {"suspend", requests::suspend},
  };
  const auto found = kAnswers.find(request);
  if (found != kAnswers.end()) return found->second;
  throw Error(ErrorCode::usage, "there is no request " + pyro::in_quotes(std::string(request)));
}

Workspaces& required(pyro_workspaces* workspaces) {
  if (workspaces == nullptr) throw Error(ErrorCode::usage, "there are no workspaces");
  return workspaces->workspaces;
}

/// Returns the document that `work` makes.
char* answer_with(char** error, const std::function<Json()>& work) noexcept {
  return guarded(error, [&]() -> char* {
    char* const text = document(work());
    if (text == nullptr) throw std::bad_alloc();
    return text;
  });
}

}  // namespace

pyro_workspaces* pyro_workspaces_open(const pyro_store* store, const char* directory,
                                      char** error) {
  return guarded(error, [&] {
    if (store == nullptr) throw Error(ErrorCode::usage, "there is no store");
    std::filesystem::path place;
    if (directory != nullptr) place = directory;
    if (place.empty() && !store->machine.state_key_file.empty()) {
      place = store->machine.state_key_file.parent_path() / "workspaces";
    }
    return new pyro_workspaces{Workspaces(place, store->options, store->machine)};
  });
}

char* pyro_workspaces_call(pyro_workspaces* workspaces, const char* request, const char* name,
                           const char* options, pyro_operation* operation, char** error) {
  return answer_with(error, [&] {
    Workspaces& all = required(workspaces);
    if (request == nullptr) throw Error(ErrorCode::usage, "there is no request");
    const Answer answer = answer_to(request);
    Fields fields(optional(options));
    Watch watch(operation);
    Request asked{.workspaces = all,
                  .name = std::string(optional(name)),
                  .fields = fields,
                  .call = {.progress = watch.listener(), .stop = watch.stop()}};
    return answer(asked);
  });
}

char* pyro_workspaces_run(pyro_workspaces* workspaces, const char* name, const char* command,
                          const pyro_streams* streams, pyro_operation* operation, char** error) {
  return answer_with(error, [&] {
    Workspaces& all = required(workspaces);
    const std::string workspace(optional(name));
    Watch watch(operation);
    const WorkspaceCall call{.progress = watch.listener(), .stop = watch.stop()};
    StreamedRun run(
        [&](const pyro::CommandOptions& asked) { return all.run(workspace, asked, call); },
        parse_command_options(optional(command)), streams);
    run.pass_output_on();
    return pyro::command_payload(run.finish());
  });
}

void pyro_workspaces_close(pyro_workspaces* workspaces) {
  delete workspaces;
}
