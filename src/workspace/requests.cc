// The documents of requests to a supervisor.
#include "workspace/requests.h"

#include <fstream>

#include "base/text.h"
#include "workspace/supervisor.h"

namespace pyro {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

json encoded_words(const std::vector<std::string>& words) {
  json list = json::array();
  for (const std::string& word : words) list.push_back(encoded(word));
  return list;
}

std::vector<std::string> decoded_words(const json& list) {
  std::vector<std::string> words;
  for (const json& word : list) words.push_back(decoded(word));
  return words;
}

/// The descriptors of a command that has all of them, in the order in which they are sent.
std::vector<std::pair<const char*, int>> named_descriptors(const CommandOptions& command) {
  std::vector<std::pair<const char*, int>> named;
  const auto add = [&](const char* name, int descriptor) {
    if (descriptor >= 0) named.emplace_back(name, descriptor);
  };
  add("input", command.input);
  add("output", command.output);
  add("error_output", command.error_output);
  add("window", command.window);
  return named;
}

json names_of(const std::vector<std::pair<const char*, int>>& descriptors) {
  json names = json::array();
  for (const auto& [name, descriptor] : descriptors) names.push_back(name);
  return names;
}

/// umask(2) would change it for a moment, for all threads.
unsigned own_umask() {
  constexpr unsigned kUsual = 022;
  constexpr std::string_view kField = "Umask:";
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(kField)) {
      return static_cast<unsigned>(std::stoul(line.substr(kField.size()), nullptr, 8));
    }
  }
  return kUsual;
}

/// Null for another name.
Fd* stream_called(const json& name, ClientStreams& streams) {
  if (name == "input") return &streams.input;
  if (name == "output") return &streams.output;
  if (name == "error_output") return &streams.error_output;
  if (name == "window") return &streams.window;
  return nullptr;
}

}  // namespace

std::string encoded(std::string_view bytes) {
  return base64_encode(bytes);
}

std::string decoded(const json& text) {
  if (auto bytes = base64_decode(text.get<std::string>())) return std::move(*bytes);
  throw Error(ErrorCode::failed, "a request is no base64");
}

json request_of(const CommandOptions& command, bool is_detached) {
  return {{request::kKind, request::kRun},
          {"detached", is_detached},
          {"keeps_input", is_detached && command.input >= 0},
          {"command", encoded_words(command.command)},
          {"entrypoint", command.entrypoint},
          {"variables", encoded_words(command.variables)},
          {"directory", encoded(command.directory)},
          {"make_directory", command.make_directory},
          {"user", encoded(command.user)},
          {"end_signal", command.end_signal},
          {"terminal", command.terminal},
          {"timeout", command.timeout ? json(command.timeout->count()) : json()},
          {"stop_timeout", command.stop_timeout.count()},
          {"descriptors", is_detached ? json::array() : names_of(named_descriptors(command))}};
}

json request_of(unsigned process, const CommandOptions& streams) {
  return {{request::kKind, request::kAttach},
          {"process", process},
          {"descriptors", names_of(named_descriptors(streams))}};
}

std::vector<int> descriptors_of(const CommandOptions& command) {
  std::vector<int> descriptors;
  for (const auto& [name, descriptor] : named_descriptors(command)) {
    descriptors.push_back(descriptor);
  }
  return descriptors;
}

CommandOptions command_of(const json& request) {
  CommandOptions command{
      .command = decoded_words(request.at("command")),
      .entrypoint = request.at("entrypoint"),
      .variables = decoded_words(request.at("variables")),
      .directory = decoded(request.at("directory")),
      .make_directory = request.at("make_directory"),
      .user = decoded(request.at("user")),
      .end_signal = request.at("end_signal"),
      .terminal = request.at("terminal"),
      .stop_timeout = milliseconds(request.at("stop_timeout").get<std::int64_t>())};
  if (!request.at("timeout").is_null()) {
    command.timeout = milliseconds(request["timeout"].get<std::int64_t>());
  }
  return command;
}

