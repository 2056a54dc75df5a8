// How far a file is to be believed.
#include "base/file_trust.h"

namespace pyro {

FileTrust judge_file(mode_t mode, uid_t owner, uid_t user, Holds what) {
  const std::string remedy = what == Holds::secrets ? "chmod 600 it" : "chmod go-w it";
  if ((mode & S_IWOTH) != 0) {
    return {false, "everybody may write it", remedy + ", and look at what it says"};
  }
  if (owner != user && owner != 0) {
    return {user == 0, "it belongs to user " + std::to_string(owner), "use a file of your own"};
  }
  if ((mode & S_IWGRP) != 0) return {true, "its group may write it", remedy};
  if (what == Holds::secrets && (mode & (S_IRGRP | S_IROTH)) != 0) {
    return {true, "others may read it", remedy};
  }
  return {};
}

}  // namespace pyro
