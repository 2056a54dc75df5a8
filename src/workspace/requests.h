// The documents of requests to a supervisor. Texts that may be any bytes are base64.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/machine.h"
#include "pyro/workspace.h"
#include "workspace/link.h"
#include "workspace/process.h"

namespace pyro {

[[nodiscard]] std::string encoded(std::string_view bytes);
/// @throws Error(failed)
[[nodiscard]] std::string decoded(const nlohmann::json& text);

/// The request for a command; its descriptors go with it.
[[nodiscard]] nlohmann::json request_of(const CommandOptions& command, bool is_detached);
/// The request to attach `streams` to a process.
[[nodiscard]] nlohmann::json request_of(unsigned process, const CommandOptions& streams);
[[nodiscard]] std::vector<int> descriptors_of(const CommandOptions& command);
[[nodiscard]] CommandOptions command_of(const nlohmann::json& request);
[[nodiscard]] ClientStreams streams_of(Packet& packet);

/// The descriptors that go with it: the working directory, and then `stream` if that is the place
/// on the host, and not a path.
[[nodiscard]] nlohmann::json request_of(const char* kind, const Copy& copy, bool is_stream);
[[nodiscard]] Copy copy_of(const Packet& packet);
[[nodiscard]] nlohmann::json request_of(const CopyOut& copy, bool is_stream);
[[nodiscard]] CopyOut copy_out_of(const Packet& packet);
[[nodiscard]] nlohmann::json document_of(const CopiedOut& copied);
[[nodiscard]] CopiedOut copied_of(const nlohmann::json& document);

/// A request about files of the workspace, and a directory of the host.
[[nodiscard]] nlohmann::json request_of(const char* kind, const std::vector<std::string>& paths,
                                        const std::string& directory, bool whole_system = false);
[[nodiscard]] std::vector<std::string> paths_of(const nlohmann::json& request);
[[nodiscard]] std::string directory_of(const nlohmann::json& request);

/// The result of a creation, and back.
[[nodiscard]] nlohmann::json document_of(const CreatedWorkspace& created);
[[nodiscard]] CreatedWorkspace created_of(const nlohmann::json& document);

[[nodiscard]] nlohmann::json document_of(const TakenSnapshot& taken);
[[nodiscard]] TakenSnapshot taken_of(const nlohmann::json& document);

[[nodiscard]] nlohmann::json request_of(const PortOptions& port);
[[nodiscard]] PortOptions port_of(const nlohmann::json& request);

}  // namespace pyro
