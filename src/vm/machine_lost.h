// The error of a machine that is gone, or never came.
#pragma once

#include <string>

#include "pyro/error.h"

namespace pyro {

enum class Loss {
  silence,  ///< A deadline passed without a sign of the guest.
  end,      ///< The guest's own doing: it panicked, or turned itself off.
  monitor,  ///< The monitor gave up, by its exit code or a signal.
};

class MachineLost : public Error {
 public:
  MachineLost(Loss loss, std::string message)
      : Error(ErrorCode::failed, std::move(message)), loss_(loss) {}

  [[nodiscard]] Loss loss() const noexcept { return loss_; }

 private:
  Loss loss_;
};

}  // namespace pyro
