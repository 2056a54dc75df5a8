// The documents of requests to a supervisor. Texts that may be any bytes are base64.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/machine.h"
#include "workspace/link.h"
#include "workspace/process.h"

namespace pyro {

[[nodiscard]] std::string encoded(std::string_view bytes);
/// @throws Error(failed)
[[nodiscard]] std::string decoded(const nlohmann::json& text);

/// The request for a command; its descriptors go with it.
[[nodiscard]] nlohmann::json request_of(const CommandOptions& command, bool is_detached);
[[nodiscard]] std::vector<int> descriptors_of(const CommandOptions& command);
[[nodiscard]] CommandOptions command_of(const nlohmann::json& request);
[[nodiscard]] ClientStreams streams_of(Packet& packet);

/// The descriptors that go with it: the working directory, and then `stream` if that is the place
/// on the host, and not a path.
[[nodiscard]] nlohmann::json request_of(const char* kind, const Copy& copy, bool is_stream);
[[nodiscard]] Copy copy_of(const Packet& packet);

/// The request for changes of these paths.
[[nodiscard]] nlohmann::json request_of(const std::vector<std::string>& paths,
                                        const std::string& to);
[[nodiscard]] std::vector<std::string> paths_of(const nlohmann::json& request);

/// The result of a creation, and back.
[[nodiscard]] nlohmann::json document_of(const CreatedWorkspace& created);
[[nodiscard]] CreatedWorkspace created_of(const nlohmann::json& document);

[[nodiscard]] nlohmann::json document_of(const TakenSnapshot& taken);
[[nodiscard]] TakenSnapshot taken_of(const nlohmann::json& document);

[[nodiscard]] nlohmann::json request_of(const PortOptions& port);
[[nodiscard]] PortOptions port_of(const nlohmann::json& request);

}  // namespace pyro
