// pyro registry login and logout: credentials for registries.
#include <unistd.h>

#include <optional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "front/text.h"
#include "pyro/registry_login.h"

namespace pyro::cli {
namespace {

Json payload_of(const LoginPlace& place) {
  return {{"registry", place.registry},
          {"file", place.file.string()},
          {"helper", or_null(place.helper)}};
}

/// "in FILE", "by docker-credential-pass, as FILE says"
std::string where(const LoginPlace& place) {
  const std::string file = printable(place.file.string());
  return place.helper ? "by " + *place.helper + ", as " + file + " says" : "in " + file;
}

class LoginCommand : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.text("-u,--username", "USER", username_, "The user's name; asked for on a terminal");
    arguments.flag("--password-stdin", from_stdin_,
                   "Read the password from standard input; else it is\nasked for on a terminal");
    arguments.flag("--skip-check", skip_check_, "Do not ask the registry whether it takes them");
    progress_.declare(arguments);
    declare_json(arguments);
  }

  int run(Context& context, const Words& operands) override {
    const auto view = progress_.make_view(context);
    LoginOptions options{.network = context.store.network,
                         .check = !skip_check_,
                         .progress = view.get(),
                         .stop = context.stop};
    const std::string username = find_username(context);
    const std::string password = find_password(context);
    const LoginReport report = log_in(options, operands.front(), username, password);
    context.out.write(json() ? render_json(payload(report, username)) : text(report));
    return kDone;
  }

 private:
  [[nodiscard]] std::string find_username(const Context& context) const {
    if (username_) return *username_;
    if (from_stdin_ || !is_terminal(STDIN_FILENO)) {
      throw Error(ErrorCode::usage, "a login needs --username NAME");
    }
    return ask(context.err, "Username: ", Answer::shown, context.stop);
  }

  [[nodiscard]] std::string find_password(const Context& context) const {
    if (from_stdin_) return read_secret(context.stop);
    if (is_terminal(STDIN_FILENO)) {
      return ask(context.err, "Password: ", Answer::hidden, context.stop);
    }
    throw Error(ErrorCode::usage, "without a terminal a login needs --password-stdin");
  }

  static Json payload(const LoginReport& report, const std::string& username) {
    Json document = payload_of(report.place);
    document["username"] = username;
    document["checked"] = report.checked;
    return document;
  }

  static std::string text(const LoginReport& report) {
    const std::string registry = printable(report.place.registry);
    const std::string done = report.checked ? "logged in to " + registry + "; kept "
                                            : "kept a login for " + registry + ' ';
    return done + where(report.place) + '\n';
  }

  std::optional<std::string> username_;
  bool from_stdin_ = false;
  bool skip_check_ = false;
  ProgressArguments progress_;
};

class LogoutCommand : public Command {
 public:
  void declare(Arguments& arguments) override { declare_json(arguments); }

  int run(Context& context, const Words& operands) override {
    const auto view = make_warning_view(context);
    const LogoutReport report =
        log_out({.network = context.store.network, .progress = view.get(), .stop = context.stop},
                operands.front());
    if (report.remaining) {
      view->warning("there are other credentials for " + report.place.registry + ", from " +
                    *report.remaining);
    }
    context.out.write(json() ? render_json(payload(report)) : text(report));
    return kDone;
  }

 private:
  static Json payload(const LogoutReport& report) {
    Json document = payload_of(report.place);
    document["removed"] = report.removed;
    document["remaining"] = or_null(report.remaining);
    return document;
  }

  static std::string text(const LogoutReport& report) {
    const std::string registry = printable(report.place.registry);
    if (!report.removed) return "there was no login for " + registry + '\n';
    return "logged out of " + registry + "; no longer kept " + where(report.place) + '\n';
  }
};

}  // namespace

constinit const CommandEntry kLoginCommand{
    .group = "registry",
    .name = "login",
    .operands = "HOST",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Store a user name and a password for a registry",
    .details =
        "Checks user name and password with the registry, and stores them where podman and skopeo "
        "find them,\n"
        "too: in $REGISTRY_AUTH_FILE, else $DOCKER_CONFIG/config.json, else\n"
        "$XDG_RUNTIME_DIR/containers/auth.json (until the session ends), else\n"
        "$XDG_CONFIG_HOME/containers/auth.json; or with the credential helper "
        "(docker-credential-NAME in\n"
        "$PATH) that credHelpers or credsStore in this file names. Only you can read the file "
        "(mode 0600).\n"
        "Its other content stays.\n"
        "\n"
        "A pull reads only the file from REGISTRY_AUTH_FILE or DOCKER_CONFIG if one of them is "
        "set. Otherwise\n"
        "it reads the other two files, then /run/containers/UID/auth.json if $XDG_RUNTIME_DIR is "
        "not set,\n"
        "then ~/.docker/config.json and ~/.dockercfg. The first file with credentials for the "
        "registry is\n"
        "used. A file that other users can write, or that belongs to another user, is refused; a "
        "file that\n"
        "others can read causes a warning.\n",
    .examples =
        "  pyro registry login registry.example.org\n"
        "  pyro registry login -u robin --password-stdin localhost:5000 < password\n"
        "  echo \"$CI_TOKEN\" | pyro registry login -u ci --password-stdin ghcr.io\n",
    .make = make_command<LoginCommand>,
};

constinit const CommandEntry kLogoutCommand{
    .group = "registry",
    .name = "logout",
    .operands = "HOST",
    .min_operands = 1,
    .max_operands = 1,
    .purpose = "Remove the stored password of a registry",
    .details =
        "Removes it from the file that 'pyro registry login' writes, or from the credential helper "
        "that this\n"
        "file names. Other files that a pull reads are not changed; if one of them has credentials "
        "for the\n"
        "registry, it is named.\n",
    .examples =
        "  pyro registry logout registry.example.org\n"
        "  pyro registry logout localhost:5000 --json | jq .removed\n",
    .make = make_command<LogoutCommand>,
};

}  // namespace pyro::cli
