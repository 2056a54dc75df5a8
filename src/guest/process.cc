// The process that waits to become a command.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/command.h"
#include "guest/user.h"

namespace pyro::guest {
namespace {

constexpr const char* kHome = "/root";
constexpr const char* kVariablesOfAll[] = {kDefaultPath, "LANG=C.UTF-8"};
constexpr const char* kVariableOfTerminals = "TERM=xterm";

/// The head of a request to the waiting process. These strings follow, each with a NUL at its end:
/// the path of the terminal, the directory, the user, the arguments, the variables.
struct Head {
  std::uint32_t size = 0;  ///< Of the strings.
  std::uint32_t arguments = 0;
  std::uint16_t has_input = 0;
  std::uint16_t makes_directory = 0;
};

enum class Step : int { terminal, user, directory, program };

/// Sent by the waiting process if it cannot become the command. A command sends nothing.
struct Report {
  int error_number = 0;
  Step step{};
};

std::string encode(const CommandRequest& request, const StreamChoice& streams) {
  std::string text(sizeof(Head), '\0');
  const auto add = [&text](const std::string& word) { (text += word) += '\0'; };
  add(streams.terminal);
  add(request.directory);
  add(request.user);
  for (const std::string& argument : request.arguments) add(argument);
  for (const std::string& variable : request.variables) add(variable);
  const Head head{static_cast<std::uint32_t>(text.size() - sizeof(Head)),
                  static_cast<std::uint32_t>(request.arguments.size()),
                  static_cast<std::uint16_t>(streams.has_input ? 1 : 0),
                  static_cast<std::uint16_t>(request.makes_directory ? 1 : 0)};
  std::memcpy(text.data(), &head, sizeof head);
  return text;
}

/// The last definition of a name counts. Defaults apply only to names that are not set.
std::vector<char*> environment(const std::vector<char*>& asked, std::vector<std::string>& of_user,
                               bool terminal) {
  std::vector<char*> result;
  const auto add = [&result](char* variable) {
    const std::string_view text = variable;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    for (const char* const other : result) {
      if (std::string_view(other).starts_with(name)) return;
    }
    result.push_back(variable);
  };
  for (auto it = asked.rbegin(); it != asked.rend(); ++it) add(*it);
  for (std::string& variable : of_user) add(variable.data());
  for (const char* const variable : kVariablesOfAll) add(const_cast<char*>(variable));
  if (terminal) add(const_cast<char*>(kVariableOfTerminals));
  result.push_back(nullptr);
  return result;
}

/// The waiting process itself.
class Waiter {
 public:
  /// `streams`: input (if any), output and errors of a command without a terminal.
  Waiter(const std::array<int, 3>& streams, int request, int report)
      : input_(streams[0]), request_(request), report_(report) {
    reset_signals();
    ::setsid();
    ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    ::dup2(streams[1], STDOUT_FILENO);
    ::dup2(streams[2], STDERR_FILENO);
    is_at_home_ = enter_home();
  }

  [[noreturn]] void wait_and_become() {
    Head head;
    if (!read_all(request_, &head, sizeof head)) ::_exit(127);
    std::string text(head.size, '\0');
    if (!read_all(request_, text.data(), text.size())) ::_exit(127);
    const Step failed = become(head, text);
    const Report report{errno, failed};
    write_all(report_, {reinterpret_cast<const char*>(&report), sizeof report});
    ::_exit(127);
  }

 private:
  static void reset_signals() {
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
  }

  static bool enter_home() { return ::chdir(kHome) == 0; }

  /// Returns the step that failed, with errno set.
  Step become(const Head& head, std::string& text) {
    std::vector<char*> words;
    for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) {
      words.push_back(text.data() + at);
    }
    const char* const terminal = words[0];
    const char* const directory = words[1];
    const auto arguments_end = words.begin() + 3 + head.arguments;
    const std::vector<char*> variables(arguments_end, words.end());
    std::vector<char*> arguments(words.begin() + 3, arguments_end);
    arguments.push_back(nullptr);

    if (*terminal != '\0' && !take(terminal)) return Step::terminal;
    if (*terminal == '\0' && head.has_input != 0) ::dup2(input_, STDIN_FILENO);
    const auto user = find_user(words[2]);
    if (!user) return Step::user;
    if (head.makes_directory != 0) make_directories(directory);
    if (!become_user(*user)) return Step::user;
    if (!enter(directory)) return Step::directory;
    std::vector<std::string> of_user{"HOME=" + user->home, "USER=" + user->name,
                                     "LOGNAME=" + user->name};
    std::vector<char*> settings = environment(variables, of_user, *terminal != '\0');
    environ = settings.data();  // in which PATH is looked up
    ::execvp(arguments[0], arguments.data());
    return Step::program;
  }

  // The first terminal that a session leader opens becomes its controlling terminal.
  static bool take(const char* terminal) {
    const int fd = ::open(terminal, O_RDWR | O_CLOEXEC);
    return fd >= 0 && ::dup2(fd, STDIN_FILENO) >= 0 && ::dup2(fd, STDOUT_FILENO) >= 0 &&
           ::dup2(fd, STDERR_FILENO) >= 0;
  }

  bool enter(const char* directory) const {
    if (*directory != '\0') return ::chdir(directory) == 0;
    if (!is_at_home_) enter_home();  // which may have been copied in
    return true;
  }

  const int input_;
  const int request_;
  const int report_;
  bool is_at_home_ = false;
};

/// Its two ends; the one that is read comes first.
struct Pipe {
  Descriptor out;
  Descriptor in;

  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    out.set(ends[0]);
    in.set(ends[1]);
    return true;
  }
};

StartFailure describe(const Report& report, const CommandRequest& request) {
  switch (report.step) {
    case Step::terminal:
      return {report.error_number, "cannot open the command's terminal"};
    case Step::user:
      return {report.error_number, "cannot run as " + request.user};
    case Step::directory:
      return {report.error_number, "cannot change to the directory " + request.directory};
    case Step::program:
      return {report.error_number, "cannot run " + request.arguments.front()};
  }
  return {};
}

}  // namespace

bool WaitingProcess::make() {
  if (waits_) return true;
  Pipe input;
  Pipe output;
  Pipe error_output;
  Pipe request;
  Pipe report;
  for (Pipe* const pipe : {&input, &output, &error_output, &request, &report}) {
    if (!pipe->open()) return false;
  }
  pid_ = ::fork();
  if (pid_ < 0) return false;
  if (pid_ == 0) {
    Waiter({input.out.get(), output.in.get(), error_output.in.get()}, request.out.get(),
           report.in.get())
        .wait_and_become();
  }
  pipes = {std::move(input.in), std::move(output.out), std::move(error_output.out)};
  for (const Descriptor* const end : {&pipes.input, &pipes.output, &pipes.error_output}) {
    ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
  }
  request_ = std::move(request.in);
  report_ = std::move(report.out);
  return waits_ = true;
}

StartFailure WaitingProcess::become(const CommandRequest& request, const StreamChoice& streams) {
  waits_ = false;
  const bool told = write_all(request_.get(), encode(request, streams));
  StartFailure failure;
  if (!told) failure = {errno, "cannot start a process"};
  request_.close();
  // A successful exec closes the other end, and this reads nothing.
  Report report;
  if (told && read_all(report_.get(), &report, sizeof report)) failure = describe(report, request);
  report_.close();
  if (failure.error_number != 0) ::waitpid(pid_, nullptr, 0);
  return failure;
}

}  // namespace pyro::guest