ClientStreams streams_of(Packet& packet) {
  ClientStreams streams;
  const json& names = packet.content.at("descriptors");
  for (std::size_t i = 0; i < names.size() && i < packet.descriptors.size(); ++i) {
    Fd* const stream = stream_called(names[i], streams);
    if (stream != nullptr) *stream = std::move(packet.descriptors[i]);
  }
  return streams;
}

json request_of(const char* kind, const Copy& copy, bool is_stream) {
  return {{request::kKind, kind},
          {"from", encoded(copy.from)},
          {"to", encoded(copy.to)},
          {"is_stream", is_stream},
          {"umask", own_umask()}};
}

Copy copy_of(const Packet& packet) {
  const json& request = packet.content;
  Copy copy{.from = decoded(request.at("from")), .to = decoded(request.at("to"))};
  if (request.at("is_stream") && packet.descriptors.size() > 1) {
    const bool is_in = request.at(request::kKind) == request::kCopyIn;
    (is_in ? copy.from : copy.to) = "/proc/self/fd/" + std::to_string(packet.descriptors[1].get());
  }
  return copy;
}

json request_of(const CopyOut& copy, bool is_stream) {
  json request = request_of(request::kCopyOut, static_cast<const Copy&>(copy), is_stream);
  request["includes_git"] = copy.includes_git;
  request["replaces_changed"] = copy.replaces_changed;
  return request;
}

CopyOut copy_out_of(const Packet& packet) {
  return {copy_of(packet), packet.content.at("includes_git"),
          packet.content.at("replaces_changed")};
}

json document_of(const CopiedOut& copied) {
  return {{"left_alone", encoded_words(copied.left_alone)},
          {"left_out", encoded_words(copied.left_out)},
          {"may_run", encoded_words(copied.may_run)}};
}

CopiedOut copied_of(const json& document) {
  return {.left_alone = decoded_words(document.at("left_alone")),
          .left_out = decoded_words(document.at("left_out")),
          .may_run = decoded_words(document.at("may_run"))};
}

json request_of(const char* kind, const std::vector<std::string>& paths,
                const std::string& directory, bool whole_system) {
  return {{request::kKind, kind},
          {"paths", encoded_words(paths)},
          {"directory", encoded(directory)},
          {"whole_system", whole_system},
          {"exports", false},
          {"umask", 077}};
}

std::vector<std::string> paths_of(const json& request) {
  return decoded_words(request.at("paths"));
}

std::string directory_of(const json& request) {
  return decoded(request.at("directory"));
}

json document_of(const CreatedWorkspace& created) {
  return {{"is_new", created.is_new},
          {"files", created.files},
          {"bytes", created.bytes},
          {"secrets", encoded_words(created.secrets)},
          {"unreadable", created.unreadable}};
}

CreatedWorkspace created_of(const json& document) {
  return {.is_new = document.at("is_new"),
          .files = document.at("files"),
          .bytes = document.at("bytes"),
          .secrets = decoded_words(document.at("secrets")),
          .unreadable = document.at("unreadable")};
}

json document_of(const TakenSnapshot& taken) {
  return {{"snapshot", taken.name}, {"paused_microseconds", taken.paused.count()}};
}

TakenSnapshot taken_of(const json& document) {
  return {
      .name = document.at("snapshot"),
      .paused = std::chrono::microseconds(document.at("paused_microseconds").get<std::int64_t>())};
}

json request_of(const PortOptions& port) {
  return {{request::kKind, request::kPublish},
          {"address", port.address},
          {"port", port.port},
          {"guest_port", port.guest_port}};
}

PortOptions port_of(const json& request) {
  return {.address = request.at("address"),
          .port = request.at("port"),
          .guest_port = request.at("guest_port")};
}

}  // namespace pyro
